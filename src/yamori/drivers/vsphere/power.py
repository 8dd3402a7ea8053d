"""Start, stop, pause, resume, reset. The state is looked at first and decides what is left to do.

Pausing suspends: the server knows nothing nearer. The VM's memory is written to disk, and it goes on from there.
"""

from collections.abc import Callable
from typing import Any

from pyVmomi import vim

from yamori.drivers.vsphere.collector import one
from yamori.drivers.vsphere.connection import Connection
from yamori.drivers.vsphere.link import Link
from yamori.drivers.vsphere.roster import Roster
from yamori.drivers.vsphere.tasks import carry_out, raise_for
from yamori.drivers.vsphere.translate import is_template, state_of
from yamori.model.errors import Conflict, NotFound
from yamori.model.ids import VMId
from yamori.model.vm import PowerState

_PATHS = ("runtime.powerState", "runtime.connectionState", "config.template")
_RUNNING, _PAUSED, _OFF = PowerState.RUNNING, PowerState.PAUSED, PowerState.STOPPED


class VSpherePower:
    """Power of one endpoint's VMs."""

    def __init__(self, connection: Connection, roster: Roster) -> None:
        self._connection = connection
        self._roster = roster

    async def start(self, vm: VMId) -> None:
        """Run a stopped VM."""
        await self._do(vm, "start", since={_OFF}, already={_RUNNING}, act=lambda ref: ref.PowerOnVM_Task())

    async def stop(self, vm: VMId, *, force: bool = False) -> None:
        """Ask the guest to shut down (needs VMware Tools in it), or with ``force`` cut the power."""
        if force:
            await self._do(
                vm, "stop", since={_RUNNING, _PAUSED}, already={_OFF}, act=lambda ref: ref.PowerOffVM_Task()
            )
        else:
            await self._do(vm, "stop", since={_RUNNING}, already={_OFF}, act=lambda ref: ref.ShutdownGuest())

    async def pause(self, vm: VMId) -> None:
        """Stop executing, keep memory: suspend."""
        await self._do(vm, "pause", since={_RUNNING}, already={_PAUSED}, act=lambda ref: ref.SuspendVM_Task())

    async def resume(self, vm: VMId) -> None:
        """Go on executing where it was suspended."""
        await self._do(vm, "resume", since={_PAUSED}, already={_RUNNING}, act=lambda ref: ref.PowerOnVM_Task())

    async def reset(self, vm: VMId) -> None:
        """Restart as by the reset button."""
        await self._do(vm, "reset", since={_RUNNING}, already=set(), act=lambda ref: ref.ResetVM_Task())

    async def _do(
        self,
        vm: VMId,
        verb: str,
        *,
        since: set[PowerState],
        already: set[PowerState],
        act: Callable[[Any], Any],
    ) -> None:
        def begin(link: Link) -> Any:
            ref = self._roster.find(link, vm, to_act=True)
            present = _state(link, ref, vm)
            if present in already:
                return None
            if present not in since:
                raise Conflict(f"a VM that is {present} cannot {verb}", subject=vm)
            try:
                return act(ref)
            except vim.fault.InvalidPowerState:
                if _state(link, ref, vm) in already:
                    return None
                raise

        subject = str(vm)[:64]
        fault = await carry_out(self._connection, begin, capability="power", subject=subject)
        if isinstance(fault, vim.fault.InvalidPowerState) and already:
            now = await self._connection.call(
                lambda link: _state(link, self._roster.find(link, vm, to_act=True), vm),
                capability="power",
                subject=subject,
            )
            if now in already:  # somebody else was quicker and wanted the same
                return
        raise_for(self._connection, fault, capability="power", subject=subject)


def _state(link: Link, ref: Any, vm: VMId) -> PowerState:
    found = one(link, ref, _PATHS)
    if is_template(found):
        raise NotFound("this is a template, not a VM", subject=vm)
    return state_of(found)
