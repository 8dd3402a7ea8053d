"""Gives up root: another user, only the named Linux capabilities, and no way back (capabilities(7), prctl(2))."""

import ctypes
import grp
import logging
import os
import pwd
import re
from collections.abc import Iterable
from pathlib import Path

from yamori.model.errors import Defect, Failed, NotFound, NotPermitted

log = logging.getLogger(__name__)

USER = "yamori-agent"

_NUMBERED = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
CAPABILITIES = tuple(f"CAP_{word}" for word in _NUMBERED.split())
"""Linux's capabilities; the place of each is its number (linux/capability.h)."""
_KEEPCAPS, _CAPBSET_DROP, _NO_NEW_PRIVS, _AMBIENT = 8, 24, 38, 47  # linux/prctl.h
_AMBIENT_RAISE, _AMBIENT_CLEAR_ALL = 2, 4
_VERSION_3 = 0x20080522
_INSTALL = "run yamori agent install"


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Sets(ctypes.Structure):
    _fields_ = [
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    ]


_libc = ctypes.CDLL(None, use_errno=True)


def mask(names: Iterable[str]) -> int:
    """Return capabilities as a bit mask. Raises Defect for a name that does not exist."""
    try:
        return sum(1 << CAPABILITIES.index(name) for name in set(names))
    except ValueError as error:
        raise Defect(f"no such capability: {error}") from error


def held(field: str = "CapEff", pid: int | str = "self") -> int:
    """Return a capability set of a process as a bit mask, from its status in /proc (proc(5))."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(rf"^{field}:\s*([0-9a-f]+)$", text, re.M)
    return int(found[1], 16) if found else 0


def lacking(needs: Iterable[str]) -> tuple[str, ...]:
    """Return which of the capabilities this process does not have."""
    have = held()
    return tuple(sorted(name for name in needs if not have & mask([name])))


def unprivileged(needs: frozenset[str], user: str = USER) -> None:
    """Become ``user`` with only ``needs``, for this process and all that it starts; nothing to do if not root.

    To be called while there is one thread: Linux keeps capabilities by thread. Raises NotFound where the user is
    missing, NotPermitted where root itself lacks a capability, Failed, Defect.
    """
    if os.geteuid() != 0:
        if missing := lacking(needs):
            log.warning("this process lacks %s: what needs that will not work", ", ".join(missing))
        _prctl(_NO_NEW_PRIVS, 1)
        return
    if missing := lacking(needs):
        raise NotPermitted(f"root lacks {', '.join(missing)} here", mend="give it, or switch the function off")
    if len(list(Path("/proc/self/task").iterdir())) != 1:
        raise Defect("privileges are dropped after threads were started")
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise NotFound("there is no such user", subject=user, mend=_INSTALL) from None
    wanted = mask(needs)
    _drop_bounding(wanted)
    _prctl(_KEEPCAPS, 1)
    groups = sorted({entry.pw_gid, *(g.gr_gid for g in grp.getgrall() if user in g.gr_mem)})
    os.setgroups(groups)
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    _set_capabilities(wanted)
    _prctl(_AMBIENT, _AMBIENT_CLEAR_ALL)
    for name in sorted(needs):
        _prctl(_AMBIENT, _AMBIENT_RAISE, CAPABILITIES.index(name))
    _prctl(_NO_NEW_PRIVS, 1)
    os.umask(0o077)
    _check(wanted, entry.pw_uid)


def _drop_bounding(wanted: int) -> None:
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text(encoding="ascii"))
    for number in range(last + 1):
        if not wanted >> number & 1 and held("CapBnd") >> number & 1:
            _prctl(_CAPBSET_DROP, number)


def _set_capabilities(wanted: int) -> None:
    header = _Header(_VERSION_3, 0)
    low, high = wanted & 0xFFFF_FFFF, wanted >> 32
    sets = (_Sets * 2)(_Sets(low, low, low), _Sets(high, high, high))
    if _libc.capset(ctypes.byref(header), ctypes.byref(sets)) != 0:
        raise Failed(f"capabilities cannot be set: {os.strerror(ctypes.get_errno())}")


def _check(wanted: int, uid: int) -> None:
    """Look at what the kernel says, rather than trust what was asked of it."""
    sets = {field: held(field) for field in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    wrong = [field for field, found in sets.items() if found != wanted]
    if wrong or os.getresuid() != (uid, uid, uid):
        raise Defect(f"privileges were not dropped: {', '.join(wrong) or 'user'}")


def _prctl(option: int, first: int = 0, second: int = 0) -> None:
    if _libc.prctl(option, ctypes.c_ulong(first), ctypes.c_ulong(second), 0, 0) != 0:
        raise Failed(f"prctl {option} failed: {os.strerror(ctypes.get_errno())}")
