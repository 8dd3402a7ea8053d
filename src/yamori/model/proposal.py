"""What a module asks for, and what policy rules on it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from yamori.model.actions import Action
from yamori.model.ids import FindingId, RuleId


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """An action that somebody asks for, and why. ``by`` is a module's name or ``operator:NAME``."""

    action: Action
    by: str
    reason: str
    finding: FindingId | None
    proposed_at: datetime


class Verdict(StrEnum):
    """What policy rules. Only ALLOW lets the engine act."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"
    OBSERVE_ONLY = "observe_only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The ruling on one proposal: always with the rule and a reason. ``action`` may carry a shorter expiry."""

    verdict: Verdict
    rule: RuleId
    reason: str
    action: Action
    decided_at: datetime
