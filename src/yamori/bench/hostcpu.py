"""CPU time of the programs on a host that answer: what a reading costs there, not here."""

import os
import re
from collections.abc import Callable
from pathlib import Path

from yamori.lab.host import Host
from yamori.lab.xen.host import XenHost
from yamori.model.errors import Failed

_TICKS = os.sysconf("SC_CLK_TCK")
"""The same in every Linux that we meet (time(7), USER_HZ)."""
_ALL = "for p in {pid} $(cat /proc/{pid}/task/*/children); do cat /proc/$p/stat; done"


def seconds(untrusted_stat: str) -> float:
    """CPU seconds of a process by its line in /proc (proc_pid_stat(5), fields 14 and 15). Raises Failed."""
    fields = untrusted_stat.rpartition(")")[2].split()
    if len(fields) < 13 or not all(re.fullmatch(r"\d{1,18}", field) for field in fields[11:13]):
        raise Failed("no line of a process")
    return (int(fields[11]) + int(fields[12])) / _TICKS


def of_libvirtd(host: Host) -> Callable[[], float]:
    """What libvirtd of a QEMU host has used, QEMU itself not counted."""
    stat = Path(f"/proc/{host.daemon().pid}/stat")

    def used() -> float:
        try:
            return seconds(stat.read_text(errors="replace"))
        except OSError as error:
            raise Failed(f"libvirtd of {host.name} has ended") from error

    return used


def in_dom0(host: XenHost, pid: int) -> Callable[[], float]:
    """What a program in dom0 and those that it has started have used, in seconds of the emulated machine."""

    def used() -> float:
        told = host.run(["sh", "-c", _ALL.format(pid=pid)])
        return sum(seconds(line) for line in told.splitlines())

    return used


def libvirtd_in_dom0(host: XenHost) -> Callable[[], float]:
    """What libvirtd in dom0 has used."""
    return in_dom0(host, int(host.run(["pidof", "-s", "libvirtd"])))
