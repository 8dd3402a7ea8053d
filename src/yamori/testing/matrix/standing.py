"""How well a cell of the matrix stands, whose it is, and when that was proven."""

from dataclasses import dataclass
from enum import StrEnum


class Standing(StrEnum):
    """What is known of a cell. NOT_PROBED: the run's version of Yamori did not have the row yet."""

    EFFECT = "effect"
    API = "api"
    UNPROVEN = "unproven"
    NONE = "none"
    UNKNOWN = "unknown"
    NOT_PROBED = "not probed"
    FAILS = "fails"


RANK = {
    Standing.EFFECT: 3,
    Standing.API: 2,
    Standing.UNPROVEN: 1,
    Standing.NONE: 0,
    Standing.UNKNOWN: 0,
    Standing.NOT_PROBED: 0,
    Standing.FAILS: -1,
}
"""Better is higher. Of equals neither is worse: only the reason has changed."""
CLAIMED = frozenset({Standing.EFFECT, Standing.API, Standing.UNPROVEN, Standing.FAILS})
"""The hypervisor or the agent says that it has the feature."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ColumnName:
    """Whose column, whatever the hypervisor's version. ``variant`` tells two ways of using it apart."""

    driver: str
    hypervisor: str
    variant: str = ""

    def __str__(self) -> str:
        same = self.driver.casefold() == self.hypervisor.casefold()
        whole = self.hypervisor if same else f"{self.driver}: {self.hypervisor}"
        return f"{whole} ({self.variant})" if self.variant else whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """When and with what something was proven. ``kit`` is the edition of the kit; empty where it was not noted."""

    date: str
    version: str
    yamori: str
    kit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixCell:
    """One cell. ``passed`` counts the tests that spoke for it and passed, ``failed`` names those that did not."""

    level: str
    standing: Standing
    reason: str
    passed: int
    failed: tuple[str, ...]
    stamp: Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """One run over a column, counted. ``whole``: everything that the kit asks there was asked."""

    stamp: Stamp
    stage: str
    whole: bool
    passed: int
    failed: int
    skipped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixColumn:
    """What is known of a driver on a hypervisor. ``last_good`` is the newest whole run without a failure."""

    name: ColumnName
    cells: dict[str, MatrixCell]
    newest: Tally
    last_good: Tally | None
