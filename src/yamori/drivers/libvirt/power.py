"""Start, stop, pause, resume, reset. The state is looked at first and decides what is left to do."""

from collections.abc import Callable
from typing import Any

import libvirt

from yamori.drivers.libvirt.connection import Connection
from yamori.drivers.libvirt.listing import find
from yamori.drivers.libvirt.translate import state
from yamori.model.errors import Conflict
from yamori.model.ids import VMId
from yamori.model.vm import PowerState

_EXECUTING = frozenset({PowerState.RUNNING})
_THERE = frozenset({PowerState.RUNNING, PowerState.PAUSED, PowerState.CRASHED})
_OFF = frozenset({PowerState.STOPPED})


class LibvirtPower:
    """Power of one endpoint's VMs. ``reset`` restarts a running domain in the family's way."""

    def __init__(self, connection: Connection, reset: Callable[[Any], object]) -> None:
        self._connection = connection
        self._reset = reset

    async def start(self, vm: VMId) -> None:
        """Run a stopped VM."""
        await self._do(vm, "start", since=_OFF, already=_EXECUTING, act=lambda d: d.create())

    async def stop(self, vm: VMId, *, force: bool = False) -> None:
        """Ask the guest to shut down, or with ``force`` cut the power."""
        if force:
            await self._do(vm, "stop", since=_THERE, already=_OFF, act=_cut)
        else:
            await self._do(vm, "stop", since=_EXECUTING, already=_OFF, act=lambda d: d.shutdown())

    async def pause(self, vm: VMId) -> None:
        """Stop executing, keep memory."""
        paused = frozenset({PowerState.PAUSED})
        await self._do(vm, "pause", since=_EXECUTING, already=paused, act=lambda d: d.suspend())

    async def resume(self, vm: VMId) -> None:
        """Go on executing."""
        paused = frozenset({PowerState.PAUSED})
        await self._do(vm, "resume", since=paused, already=_EXECUTING, act=lambda d: d.resume())

    async def reset(self, vm: VMId) -> None:
        """Restart as by the reset button."""
        live = frozenset({PowerState.RUNNING, PowerState.PAUSED})
        await self._do(vm, "reset", since=live, already=frozenset(), act=self._reset)

    async def _do(
        self,
        vm: VMId,
        verb: str,
        *,
        since: frozenset[PowerState],
        already: frozenset[PowerState],
        act: Callable[[Any], object],
    ) -> None:
        def job(link: Any) -> None:
            handle = find(link, vm)
            present = _state(handle)
            if present in already:
                return
            if present not in since:
                raise Conflict(f"a VM that is {present} cannot {verb}", subject=vm)
            try:
                act(handle)
            except libvirt.libvirtError:
                # Somebody else may have done it meanwhile; drivers have different words for that.
                if not _is(handle, already):
                    raise

        await self._connection.call(
            job, capability="power", subject=vm, seconds=self._connection.settings.timeouts.act_s
        )


def _state(handle: Any) -> PowerState:
    """Off is off, whatever ended it; a crashed VM that still holds its memory is another matter."""
    code, reason = handle.state()[:2]
    return PowerState.STOPPED if code == libvirt.VIR_DOMAIN_SHUTOFF else state(code, reason)


def _is(handle: Any, states: frozenset[PowerState]) -> bool:
    try:
        return _state(handle) in states
    except libvirt.libvirtError:
        return False


def _cut(handle: Any) -> None:
    """Cut the power. Without the polite pause that libvirt makes before it kills: the guest has no say."""
    handle.destroyFlags(libvirt.VIR_DOMAIN_DESTROY_DEFAULT)
