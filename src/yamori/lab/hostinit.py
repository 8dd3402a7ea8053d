"""PID 1 of a lab host: builds the host's view of the file system, then keeps libvirtd running.

Started as a plain script inside fresh mount, uts, ipc, pid, cgroup and network namespaces; stdlib only.
Its death is the host's crash: the kernel kills everything else in the pid namespace.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

# <sys/mount.h>
MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE, MNT_DETACH = 4096, 8192, 16384, 1 << 18, 2

PAGER_SECONDS = 0.5
PAGER_FROM_PERCENT = 90

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2)."""
    if _libc.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode()) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount {kind or source} on {target}: {os.strerror(number)}")


def detach(target: str) -> None:
    """umount2(2), lazily; all that is stacked on the target, and no complaint when nothing is."""
    while _libc.umount2(target.encode(), MNT_DETACH) == 0:
        pass


def build_view(plan: dict[str, Any]) -> None:
    """Give this host its own /proc, /sys, control groups, /run, /etc and libvirt folders."""
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    # copies of other labs' namespace files would keep those namespaces alive for as long as this host lives
    for entry in Path("/run/netns").glob("*"):
        detach(str(entry))
    detach("/run/netns")
    mount("proc", "/proc", "proc")
    socket.sethostname(plan["hostname"])
    detach("/sys/fs/cgroup")
    mount("sysfs", "/sys", "sysfs")
    mount("tmpfs", "/sys/fs/cgroup", "tmpfs", options="mode=755")
    for controller in plan["controllers"]:
        folder = Path("/sys/fs/cgroup") / controller
        folder.mkdir()
        mount("cgroup", str(folder), "cgroup", options=controller)
    mount("tmpfs", "/run", "tmpfs", options="mode=755")
    for name in ("libvirt", "lock", "netns"):
        (Path("/run") / name).mkdir()
    own_devices(plan["devices"])
    mount("overlay", "/etc", "overlay", options=plan["etc"])
    for source, target in plan["binds"]:
        mount(source, target, flags=MS_BIND)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def own_devices(names: list[str]) -> None:
    """A /dev of the host's own: copies of the named nodes, terminals and shared memory."""
    aside = Path("/run/dev")
    aside.mkdir()
    mount("tmpfs", str(aside), "tmpfs", options="mode=755")
    for name in names:
        node = Path("/dev") / name
        if node.exists():
            (aside / name).parent.mkdir(exist_ok=True)
            seen = node.stat()
            os.mknod(aside / name, seen.st_mode, seen.st_rdev)
            (aside / name).chmod(seen.st_mode & 0o7777)
            os.chown(aside / name, seen.st_uid, seen.st_gid)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        (aside / name).symlink_to(target)
    (aside / "ptmx").symlink_to("pts/ptmx")
    for name in ("pts", "shm"):
        (aside / name).mkdir()
    mount("devpts", str(aside / "pts"), "devpts", options="newinstance,ptmxmode=0666,mode=620,gid=5")
    mount("tmpfs", str(aside / "shm"), "tmpfs", options="mode=1777")
    # libvirt takes every line of /proc/mounts below /dev for a mount that it can move: none may be hidden
    detach("/dev")
    mount(str(aside), "/dev", flags=MS_MOVE)


def start(command: list[str]) -> int:
    """Start the daemon as a child in its own session."""
    child = os.fork()
    if child == 0:
        os.setsid()
        os.execv(command[0], command)  # noqa: S606 no shell is wanted
    return child


def start_pager(folder: str, budget: str) -> None:
    """Start a child that writes dirty pages of the guests' RAM files out while their budget is nearly used up.

    Reclaim can then drop a page at once instead of waiting for its write-back, as a host's swap-out would.
    """
    if os.fork() != 0:
        return
    while True:
        time.sleep(PAGER_SECONDS)
        try:
            names = ("memory.usage_in_bytes", "memory.limit_in_bytes")
            used, limit = (int((Path(budget) / name).read_text()) for name in names)
            if used * 100 < limit * PAGER_FROM_PERCENT:
                continue
            for file in Path(folder).glob("*/*"):
                handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fdatasync(handle)
                finally:
                    os.close(handle)
        except (FileNotFoundError, NotADirectoryError):
            continue  # a guest has just ended


def supervise(command: list[str]) -> None:
    """Reap every orphan and start the daemon again whenever it ends, for ever."""
    daemon = start(command)
    while True:
        try:
            ended, status = os.waitpid(-1, 0)
        except ChildProcessError:
            ended, status = daemon, 0
        if ended == daemon:
            sys.stdout.write(f"{time.time():.3f} daemon {daemon} ended with status {status:#x}, starting again\n")
            sys.stdout.flush()
            time.sleep(0.3)
            daemon = start(command)


def leave(number: int, frame: FrameType | None) -> None:
    """SIGTERM: go, and take the whole host along."""
    os._exit(0)


def main() -> None:
    """Read the plan named on the command line and become the host."""
    signal.signal(signal.SIGTERM, leave)
    plan = json.loads(Path(sys.argv[1]).read_text())
    build_view(plan)
    start_pager(**plan["pager"])
    supervise(plan["daemon"])


if __name__ == "__main__":
    main()
