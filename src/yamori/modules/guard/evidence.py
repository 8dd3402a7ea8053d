"""The words in which assess tells respond what it measured. A finding carries all that the answer rests on."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from yamori.model.finding import Evidence, Finding


class Word(StrEnum):
    """What a piece of evidence about the cause (or the host) says."""

    TAKEN = "taken"
    """Use of the resource; ``usual`` is the VM's own usual."""
    GROWTH = "part_of_growth"
    SHARE = "part_of_use"
    TOGETHER = "co_movement"
    RELIEF = "relief"
    LACK = "lack"
    """What the victims lack, in the unit of the use."""
    EXCESS = "excess"
    """The worst served victim's value divided by its bound."""
    SUFFERING = "suffering"
    """How many victims suffer at this reading."""
    FAIR = "fair_share"
    """What the cause is entitled to of the host, by its vCPUs."""
    CALM = "calm"
    """Seconds since any victim suffered."""
    QUIET = "quiet"
    """Seconds since the cause last pressed against its limit."""
    HELD = "held"
    """Seconds since the limit was last changed."""
    FAILURES = "failed_probes"
    GOOD = "good_limit"
    """Part of the present limit that was known to be enough, when loosening has just proved too much."""
    IOPS = "disk_iops"
    BYTES = "disk_bytes_s"
    SENT = "net_tx_bytes_s"
    CORES = "cpu_cores"
    ASSIGNED = "memory_assigned_bytes"
    RESIDENT = "memory_resident_bytes"
    STUCK = "suffering_for"
    """Seconds that victims have suffered without a break, not counting the time a new limit takes to work."""
    TICK = "since_last_reading"
    SQUEEZED = "squeezed"
    """1 while the CPU of a memory hog is capped because it does not give memory back."""
    SILENT = "waits_its_turn"
    """1 while another trouble of the same cause is being answered."""
    LASTED = "lasted"
    """Seconds that the trouble has lasted."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The evidence of a finding about one subject, by word."""

    values: Mapping[str, Evidence]

    def __call__(self, word: Word, otherwise: float = 0.0) -> float:
        """Return a value, or another when it was not measured."""
        found = self.values.get(word)
        return otherwise if found is None or found.value != found.value else found.value

    def usual(self, word: Word) -> float | None:
        """Return what was usual, None if never known."""
        found = self.values.get(word)
        return None if found is None else found.usual


def facts(finding: Finding) -> Facts:
    """Read the evidence about the cause of a finding, or about its host where no cause is named."""
    subject = finding.cause or finding.host
    return Facts({e.what: e for e in finding.evidence if e.subject == subject})
