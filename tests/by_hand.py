"""What a test does to the lab behind the driver's back: with libvirt itself, through each host's local socket."""

import contextlib
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libvirt

from yamori.drivers.libvirt.connection import start_event_loop
from yamori.lab import cgroup, guest
from yamori.lab.lab import Lab
from yamori.lab.processes import ProcessId
from yamori.model.ids import VMId

PATIENCE_SECONDS = 60.0
UNBOUNDED_KIB = 9_007_199_254_740_991


class ByHand:
    """The lab's guests, as they were made, and how to get them back there."""

    def __init__(self, lab: Lab) -> None:
        start_event_loop()
        self.lab = lab
        self._made: dict[str, str] = {}
        for plan in lab.spec.guests():
            self._made[plan.uuid] = self.ask(
                plan.host, plan.uuid, lambda d: d.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
            )

    def on(self, host: str, act: Callable[[Any], Any]) -> Any:
        """Do something with a connection to a host's libvirtd."""
        with guest.connection(self.lab.host(host)) as link:
            return act(link)

    def ask(self, host: str, uuid: str, act: Callable[[Any], Any]) -> Any:
        """Do something with a domain of a host."""
        return self.on(host, lambda link: act(link.lookupByUUIDString(uuid)))

    def active(self, host: str) -> set[str]:
        """Ids of the domains that are active on a host, however."""
        return set(self.on(host, lambda link: [d.UUIDString() for d in link.listAllDomains() if d.isActive()]))

    def qemus(self, name: str) -> list[ProcessId]:
        """The living QEMU processes of a guest, on all hosts together: asked of the kernel, not of libvirt."""
        found = []
        for host in self.lab.hosts.values():
            for pid in cgroup.pids(host.cgroup):
                identity = ProcessId.of(pid)
                with contextlib.suppress(OSError):
                    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                    if identity and any(w.startswith(f"guest={name},".encode()) for w in words):
                        found.append(identity)
        return found

    def kill_arriving(self, name: str, host: str) -> None:
        """Kill the receiving QEMU of a move with SIGKILL."""
        pids = set(cgroup.pids(self.lab.host(host).cgroup))
        arriving = [each for each in self.qemus(name) if each.pid in pids]
        assert arriving, f"no QEMU of {name} on {host}"
        for each in arriving:
            each.send(signal.SIGKILL)

    def bring_home(self, vm: VMId) -> None:
        """Put a guest back: running on its own host, without limits, and nowhere else."""
        plan = next(plan for plan in self.lab.spec.guests() if plan.uuid == vm)
        for host in self.lab.hosts:
            if host != plan.host:
                self.on(host, lambda link: _remove(link, vm))
        self.on(plan.host, lambda link: _restore(link, vm, self._made[vm]))


def _find(link: Any, vm: str) -> Any:
    try:
        return link.lookupByUUIDString(vm)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return None


def _remove(link: Any, vm: str) -> None:
    """Remove a copy; one that still arrives goes by itself once its source gives up."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (domain := _find(link, vm)) is not None:
        with contextlib.suppress(libvirt.libvirtError):
            if domain.isActive():
                domain.destroy()
        with contextlib.suppress(libvirt.libvirtError):
            if domain.isPersistent():
                domain.undefine()
        assert time.monotonic() < deadline, f"{vm} does not go away"
        time.sleep(0.1)


def _restore(link: Any, vm: str, xml: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    domain = _find(link, vm)
    while domain is not None and domain.isActive() and domain.jobStats().get("type"):
        with contextlib.suppress(libvirt.libvirtError):
            domain.abortJob()
        assert time.monotonic() < deadline, f"the job of {vm} does not end"
        time.sleep(0.1)
        domain = _find(link, vm)
    if domain is None:
        domain = link.defineXML(xml)
    if domain.isActive() and domain.state()[0] not in (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_PAUSED):
        domain.destroy()
    if not domain.isActive():
        domain.create()
        return
    if domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
        domain.resume()
    _free(link, domain)


def _inflate(domain: Any) -> None:
    """Give the guest all its memory; one whose balloon does not obey is started afresh."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while domain.info()[2] < domain.maxMemory():
        domain.setMemoryFlags(domain.maxMemory(), libvirt.VIR_DOMAIN_AFFECT_LIVE)
        if time.monotonic() > deadline:
            domain.destroy()
            domain.create()
            return
        time.sleep(0.2)


def _free(link: Any, domain: Any) -> None:
    domain.setSchedulerParametersFlags(
        {"vcpu_quota": -1, "global_quota": -1, "cpu_shares": 1024}, libvirt.VIR_DOMAIN_AFFECT_LIVE
    )
    domain.setBlockIoTune("vda", {"total_iops_sec": 0, "total_bytes_sec": 0}, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    domain.setMemoryParameters({"hard_limit": UNBOUNDED_KIB}, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    _inflate(domain)
    everywhere = (True,) * link.getCPUMap(0)[0]
    if tuple(domain.vcpuPinInfo()[0]) != everywhere:
        domain.pinVcpu(0, everywhere)
