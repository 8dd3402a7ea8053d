"""Carries out throttle, release and migrate. The hypervisor is the truth: every phase asks what is.

What a hand has changed is never overwritten: it is read before every write, and named.
"""

import asyncio

from yamori.capabilities.acting.limits import LimitsWriter
from yamori.capabilities.acting.migration import Migration
from yamori.capabilities.sensing.limits import LimitsReader
from yamori.capabilities.session import Sensing
from yamori.manifest.module import Json, StepContext
from yamori.model.actions import Migrate, Release, Throttle
from yamori.model.errors import (
    Conflict,
    Interrupted,
    NotFound,
    Rejected,
    Unsupported,
    Untrusted,
)
from yamori.model.ids import HostId, VMId
from yamori.model.limits import LimitKind, Limits
from yamori.model.migration import Forecast, Landing, MigrationPhase, StorageMode
from yamori.model.plain import to_plain
from yamori.model.vm import VM, PowerState
from yamori.modules.guard.rounding import same, stricter, words
from yamori.modules.guard.terms import Values, allowed, drift, plain, sound, untouched, values

BALLOON_S = 10.0
"""A balloon may take so long to show its target."""
LOOK_S = 0.25
LATE_S = 2.0
"""A host that ends a limit by itself does so that much after us, so that our own release is the ordinary end."""
ALLOW = "`stopping` allows that it stands still"
GONE = "gone"
COPY = frozenset({PowerState.RUNNING, PowerState.PAUSED})


def _reader(context: StepContext) -> LimitsReader:
    if context.sensing.limits is None:
        raise Unsupported("limits", "this endpoint cannot read limits back")
    return context.sensing.limits


def _writer(context: StepContext) -> LimitsWriter:
    if context.acting.limits is None:
        raise Unsupported("limits", "this endpoint cannot set limits")
    return context.acting.limits


async def _running(sensing: Sensing, vm: VMId) -> VM:
    found = await sensing.inventory.vm(vm)
    if found.state is not PowerState.RUNNING:
        raise Conflict(f"the VM is {found.state}, not running", subject=vm)
    return found


class ThrottleSteps:
    """Bounds one VM. Notes ``hold`` (what held first, what is asked) and ``found`` (what held just before)."""

    async def check(self, action: Throttle, context: StepContext) -> Json:
        """Refuse what is malformed, not allowed to its class, not supported, or changed by hand."""
        sound(action)
        reader = _reader(context)
        _writer(context)
        vm = await _running(context.sensing, action.vm)
        allowed(action, vm, context.view.sla(action.vm))
        kinds = context.view.kinds.get(vm.host) if vm.host is not None else None
        read = await reader.read(action.vm)
        for kind in action.limits:
            if kinds is not None and kind not in kinds:
                raise Unsupported(f"limits.{kind}", "this host cannot set it", subject=action.vm)
            if kind not in read.values:
                raise Unsupported(f"limits.{kind}", read.unknown.get(kind, "not read back"), subject=action.vm)
        hold = context.hold
        if hold is not None:
            untouched(hold, read)
        first = {} if hold is None else {k: v for k, v in hold.before.items() if k in hold.asked}
        before = {kind: first.get(kind, read.values[kind]) for kind in action.limits}
        lifted = {kind: value for kind, value in first.items() if kind not in action.limits}
        found = {kind: read.values[kind] for kind in (*before, *lifted) if kind in read.values}
        return {
            "hold": {"before": plain(before), "asked": plain(action.limits)},
            "found": plain(found),
            "lift": plain(lifted),
        }

    async def apply(self, action: Throttle, before: Json, context: StepContext) -> None:
        """Set what is stricter of asked and before; give back what an earlier throttle of ours took besides."""
        wanted, found = self._wanted(before), values(before["found"])
        read = await _reader(context).read(action.vm)
        expected = {kind: (found.get(kind), value) for kind, value in wanted.items()}
        changed = drift(read, expected)
        if changed:
            raise Conflict(f"changed by another hand: {', '.join(changed)}", subject=action.vm)
        asked = {k: v for k, v in wanted.items() if k in action.limits}
        # Set even where it holds already: the host's own expiry, where there is one, must be renewed.
        await _writer(context).set(action.vm, asked, lapse_s=action.expires_after_s + LATE_S)
        rest = {k: v for k, v in wanted.items() if k not in asked}
        todo = {k: v for k, v in rest.items() if k not in read.values or not same(k, read.values[k], v)}
        if todo:
            await _writer(context).set(action.vm, todo)

    async def verify(self, action: Throttle, before: Json, context: StepContext) -> Json:
        """Read back. A balloon's target may take a while to show."""
        wanted = self._wanted(before)
        read = await _settled(_reader(context), action.vm, wanted)
        off = drift(read, {kind: (value,) for kind, value in wanted.items()})
        off += [f"{kind} cannot be read" for kind in wanted if kind not in read.values]
        if off:
            asked = ", ".join(words(k, v) for k, v in wanted.items())
            raise Rejected(f"asked for {asked}, read back {', '.join(off)}", subject=action.vm)
        return {"limits": plain({kind: read.values[kind] for kind in wanted})}

    async def undo(self, action: Throttle, before: Json, context: StepContext) -> None:
        """Put back what was found, but leave what another hand has changed since, and say so."""
        wanted, found = self._wanted(before), values(before["found"])
        beneath = context.hold
        left_s = 0.0 if beneath is None else (beneath.expires_at - context.view.now).total_seconds()
        await _put_back(action.vm, found, wanted, context, lapse_s=left_s + LATE_S if left_s > 0 else None)

    def _wanted(self, before: Json) -> dict[LimitKind, float | None]:
        held = values(before["hold"]["before"])
        asked = values(before["hold"]["asked"])
        return {**values(before.get("lift", {})), **{k: stricter(v, held.get(k)) for k, v in asked.items()}}


