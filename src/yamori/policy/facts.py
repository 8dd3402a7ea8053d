"""All that a decision may rest on, gathered by control at one moment. The same facts give the same decision."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from yamori.model.actions import Effect
from yamori.model.finding import Finding
from yamori.model.host import Host
from yamori.model.ids import HostId, VMId
from yamori.model.sla import SLAClass
from yamori.model.vm import VM

CONTROL = "control"
"""``Proposal.by`` when control itself lets go of a hold whose time has come. No module may have this name."""
OPERATOR = "operator:"
"""How ``Proposal.by`` begins when a person asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One action of ours: its run is under way, or it was begun at ``at``. Brakes count deeds.

    ``host`` and ``site`` are where the VM was then; None where that was not known.
    """

    vm: VMId
    verb: str
    effects: frozenset[Effect]
    host: HostId | None
    site: str | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known when policy rules. ``vm`` None: the subject is not known; ``sla`` None: it has no known class.

    ``in_force``: deeds whose run is under way, and throttles that hold. ``recent``: deeds begun lately, releases
    too, at least as far back as ``Brakes.longest_window``. ``undoing``: an operator undoes a run of ours by this.
    """

    now: datetime
    vm: VM | None
    host: Host | None = None
    sla: SLAClass | None = None
    finding: Finding | None = None
    in_force: tuple[Deed, ...] = ()
    recent: tuple[Deed, ...] = ()
    kill_switch: bool = False
    undoing: bool = False
