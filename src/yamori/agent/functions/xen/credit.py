"""CPU limits of a Xen VM: cap and weight of the credit schedulers (xl(1), sched-credit2)."""

from collections.abc import Callable, Mapping
from functools import partial

from yamori.agent.functions.bounds import Told, Wanted
from yamori.agent.functions.xen.library import CREDIT, CREDIT2, Control
from yamori.agent.functions.xen.roster import Roster
from yamori.model.errors import Conflict, Invalid, YamoriError
from yamori.model.limits import LimitKind
from yamori.model.support import Cell, Level
from yamori.model.vm import VM

_CAP, _WEIGHT = LimitKind.CPU_CAP, LimitKind.CPU_WEIGHT
ORDINARY = 256
"""Weight of a domain that nobody has set."""
_MOST = 0xFFFF
_NAMES = {CREDIT: "credit", CREDIT2: "credit2"}


class CreditBounds:
    """Cap in hundredths of one CPU, weight relative to 256."""

    kinds = frozenset({_CAP, _WEIGHT})

    def __init__(self, control: Control, roster: Roster) -> None:
        self._control = control
        self._roster = roster

    def cells(self) -> Mapping[LimitKind, Cell]:
        """Ask which scheduler runs."""
        try:
            scheduler = self._control.scheduler()
        except YamoriError as error:
            return dict.fromkeys(self.kinds, Cell(level=Level.UNKNOWN, reason=error.message[:400]))
        if scheduler not in _NAMES:
            return dict.fromkeys(
                self.kinds, Cell(level=Level.NONE, reason="Xen runs another scheduler than credit")
            )
        return dict.fromkeys(self.kinds, Cell(level=Level.AGENT, reason=f"scheduler {_NAMES[scheduler]}"))

    def read(self, vm: VM) -> Told:
        """Ask the scheduler."""
        try:
            found = self._control.schedule(self._scheduler(), self._number(vm))
        except YamoriError as error:
            return dict.fromkeys(self.kinds, error)
        return {
            _CAP: found.cap / 100 if found.cap else None,
            _WEIGHT: None if found.weight == ORDINARY else found.weight / ORDINARY,
        }

    def plan(self, vm: VM, wanted: Wanted) -> Callable[[], None]:
        """Check that the numbers fit into what the scheduler keeps."""
        weight = cap = None
        if _WEIGHT in wanted:
            asked = wanted[_WEIGHT]
            weight = ORDINARY if asked is None else _fitting(_WEIGHT, asked, round(asked * ORDINARY))
        if _CAP in wanted:
            asked = wanted[_CAP]
            cap = 0 if asked is None else _fitting(_CAP, asked, round(asked * 100))
        return partial(self._control.grant, self._scheduler(), self._number(vm), weight=weight, cap=cap)

    def close(self) -> None:
        """Let go of the hypervisor."""
        self._control.close()

    def _scheduler(self) -> int:
        scheduler = self._control.scheduler()
        if scheduler not in _NAMES:
            raise Conflict("Xen runs another scheduler than credit")
        return scheduler

    def _number(self, vm: VM) -> int:
        return self._roster.read().find(vm.id).domain.number


def _fitting(kind: LimitKind, asked: float, told: int) -> int:
    if told > _MOST:
        raise Invalid(f"{kind} of {asked} is more than the scheduler can keep")
    return max(1, told)