class ReleaseSteps:
    """Gives a VM back the limits that it had before our throttle. Leaves alone what a hand has changed."""

    async def check(self, action: Release, context: StepContext) -> Json:
        """Refuse when there is no throttle of ours. Notes what to put back, and what was changed by hand."""
        hold = context.hold
        if hold is None:
            raise Conflict("there is no throttle of ours on this VM", subject=action.vm)
        _writer(context)
        try:
            read = await _reader(context).read(action.vm)
        except NotFound:
            return {"back": {}, "ours": {}, "left": {}, GONE: True}
        ours = {k: stricter(v, hold.before.get(k)) for k, v in hold.asked.items()}
        back: dict[LimitKind, float | None] = {}
        left: dict[LimitKind, float | None] = {}
        for kind, value in ours.items():
            first = hold.before.get(kind)
            known = kind in read.values and any(same(kind, read.values[kind], v) for v in (value, first))
            (back if known else left)[kind] = first if known else read.values.get(kind)
        return {"back": plain(back), "ours": plain(ours), "left": plain(left)}

    async def apply(self, action: Release, before: Json, context: StepContext) -> None:
        """Put back; a VM that is gone has taken its limits along."""
        if before.get(GONE):
            return
        back, ours = values(before["back"]), values(before["ours"])
        await _put_back(action.vm, back, {kind: ours.get(kind) for kind in back}, context)

    async def verify(self, action: Release, before: Json, context: StepContext) -> Json:
        """Read back."""
        if before.get(GONE):
            return {GONE: True}
        back = values(before["back"])
        read = await _settled(_reader(context), action.vm, back)
        off = drift(read, {kind: (value,) for kind, value in back.items()})
        if off:
            raise Rejected(f"still limited: {', '.join(off)}", subject=action.vm)
        return {"limits": plain({k: read.values[k] for k in back if k in read.values}), "left": before["left"]}

    async def undo(self, action: Release, before: Json, context: StepContext) -> None:
        """Change nothing: a VM that has its own limits again is in the safe state."""


