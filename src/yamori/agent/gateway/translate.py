"""What an agent answers, as values of the model. All of it is hostile: bounded, checked, and of its host only."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from yamori.agent.protocol.calls import Carried, taken
from yamori.agent.protocol.columns import MOST_VMS, VMName
from yamori.capabilities.sensing.inventory import Listing
from yamori.model.errors import Invalid
from yamori.model.host import Host
from yamori.model.ids import HostId, VMId
from yamori.model.limits import LimitKind, Limits
from yamori.model.migration import MigrationStatus
from yamori.model.plain import from_plain
from yamori.model.support import FEATURES, Cell, Level, Support
from yamori.model.vm import VM

DRIVER = "agent"
LONGEST_LINE = 256
MOST_OF_ONE_VM = 256
"""Disks, cards and labels, each."""
MOST_CPUS = 8192

_NAME: TypeAdapter[str] = TypeAdapter(VMName)


def is_vm_name(untrusted_id: str) -> bool:
    """Tell whether a text can be the id of a VM."""
    try:
        _NAME.validate_python(untrusted_id, strict=True)
    except ValidationError:
        return False
    return True


def line(untrusted_text: str, longest: int = LONGEST_LINE) -> str:
    """Make one bounded line without controls out of a text."""
    return "".join(c if c.isprintable() else " " for c in untrusted_text[:longest])


def support_of(untrusted_value: Any) -> Support:
    """Read what an agent can do. Nothing is native to it, and what it does not tell is unknown. Raises Invalid."""
    told = from_plain(Support, untrusted_value, where="support")
    cells = {feature: _cell(told.cells.get(feature)) for feature in FEATURES}
    return Support(driver=DRIVER, hypervisor=line(told.hypervisor), cells=cells)


def _cell(told: Cell | None) -> Cell:
    if told is None:
        return Cell(level=Level.UNKNOWN, reason="the agent does not say")
    level = Level.AGENT if told.level is Level.NATIVE else told.level
    reason = line(told.reason)
    if level not in (Level.NATIVE, Level.AGENT) and not reason:
        reason = "the agent does not say why"
    return Cell(level=level, reason=reason)


def listing_of(untrusted_value: Any, host: HostId) -> Listing:
    """Read an inventory: of one host, which we name. Raises Invalid."""
    told = from_plain(Listing, untrusted_value, where="listing")
    if len(told.hosts) != 1 or len(told.vms) > MOST_VMS:
        raise Invalid("a listing is of one host and of a bounded number of VMs")
    ids = {vm.id for vm in told.vms}
    if len(ids) != len(told.vms):
        raise Invalid("a listing tells a VM twice")
    return Listing(
        hosts=(_host(told.hosts[0], host),),
        vms=tuple(_vm(vm, host) for vm in told.vms),
        incomplete=tuple(line(text) for text in told.incomplete[:MOST_OF_ONE_VM]),
    )


def vm_of(untrusted_value: Any, host: HostId) -> VM:
    """Read one VM. Raises Invalid."""
    return _vm(from_plain(VM, untrusted_value, where="vm"), host)


def limits_of(untrusted_value: Any) -> Limits:
    """Read limits. Raises Invalid."""
    told = from_plain(Limits, untrusted_value, where="limits")
    if any(value is not None and value <= 0 for value in told.values.values()):
        raise Invalid("a limit that is not above zero")
    if told.values.keys() & told.unknown.keys():
        raise Invalid("a limit that is known and unknown")
    if told.pinning is not None and (len(told.pinning) > MOST_CPUS or any(cpu < 0 for cpu in told.pinning)):
        raise Invalid("a pinning to CPUs that cannot be")
    missing: Mapping[LimitKind, str] = {
        kind: "the agent does not say" for kind in LimitKind if kind not in told.values
    }
    return replace(told, unknown={**missing, **{kind: line(why) for kind, why in told.unknown.items()}})


def carried_of(untrusted_value: Any, vm: VMId) -> MigrationStatus | None:
    """Read how far a memory stream is. Raises Invalid."""
    if untrusted_value is None:
        return None
    told = taken(Carried, untrusted_value)
    return MigrationStatus(
        vm=vm,
        phase=told.phase,
        processed_bytes=told.processed_bytes,
        encrypted=True,
        error=None if told.error is None else line(told.error),
    )


def _host(told: Host, host: HostId) -> Host:
    site = None if told.site is None else line(told.site)
    if (told.cpus or 0) < 0 or (told.memory_bytes or 0) < 0:
        raise Invalid("a host of negative size")
    return replace(
        told,
        id=host,
        name=line(told.name),
        hypervisor=line(told.hypervisor, 64),
        hypervisor_version=line(told.hypervisor_version, 64),
        site=site,
    )


def _vm(told: VM, host: HostId) -> VM:
    if not is_vm_name(told.id):
        raise Invalid("an id that no VM can have")
    if min(told.vcpus, told.memory_bytes, told.memory_max_bytes) < 0:
        raise Invalid("a VM of negative size")
    if max(len(told.disks), len(told.nics), len(told.labels)) > MOST_OF_ONE_VM:
        raise Invalid("a VM with too many parts")
    disks = tuple(replace(disk, target=line(disk.target, 64)) for disk in told.disks)
    nics = tuple(
        replace(nic, target=_maybe(nic.target), mac=line(nic.mac, 32), network=_maybe(nic.network))
        for nic in told.nics
    )
    labels = {line(key, 64): line(value, 128) for key, value in told.labels.items()}
    return replace(told, host=host, name=line(told.name), disks=disks, nics=nics, labels=labels)


def _maybe(untrusted_text: str | None) -> str | None:
    return None if untrusted_text is None else line(untrusted_text, 64)
