"""A judged fact: what is wrong with whom, on what evidence, and what was looked at."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from yamori.model.ids import FindingId, HostId, VMId


class Severity(StrEnum):
    """How bad, in the words of OCSF's severity_id."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One measured fact that a finding rests on. ``usual`` is what it was before, None if never known."""

    what: str
    subject: str
    value: float
    unit: str
    usual: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How much of what should have been examined was examined. Never shown as fine when partial."""

    examined: int
    of: int
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding. ``key`` is the same for the same trouble at the next tick, so that it is not raised twice.

    ``cause`` is the VM that does the harm where one is attributed, ``victims`` are those who suffer.
    ``closed_at`` is set once the reason is gone. ``confidence`` is between 0 and 1.
    ``resource`` is the word of the resource in contention: cpu, memory, disk, network.
    ``nature`` says whether the cause looks like an attack, like ordinary load, or is unknown.
    """

    id: FindingId
    key: str
    module: str
    kind: str
    severity: Severity
    confidence: float
    summary: str
    host: HostId | None
    cause: VMId | None
    victims: tuple[VMId, ...]
    resource: str | None
    nature: str
    evidence: tuple[Evidence, ...]
    coverage: Coverage
    opened_at: datetime
    updated_at: datetime
    closed_at: datetime | None = None
    techniques: tuple[str, ...] = ()
