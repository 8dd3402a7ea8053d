"""What an endpoint can do: looked at, never assumed, and without changing anything."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pyVmomi import vim

from yamori.capabilities.sensing.usage import Column, UsageFrame
from yamori.drivers.vsphere.absence import Absences
from yamori.drivers.vsphere.collector import Found, everything, some
from yamori.drivers.vsphere.connection import Connection
from yamori.drivers.vsphere.link import Link
from yamori.drivers.vsphere.moves import offered
from yamori.drivers.vsphere.privileges import cell, lacking
from yamori.drivers.vsphere.single import PATHS, Around, Lacks, differing, everywhere, in_contact, lacks
from yamori.drivers.vsphere.surroundings import Switches, moves_by_itself
from yamori.drivers.vsphere.translate import host_ids
from yamori.drivers.vsphere.usage import VSphereUsage
from yamori.model.ids import HostId
from yamori.model.support import FEATURES, Cell, Level, Support

_NATIVE = Cell(level=Level.NATIVE)
_MOST_LOOKED_AT = 16
_NOBODY = "no running VM to look at"
_COLUMNS: dict[str, tuple[Column, ...]] = {
    "usage.cpu_delay": (Column.CPU_DELAY,),
    "usage.memory_resident": (Column.MEMORY_RESIDENT,),
    "usage.disk_latency": (Column.DISK_READ_TIME, Column.DISK_WRITE_TIME),
    "usage.net_drops": (Column.NET_RX_DROPS, Column.NET_TX_DROPS),
}
_NO_SWITCH = "there is no distributed switch with Network I/O Control version 3"
_NO_PROOF = "the server tells of no VM whether its moves are encrypted (config.migrateEncryption)"
_NO_MOVE = "nothing is moved unless encryption is proven required, and that cannot be proven here"
_ONE_HOST = "a single ESXi has no other host to move to: connect to its vCenter"

Hosts = Mapping[HostId, tuple[Found, Lacks]]
"""By host: what was read of it, and what it lacks."""


def _telling(hosts: Hosts) -> list[Lacks]:
    """What is lacking at the hosts that the server has contact with; of all where it has contact with none."""
    return [lacking for host, lacking in hosts.values() if in_contact(host)] or [
        each for _, each in hosts.values()
    ]


class Probe:
    """Fills the matrix's column of one endpoint, and says to ``absences`` what was seen not to be there."""

    def __init__(
        self, connection: Connection, absences: Absences, switches: Switches, usage: VSphereUsage
    ) -> None:
        self._connection = connection
        self._absences = absences
        self._switches = switches
        self._usage = usage
        self._told: set[str] = set()
        connection.on_open.append(self._opened)

    async def run(self) -> Support:
        """Look. Raises Unreachable, TimedOut."""
        cells, hosts = await self._connection.call(self._look, capability="probe")
        counted = {} if self._absences.given("usage") else self._of_usage(await self._usage.read())
        shown = {}
        for feature in FEATURES:
            why = self._absences.given(feature)
            if why is None and feature.startswith("usage."):
                why = self._absences.given("usage")
            found = counted.get(feature) or cells.get(feature, _NATIVE)
            shown[feature] = found if why is None else Cell(level=Level.NONE, reason=why)
        link = self._connection.link
        product = "VMware vSphere" if link is None else link.product
        several = differing(shown, hosts) if len(hosts) > 1 else {}
        return Support(
            driver="vsphere",
            hypervisor=product,
            cells=shown,
            provisional=bool(hosts) and not any(in_contact(host) for host, _ in hosts.values()),
            hosts=several,
        )

    def _opened(self, link: Link) -> None:
        """With every new link: so that nothing is offered that is not there."""
        self._look(link)

    def _look(self, link: Link) -> tuple[dict[str, Cell], Hosts]:
        found = everything(link, {vim.VirtualMachine: ("runtime.powerState",), vim.HostSystem: PATHS})
        vms = [each.ref for each in found if each.is_vm]
        step = max(1, len(vms) // _MOST_LOOKED_AT)
        looked_at = vms[::step][:_MOST_LOOKED_AT]
        rights = lacking(link, looked_at)
        cells = {feature: cell(feature, rights) for feature in FEATURES}
        seen = self._moves(link, looked_at)
        if not any(self._switches.controlled(link).values()):
            seen["limits.net_out"] = Cell(level=Level.NONE, reason=_NO_SWITCH)
        hosts = self._hosts(link, [each for each in found if not each.is_vm])
        seen = {**everywhere(_telling(hosts)), **seen}
        for feature, absent in seen.items():
            if cells[feature].level is Level.NATIVE:
                cells[feature] = absent
        if cells["migration.live"].level is not Level.NATIVE:
            why = cells["migration.live"].reason
            for feature in ("migration.copied_storage", "migration.cancel", "migration.bandwidth"):
                cells[feature] = Cell(level=Level.NONE, reason=why)
            if cells["migration.encrypted"].level is Level.NATIVE:
                cells["migration.encrypted"] = Cell(level=Level.NONE, reason=why)
        self._absences.saw(
            {feature: each.reason for feature, each in cells.items() if each.level is not Level.NATIVE}
        )
        return cells, hosts

    @staticmethod
    def _moves(link: Link, vms: Sequence[Any]) -> dict[str, Cell]:
        if not link.vcenter:
            reasons = dict.fromkeys(("migration.live", "migration.encrypted"), _ONE_HOST)
            return {feature: Cell(level=Level.NONE, reason=reason) for feature, reason in reasons.items()}
        path = "config.migrateEncryption"
        if offered([each.values.get(path) for each in some(link, vms, {vim.VirtualMachine: (path,)})]):
            return {}
        return {
            "migration.encrypted": Cell(level=Level.UNKNOWN, reason=_NO_PROOF),
            "migration.live": Cell(level=Level.NONE, reason=_NO_MOVE),
        }

    def _hosts(self, link: Link, hosts: Sequence[Found]) -> Hosts:
        """What each host lacks."""
        parents = [each.values.get("parent") for each in hosts]
        clusters = {each._moId: each for each in parents if isinstance(each, vim.ClusterComputeResource)}
        told = some(link, clusters.values(), {vim.ClusterComputeResource: ("configurationEx",)})
        automated = [each.key for each in told if moves_by_itself(each.values.get("configurationEx"), None)]
        around = Around(automated=automated, switched=self._switches.hosts(link))
        ids = host_ids(self._connection.endpoint, hosts)
        return {ids[each.key]: (each, lacks(each, around)) for each in hosts}

    def _of_usage(self, frame: UsageFrame) -> dict[str, Cell]:
        running = frame.values[frame.column(Column.RUNNING) == 1.0]
        cells = {}
        for feature, columns in _COLUMNS.items():
            if len(running) and np.isfinite(running[:, list(columns)]).all(axis=1).any():
                self._told.add(feature)
            if feature in self._told:  # a sample that is late takes nothing away
                cells[feature] = _NATIVE
            elif len(running):
                cells[feature] = Cell(level=Level.NONE, reason="the server tells it of no running VM")
            else:
                cells[feature] = Cell(level=Level.UNKNOWN, reason=_NOBODY)
        return cells