class MigrateSteps:
    """Moves a running VM, encrypted, and proves that exactly one copy runs. Notes how and where from."""

    async def check(self, action: Migrate, context: StepContext) -> Json:
        """Refuse when either side cannot, the VM does not run, moves already, or is at the destination.

        A VM that would stand still while it is sent is refused too, unless the action allows that.
        """
        _mover(context)
        vm = await _running(context.sensing, action.vm)
        if context.destination is None or action.to is None:
            raise Conflict("no destination was chosen", subject=action.vm)
        if await _copy(context.destination, action.vm, action.to) is not None or vm.host == action.to:
            raise Conflict(f"the VM is at {action.to} already", subject=action.vm)
        if context.landing is None:
            raise Unsupported("migration.live", f"{action.to} cannot take VMs", subject=action.vm)
        if await _under_way(context, action.vm):
            raise Conflict("the VM is being moved already", subject=action.vm)
        storage = _storage(vm)
        forecast = await _forecast(action, context.landing, storage, context)
        return {"from": vm.host, "to": action.to, "storage": storage.value, "forecast": to_plain(forecast)}

    async def apply(self, action: Migrate, before: Json, context: StepContext) -> None:
        """Start the move, or join it where it is under way, and wait for its end. Does nothing when it is done."""
        if await self._arrived(action, before, context):
            return
        mover = _mover(context)
        if not await _under_way(context, action.vm):
            if context.landing is None:
                raise Conflict("the destination has a copy while the source has one too", subject=action.vm)
            await mover.start(
                action.vm,
                context.landing,
                storage=StorageMode(before["storage"]),
                bandwidth_bytes_s=None,
                key=context.key,
                stopping=action.stopping,
            )
        status = await mover.wait(action.vm)
        if status.phase is not MigrationPhase.SUCCEEDED:
            raise Interrupted(
                f"the move {status.phase}: {(status.error or 'no reason given')[:300]}", subject=action.vm
            )
        if status.encrypted is False:
            raise Untrusted("the move was not encrypted", subject=action.vm)

    async def verify(self, action: Migrate, before: Json, context: StepContext) -> Json:
        """Read both sides: one running copy at the destination, none at the source."""
        here = await _copy(context.sensing, action.vm, before["from"])
        there = None if context.destination is None else await _copy(context.destination, action.vm, action.to)
        if here is not None or there is None or there.state is not PowerState.RUNNING:
            at = "both hosts" if here and there else before["from"] if here else "neither host"
            raise Rejected(f"after the move the VM runs at {at}", subject=action.vm)
        return {"host": there.host, "copies": 1}

    async def undo(self, action: Migrate, before: Json, context: StepContext) -> None:
        """Stop a move that is under way. What has arrived stays: moving back is another decision."""
        if await self._arrived(action, before, context) or not await _under_way(context, action.vm):
            return
        await _mover(context).cancel(action.vm)
        if await _copy(context.sensing, action.vm, before["from"]) is None:
            raise Rejected("after cancelling the move the VM does not run at its source", subject=action.vm)

    async def _arrived(self, action: Migrate, before: Json, context: StepContext) -> bool:
        if context.destination is None or await _copy(context.destination, action.vm, action.to) is None:
            return False
        return await _copy(context.sensing, action.vm, before["from"]) is None


async def _put_back(
    vm: VMId, back: Values, ours: Values, context: StepContext, *, lapse_s: float | None = None
) -> None:
    """Set ``back`` where ``ours`` still holds. Raises Conflict, at the end, for what another hand has changed.

    ``lapse_s`` is what an earlier throttle, which comes back into force, has left.
    """
    read = await _reader(context).read(vm)
    expected = {kind: (value, ours.get(kind)) for kind, value in back.items()}
    changed = {k for k, values in expected.items() if drift(read, {k: values})}
    todo = {
        kind: value
        for kind, value in back.items()
        if kind not in changed and not (kind in read.values and same(kind, read.values[kind], value))
    }
    if todo:
        await _writer(context).set(vm, todo, lapse_s=lapse_s)
    if changed:
        said = ", ".join(words(kind, read.values[kind]) for kind in sorted(changed))
        raise Conflict(f"left as another hand has set it: {said}", subject=vm)


async def _settled(reader: LimitsReader, vm: VMId, wanted: Values) -> Limits:
    loop = asyncio.get_running_loop()
    until = loop.time() + (BALLOON_S if LimitKind.MEMORY in wanted else 0.0)
    while True:
        read = await reader.read(vm)
        memory = LimitKind.MEMORY
        arrived = memory not in wanted or same(memory, read.values.get(memory), wanted[memory])
        if arrived or loop.time() >= until:
            return read
        await asyncio.sleep(LOOK_S)


def _mover(context: StepContext) -> Migration:
    if context.acting.migration is None:
        raise Unsupported("migration.live", "this endpoint cannot move VMs")
    return context.acting.migration


async def _forecast(action: Migrate, landing: Landing, storage: StorageMode, context: StepContext) -> Forecast:
    """Ask how the VM would move. Raises Unsupported where it would stand still and that was not allowed."""
    watch = context.sensing.migration
    if watch is None:
        raise Unsupported("migration.live", "this endpoint cannot tell how it would move VMs")
    forecast = await watch.forecast(action.vm, landing, storage=storage, bandwidth_bytes_s=None)
    if not forecast.live and not action.stopping:
        raise Unsupported("migration.live", forecast.why, subject=action.vm, mend=ALLOW)
    return forecast


async def _under_way(context: StepContext, vm: VMId) -> bool:
    watch = context.sensing.migration
    status = None if watch is None else await watch.status(vm)
    return status is not None and status.phase is MigrationPhase.RUNNING


async def _copy(sensing: Sensing, vm: VMId, host: HostId | None) -> VM | None:
    """Return the VM as this side shows it if it counts as a running copy on the host (a side may have many)."""
    try:
        found = await sensing.inventory.vm(vm)
    except NotFound:
        return None
    return found if found.state in COPY and host in (None, found.host) else None


def _storage(vm: VM) -> StorageMode:
    """Copy disks only when they are known not to be shared: copying a disk onto itself would destroy it."""
    apart = any(disk.shared is False and not disk.read_only for disk in vm.disks)
    return StorageMode.COPIED if apart else StorageMode.SHARED
