"""The life of one trouble: opened on evidence, followed at each reading, closed when its reason is gone."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from yamori.manifest.module import Hold
from yamori.model.ids import FindingId, HostId, VMId
from yamori.model.limits import LimitKind
from yamori.modules.guard.attribution import Suspect
from yamori.modules.guard.nature import Judgement
from yamori.modules.guard.settings import GuardSettings

CONTENTION = "contention"
"""One VM harms others."""
OVERLOAD = "overload"
"""VMs suffer and nobody stands out."""
UNUSUAL = "unusual"
"""A VM does what it never did, and harms nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One trouble. ``resource`` is the index of the objective and of the use. Seconds are by the reader's clock.

    ``asked`` is our limit in force as last seen, ``good`` the limit before it was last loosened, ``probing``
    whether that is not yet proved. ``told`` is False while the trouble is too young to be told.
    """

    key: str
    id: FindingId
    kind: str
    host: HostId
    resource: int
    cause: VMId | None
    opened_at: datetime
    victims: tuple[VMId, ...] = ()
    before: Mapping[VMId, float] = field(default_factory=dict)
    """How those who suffered at the opening were served before, where that was no better than promised."""
    confidence: float = 0.0
    suspect: Suspect | None = None
    judgement: Judgement | None = None
    told: bool = True
    suffering: int = 0
    lack: float = 0.0
    excess: float = 0.0
    calm_s: float = 0.0
    quiet_s: float = 0.0
    held_s: float = 0.0
    lasted_s: float = 0.0
    stuck_s: float = 0.0
    tick_s: float = 0.0
    squeezed: bool = False
    asked: Mapping[LimitKind, float] | None = None
    good: Mapping[LimitKind, float] | None = None
    probing: bool = False
    failures: int = 0
    closed: bool = False
    silent: bool = False
    """True while another trouble of the same cause speaks: one throttle is changed at a time."""
    spoke: int = 0
    """Number of the reading at which it last spoke."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What one reading says about a case. ``seconds`` since the last one, 0 when its host was not read.

    ``pressing`` is None when it cannot be told whether the cause presses against its limit.
    """

    seconds: float
    suffering: int
    lack: float
    excess: float
    victims: tuple[VMId, ...]
    hold: Hold | None
    pressing: bool | None
    present: bool
    moving: bool


def key(kind: str, host: HostId, resource: str, cause: VMId | None) -> str:
    """Return the name of a trouble that stays the same while it lasts."""
    return "|".join(("guard", kind, host, resource, cause or "-"))


def identity(key: str, opened_at: datetime) -> FindingId:
    """Return an id for this occurrence of the trouble."""
    return FindingId(hashlib.sha256(f"{key}|{opened_at.isoformat()}".encode()).hexdigest()[:20])


def follow(case: Case, sight: Sight, settings: GuardSettings) -> Case:
    """Take one reading into account."""
    case = _limit(case, sight)
    dt = sight.seconds
    suffers = sight.suffering > 0
    case = replace(
        case,
        suffering=sight.suffering,
        lack=sight.lack,
        excess=sight.excess,
        victims=_merged(case.victims, sight.victims),
        calm_s=0.0 if suffers else case.calm_s + dt,
        held_s=case.held_s + dt if case.asked is not None else 0.0,
        quiet_s=case.quiet_s + dt if sight.pressing is False else 0.0 if sight.pressing else case.quiet_s,
        lasted_s=case.lasted_s + dt,
        stuck_s=_stuck(case, dt, settings, suffers=suffers),
        tick_s=dt,
    )
    case = _probe(case, settings, suffers=suffers)
    if case.kind == OVERLOAD and not case.told and case.lasted_s >= settings.overload_s:
        case = replace(case, told=True)
    return replace(case, closed=_over(case, sight, settings))


def _stuck(case: Case, dt: float, settings: GuardSettings, *, suffers: bool) -> float:
    if not suffers:
        return 0.0
    settling = case.asked is not None and case.held_s + dt < settings.settle_s
    return case.stuck_s if settling else case.stuck_s + dt


def _limit(case: Case, sight: Sight) -> Case:
    """Notice when our limit was set, tightened, loosened or taken away since the last reading."""
    asked = None if sight.hold is None else dict(sight.hold.asked)
    if asked == case.asked:
        return case
    loosened = (
        asked is not None
        and case.asked is not None
        and any(asked.get(k, 1e300) > v for k, v in case.asked.items())
    )
    return replace(
        case,
        asked=asked,
        good=case.asked if loosened else None,
        probing=loosened,
        held_s=0.0,
        quiet_s=0.0,
    )


def _probe(case: Case, settings: GuardSettings, *, suffers: bool) -> Case:
    """Judge a loosened limit: it failed when victims suffer again, it is proved when they do not for long."""
    if not case.probing:
        return case
    if suffers:
        return replace(case, probing=False, failures=case.failures + 1)
    if case.held_s >= settings.probe_s:
        return replace(case, probing=False, good=None, failures=max(0, case.failures - 1))
    return case


def _over(case: Case, sight: Sight, settings: GuardSettings) -> bool:
    if sight.moving:
        return False
    if not sight.present:
        return True
    if case.kind == OVERLOAD:
        return case.calm_s >= settings.clear_s
    if case.asked is None:
        return case.calm_s >= settings.clear_s
    return case.calm_s >= settings.clear_s and case.quiet_s >= settings.gone_s * (1 + min(case.failures, 3))


def _merged(old: tuple[VMId, ...], new: tuple[VMId, ...]) -> tuple[VMId, ...]:
    return old if set(new) <= set(old) else tuple(dict.fromkeys((*old, *new)))
