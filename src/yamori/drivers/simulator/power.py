"""Start, stop, pause, resume, reset: which state allows which verb."""

from yamori.drivers.simulator.columns import State
from yamori.drivers.simulator.connection import Connection
from yamori.model.change import ChangeKind
from yamori.model.errors import Conflict
from yamori.model.ids import VMId

OFF = (State.STOPPED, State.CRASHED)


class SimulatorPower:
    """The acting capability ``power``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def start(self, vm: VMId) -> None:
        """Run a stopped VM."""
        async with self._connection.door("power.start", vm):
            state = self._state(vm)
            if state is State.PAUSED:
                raise Conflict("the VM is paused: resume it", subject=vm)
            if state in OFF:
                self._connection.world.set_state(vm, State.RUNNING, ChangeKind.STARTED)

    async def stop(self, vm: VMId, *, force: bool = False) -> None:
        """Shut down. The simulated guest obeys at once; a paused one cannot, it needs ``force``."""
        async with self._connection.door("power.stop", vm):
            state = self._state(vm)
            if state is State.PAUSED and not force:
                raise Conflict("a paused guest cannot shut down", subject=vm, mend="resume it, or force")
            if state not in OFF:
                self._connection.world.set_state(vm, State.STOPPED, ChangeKind.STOPPED)

    async def pause(self, vm: VMId) -> None:
        """Stop executing, keep memory."""
        async with self._connection.door("power.pause", vm):
            if self._executing(vm) is State.RUNNING:
                self._connection.world.set_state(vm, State.PAUSED, ChangeKind.PAUSED)

    async def resume(self, vm: VMId) -> None:
        """Go on executing. Raises Conflict while the VM stands still for a move."""
        async with self._connection.door("power.resume", vm):
            if self._executing(vm) is State.PAUSED:
                move = self._connection.world.moves.running(self._connection.row(vm))
                if move is not None and move.still:
                    raise Conflict("the VM stands still while it is moved", subject=vm)
                self._connection.world.set_state(vm, State.RUNNING, ChangeKind.RESUMED)

    async def reset(self, vm: VMId) -> None:
        """Restart as by the reset button. A paused VM stays paused; host counters go on."""
        async with self._connection.door("power.reset", vm):
            self._executing(vm)
            self._connection.world.restart(vm)

    def _state(self, vm: VMId) -> State:
        return self._connection.state(self._connection.row(vm))

    def _executing(self, vm: VMId) -> State:
        state = self._state(vm)
        if state in OFF:
            raise Conflict("the VM does not run", subject=vm)
        return state
