"""Whether the agent carries the memory of moving VMs here, and if not, why."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from yamori.agent.functions.settings import Function, HostSettings
from yamori.agent.passage.carrier import Carrier
from yamori.agent.passage.passage import Contexts
from yamori.agent.passage.settings import PassageSettings
from yamori.model.ids import VMId
from yamori.model.support import FEATURES, Cell, Level

_ROWS = tuple(f for f in FEATURES if f.startswith("migration."))
_OFF = "switched off in the agent's settings"
_NOT_SET_UP = "the passage is not set up in the agent's settings"
_NOT_OURS = "the agent leaves this to the hypervisor's own interface"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How memory goes to other hosts: what the operator says of it, and who we are to them."""

    settings: PassageSettings
    contexts: Contexts


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrying:
    """The carrier, or None and why there is none."""

    carrier: Carrier | None
    why_not: str = ""

    def cells(self) -> Mapping[str, Cell]:
        """Say what works here; disks are never the agent's."""
        none = dict.fromkeys(_ROWS, Cell(level=Level.NONE, reason=self.why_not or _NOT_OURS))
        return none if self.carrier is None else {**none, **self.carrier.cells()}


def carrying(
    settings: HostSettings, way: Way | None, runs: Callable[[VMId], Awaitable[bool]], *, needed: bool
) -> Carrying:
    """Make what carries memory, where the hypervisor needs it and the operator wants it."""
    if not needed:
        return Carrying(carrier=None)
    if Function.PASSAGE not in settings.functions:
        return Carrying(carrier=None, why_not=_OFF)
    if way is None:
        return Carrying(carrier=None, why_not=_NOT_SET_UP)
    return Carrying(carrier=Carrier(way.settings, way.contexts, runs))
