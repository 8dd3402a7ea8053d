"""What a VM's limits depend on outside of it: its host's clock rate, its cluster's DRS, its cards' switches."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyVmomi import vim

from yamori.drivers.vsphere.collector import Found, one, some
from yamori.drivers.vsphere.link import Link

DRS_MOVES = "the host is in a cluster whose DRS is fully automated, which takes no pinning"
_KEPT_SECONDS = 60.0
_MEMBERS = "summary.hostMember"
_SWITCH = (
    "uuid",
    "config.networkResourceControlVersion",
    "config.networkResourceManagementEnabled",
    _MEMBERS,
)
_HOST = ("summary.hardware.cpuMhz", "summary.hardware.numCpuThreads", "parent")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostTerms:
    """What one host means for limits. ``why_not_pinned`` is None where pinning is possible."""

    mhz: int | None
    threads: int | None
    why_not_pinned: str | None


class Switches:
    """Which distributed switches enforce limits of cards; read again after a minute."""

    def __init__(self) -> None:
        self._known: Sequence[Found] = ()
        self._of: Link | None = None
        self._read_at = 0.0

    def controlled(self, link: Link) -> Mapping[str, bool]:
        """By the switch's UUID, whether Network I/O Control 3 is on. Raises faults."""
        return {str(found.values.get("uuid")): _is_controlled(found) for found in self._read(link)}

    def hosts(self, link: Link) -> frozenset[str] | None:
        """Keys of the hosts on a switch that enforces limits; None when it does not tell. Raises faults."""
        keys: set[str] = set()
        for found in self._read(link):
            if _is_controlled(found):
                members = found.values.get(_MEMBERS)
                if members is None:
                    return None
                keys.update(str(host._moId) for host in members)
        return frozenset(keys)

    def _read(self, link: Link) -> Sequence[Found]:
        now = time.monotonic()
        if self._of is not link or now - self._read_at > _KEPT_SECONDS:
            self._known = _switches(link) if link.vcenter else ()
            self._of, self._read_at = link, now
        return self._known


def _switches(link: Link) -> Sequence[Found]:
    view = link.content.viewManager.CreateContainerView(
        container=link.content.rootFolder, type=[vim.DistributedVirtualSwitch], recursive=True
    )
    try:
        refs = one(link, view, ("view",)).values.get("view") or []
        return some(link, refs, {vim.DistributedVirtualSwitch: _SWITCH})
    finally:
        view.DestroyView()


def _is_controlled(found: Found) -> bool:
    return (
        str(found.values.get("config.networkResourceControlVersion")) == "version3"
        and found.values.get("config.networkResourceManagementEnabled") is True
    )


def host_terms(link: Link, host: Any, vm: Any) -> HostTerms:
    """Read what a host means for a VM's limits; ``vm`` None for one without own rules. Raises faults."""
    if host is None:
        return HostTerms(mhz=None, threads=None, why_not_pinned="the VM is on no host")
    found = one(link, host, _HOST)
    parent = found.values.get("parent")
    why_not = None
    if isinstance(parent, vim.ClusterComputeResource):
        told = one(link, parent, ("configurationEx",)).values.get("configurationEx")
        why_not = DRS_MOVES if moves_by_itself(told, vm) else None
    return HostTerms(
        mhz=found.number("summary.hardware.cpuMhz") or None,
        threads=found.number("summary.hardware.numCpuThreads") or None,
        why_not_pinned=why_not,
    )


def moves_by_itself(cluster: Any, vm: Any) -> bool:
    """Whether the cluster's configuration lets DRS move the VM as it likes; a rule for the VM alone counts."""
    drs = getattr(cluster, "drsConfig", None)
    if getattr(drs, "enabled", None) is not True:
        return False
    behaviour = str(getattr(drs, "defaultVmBehavior", None) or "fullyAutomated")
    for rule in getattr(cluster, "drsVmConfig", None) or []:
        if vm is not None and rule.key == vm:
            if rule.enabled is False:
                return False
            behaviour = str(rule.behavior or behaviour)
    return behaviour == "fullyAutomated"
