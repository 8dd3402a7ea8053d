"""What moves do to a world as time passes: begin, send, arrive, fail. A VM that cannot move live is paused."""

from typing import Protocol

from yamori.drivers.simulator.columns import Columns, State
from yamori.drivers.simulator.faults import Faults
from yamori.drivers.simulator.hardware import Hardware
from yamori.drivers.simulator.moves import Move, Moves
from yamori.model.change import ChangeKind
from yamori.model.ids import VMId
from yamori.model.migration import MigrationPhase


class Ground(Protocol):
    """What moves need of the world that they happen in."""

    columns: Columns
    faults: Faults
    hardware: Hardware
    moves: Moves

    def set_state(self, vm: VMId, state: State, kind: ChangeKind) -> None:
        """Put a VM into a state and tell of it."""

    def place(self, vm: VMId, host: str) -> None:
        """Put a VM on another host."""


def begin(world: Ground, move: Move) -> None:
    """Put a new move under way; a VM that must stand still does so from now on."""
    world.moves.begin(move)
    if move.still:
        world.set_state(move.vm, State.PAUSED, ChangeKind.PAUSED)


def run(world: Ground, seconds: float) -> None:
    """Let all moves send for so long; those that are through arrive, those that a fault strikes fail."""
    for move in world.moves.under_way():
        running = world.columns.state[move.row] == State.RUNNING
        there = move.run(seconds, float(world.columns.want_touch_bytes_s[move.row]) if running else 0.0)
        struck = world.faults.strike("migration.run", endpoint=move.endpoint, vm=move.vm, progress=move.progress)
        if struck:
            end(world, move, MigrationPhase.FAILED, str(struck[0].error()))
        elif there:
            world.place(move.vm, world.hardware.names[move.destination])
            end(world, move, MigrationPhase.SUCCEEDED)


def end(world: Ground, move: Move, phase: MigrationPhase, error: str | None = None) -> None:
    """End a move; a VM that stood still for it goes on, wherever it now is."""
    if move.still and world.columns.state[move.row] == State.PAUSED:
        world.set_state(move.vm, State.RUNNING, ChangeKind.RESUMED)
    world.moves.end(move, phase, error)
