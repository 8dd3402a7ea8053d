"""What the server last told of each VM, so that a change is told once however often, and out of what, it comes."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from pyVmomi import vim

from yamori.drivers.vsphere.collector import Found
from yamori.drivers.vsphere.translate import change_between, host_key, is_template, power_of, vm_id
from yamori.model.change import ChangeKind
from yamori.model.ids import VMId

PATHS = (
    "config.changeVersion",
    "config.instanceUuid",
    "config.template",
    "name",
    "runtime.host",
    "runtime.powerState",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """One change. ``host`` is the server's key of the host."""

    vm: VMId
    host: str
    kind: ChangeKind


class Mirror:
    """The VMs of one server as the updates leave them."""

    def __init__(self) -> None:
        self._known: dict[str, Found] = {}

    def begin(self, update: Any) -> None:
        """Take the first update, which tells of everything that is there."""
        self.take(update)

    def take(self, update: Any) -> list[Happened]:
        """Take an update (vSphere API: UpdateSet) and say what happened, in its order."""
        happened: list[Happened] = []
        for of_filter in update.filterSet:
            for each in of_filter.objectSet:
                if isinstance(each.obj, vim.VirtualMachine):
                    happened.extend(self._one(each))
        return happened

    def _one(self, update: Any) -> Iterable[Happened]:
        key = str(update.obj._moId)
        before = self._known.get(key)
        if str(update.kind) == "leave":
            self._known.pop(key, None)
            return [] if before is None else _told(before, ChangeKind.UNDEFINED)
        values = {} if before is None else dict(before.values)
        for change in update.changeSet:
            if str(change.op) in ("remove", "indirectRemove"):
                values.pop(change.name, None)
            else:
                values[change.name] = change.val
        now = Found(ref=update.obj, values=values) if before is None else replace(before, values=values)
        self._known[key] = now
        return _told(now, ChangeKind.DEFINED) if before is None else _between(before, now)


def _between(before: Found, now: Found) -> list[Happened]:
    happened: list[Happened] = []
    power = change_between(power_of(before), power_of(now))
    moved = host_key(before) != host_key(now)
    if moved and power is None and power_of(now) == "poweredOn":
        happened += _told(before, ChangeKind.MIGRATED_OUT) + _told(now, ChangeKind.MIGRATED_IN)
    elif power is not None:
        happened += _told(now, power)
    others = [name for name in PATHS if name not in ("runtime.powerState", "runtime.host")]
    if any(before.values.get(name) != now.values.get(name) for name in others) or (moved and not happened):
        happened += _told(now, ChangeKind.RECONFIGURED)
    return happened


def _told(found: Found, kind: ChangeKind) -> list[Happened]:
    id, host = vm_id(found.values.get("config.instanceUuid")), host_key(found)
    if id is None or host is None or is_template(found):
        return []
    return [Happened(vm=id, host=host, kind=kind)]
