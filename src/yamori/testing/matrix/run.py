"""One run of the kit as pytest wrote it: read, checked, pooled by column, and judged cell by cell."""

from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from yamori.model.support import FEATURES, Level
from yamori.testing.conformance.contract import API, EFFECT
from yamori.testing.matrix.standing import ColumnName, MatrixCell, MatrixColumn, Stamp, Standing, Tally

PRESENT = frozenset({Level.NATIVE, Level.AGENT})


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class Claim(_Part):
    """What the probe said of a feature."""

    level: Literal["native", "agent", "none", "unknown"]
    reason: str = Field(max_length=1000)


class Outcome(_Part):
    """One test of the kit: for which rows it speaks, and whether by effect or by the interface alone."""

    name: str = Field(max_length=500)
    outcome: Literal["passed", "failed", "skipped"]
    proves: dict[str, Literal["api", "effect"]]


class Subject(_Part):
    """One hypervisor in the run. Without ``variant`` the words after the version are the variant."""

    driver: str = Field(min_length=1, max_length=100)
    hypervisor: str = Field(min_length=1, max_length=300)
    variant: str | None = Field(default=None, max_length=100)
    whole: bool = True
    cells: dict[str, Claim]
    tests: tuple[Outcome, ...] = Field(strict=False)


class Run(_Part):
    """A file as `yamori.testing.conformance.report` writes it. ``lost``: failed before it was known whose."""

    yamori: str = Field(max_length=50)
    date: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    kit: str = Field(default="", max_length=50)
    stage: str = Field(default="", max_length=50)
    subjects: tuple[Subject, ...] = Field(strict=False)
    lost: tuple[str, ...] = Field(default=(), strict=False)


def named(subject: Subject) -> tuple[ColumnName, str]:
    """Return the column's name, and the hypervisor's version: from its first word that begins with a digit."""
    words = subject.hypervisor.split()
    at = next((i for i, word in enumerate(words) if i and word[0].isdigit()), len(words))
    family, rest = " ".join(words[:at]), words[at:]
    if subject.variant is not None:
        version, variant = rest, subject.variant
    else:
        version, variant = rest[:1], " ".join(rest[1:])
    return ColumnName(driver=subject.driver, hypervisor=family, variant=variant), " ".join(version)


def columns(runs: Sequence[Run]) -> dict[ColumnName, MatrixColumn]:
    """Judge runs of one moment: of the same column their tests count together, so that no failure is outdone."""
    found: dict[ColumnName, list[tuple[Run, Subject, str]]] = {}
    for run in runs:
        for subject in run.subjects:
            name, version = named(subject)
            found.setdefault(name, []).append((run, subject, version))
    return {name: _judged(name, parts) for name, parts in sorted(found.items())}


def _judged(name: ColumnName, parts: Sequence[tuple[Run, Subject, str]]) -> MatrixColumn:
    newest, _, version = max(parts, key=lambda part: part[0].date)
    stamp = Stamp(date=newest.date, version=version, yamori=newest.yamori, kit=newest.kit)
    claims: dict[str, Claim] = {}
    for _, subject, _ in parts:
        for row, claim in subject.cells.items():
            claims[row] = weaker(claims[row], claim) if row in claims else claim
    tests = [test for _, subject, _ in parts for test in subject.tests]
    counts = {word: sum(t.outcome == word for t in tests) for word in ("passed", "failed", "skipped")}
    tally = Tally(
        stamp=stamp,
        stage=", ".join(sorted({run.stage for run, _, _ in parts} - {""})),
        whole=any(subject.whole for _, subject, _ in parts),
        passed=counts["passed"],
        failed=counts["failed"],
        skipped=counts["skipped"],
    )
    return MatrixColumn(
        name=name,
        cells={row: _cell(row, claims.get(row), tests, stamp) for row in FEATURES},
        newest=tally,
        last_good=tally if tally.whole and not tally.failed and tally.passed else None,
    )


def weaker(one: Claim, other: Claim) -> Claim:
    """Of two answers of one hypervisor return the one that promises less; what is not known yields to what is."""
    order = (Level.NONE, Level.AGENT, Level.NATIVE, Level.UNKNOWN)
    return min(one, other, key=lambda claim: order.index(Level(claim.level)))


def concerns(test_feature: str, row: str) -> bool:
    """Say whether a test speaks for a row: it names the row, or the word that the row begins with."""
    return row == test_feature or row.startswith(f"{test_feature}.")


def _cell(row: str, claim: Claim | None, tests: Iterable[Outcome], stamp: Stamp) -> MatrixCell:
    if claim is None:
        return MatrixCell(level="", standing=Standing.NOT_PROBED, reason="", passed=0, failed=(), stamp=stamp)
    spoke = [test for test in tests if any(concerns(feature, row) for feature in test.proves)]
    failed = tuple(sorted({test.name for test in spoke if test.outcome == "failed"}))
    # A test that speaks for the whole word shows nothing of one of its rows, unless it fails.
    proofs = [test.proves[row] for test in spoke if test.outcome == "passed" and row in test.proves]
    if claim.level not in PRESENT:
        standing = Standing(claim.level)
    elif failed:
        standing = Standing.FAILS
    elif EFFECT in proofs:
        standing = Standing.EFFECT
    else:
        standing = Standing.API if API in proofs else Standing.UNPROVEN
    passed = len(proofs) if claim.level in PRESENT else 0
    return MatrixCell(
        level=claim.level, standing=standing, reason=claim.reason, passed=passed, failed=failed, stamp=stamp
    )
