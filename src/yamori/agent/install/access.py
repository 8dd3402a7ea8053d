"""Hands the agent's group what its functions need and nobody but root has: devices, sockets, control groups.

Such rights do not outlive a boot, nor a restart of who made the socket: they are given at each start of the agent.
"""

import logging
import os
import pwd
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from yamori.agent.functions import NEEDS, HostSettings

log = logging.getLogger(__name__)

CGROUP = "{cgroup}"
_GROUP_RW = stat.S_IRGRP | stat.S_IWGRP


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What is handed over. ``shared``: the group may read and write; ``owned``: folders given as a whole."""

    shared: tuple[str, ...]
    owned: tuple[str, ...]

    @property
    def devices(self) -> tuple[str, ...]:
        """Return those that are device files."""
        return tuple(path for path in self.shared if path.startswith("/dev/"))


def wanted(settings: HostSettings) -> Access:
    """Return what the functions that are switched on need."""
    shared: set[str] = set()
    owned: set[str] = set()
    for function in settings.functions:
        need = NEEDS[function]
        shared |= set(need.devices)
        for path in need.writable:
            named = path.replace(CGROUP, settings.cgroup.rstrip("/"))
            (owned if named.endswith("/") else shared).add(named.rstrip("/"))
    return Access(shared=tuple(sorted(shared)), owned=tuple(sorted(owned)))


def hand_over(access: Access, user: str) -> tuple[str, ...]:
    """As root, give the rights; return what was changed. What is not on this host is left out, and logged."""
    entry = pwd.getpwnam(user)
    changed = [path for path in access.shared if _share(Path(path), entry.pw_gid)]
    for folder in access.owned:
        changed += _own(Path(folder), entry.pw_uid, entry.pw_gid)
    return tuple(changed)


def _share(path: Path, group: int) -> bool:
    try:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            log.warning("%s is a symbolic link: it is left alone", path)
            return False
        if found.st_gid == group and found.st_mode & _GROUP_RW == _GROUP_RW:
            return False
        os.chown(path, -1, group, follow_symlinks=False)
        path.chmod(stat.S_IMODE(found.st_mode) | _GROUP_RW)
    except FileNotFoundError:
        log.debug("%s is not on this host", path)
        return False
    except OSError as error:
        log.warning("%s cannot be handed over: %s", path, error.strerror)
        return False
    return True


def _own(folder: Path, user: int, group: int) -> Iterable[str]:
    try:
        if not folder.parent.is_dir():
            log.debug("%s is not on this host", folder.parent)
            return
        folder.mkdir(mode=0o755, exist_ok=True)
        for path in (folder, *sorted(folder.iterdir())):
            found = path.lstat()
            if (found.st_uid, found.st_gid) != (user, group):
                os.chown(path, user, group, follow_symlinks=False)
                yield str(path)
    except OSError as error:
        log.warning("%s cannot be handed over: %s", folder, error.strerror)
