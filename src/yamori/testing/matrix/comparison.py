"""What a new run changes in the matrix: what got worse, what got better, and what was not run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from yamori.testing.matrix.record import asked
from yamori.testing.matrix.setbacks import Setback
from yamori.testing.matrix.standing import CLAIMED, RANK, ColumnName, MatrixCell, MatrixColumn, Standing


class Kind(StrEnum):
    """What happened to a cell or to a column, gravest first. Only WORSE and LOST fail the comparison."""

    WORSE = "worse"
    LOST = "lost"
    """Tests of the kit failed before they said whose they are: it is not known which cells they concern."""
    ACCEPTED = "accepted"
    NOT_RUN = "not run"
    THINNER = "thinner"
    """As good as before, but fewer tests show it."""
    CHANGED = "changed"
    BETTER = "better"
    NEW = "new"


FAILING = frozenset({Kind.WORSE, Kind.LOST})


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line of the comparison. ``row`` is empty where a whole column is meant."""

    kind: Kind
    column: str
    row: str
    text: str


def compared(
    old: Mapping[ColumnName, MatrixColumn], new: Mapping[ColumnName, MatrixColumn], accepted: Sequence[Setback]
) -> list[Change]:
    """Compare a run with what is recorded, gravest first. What did not run is told, and is no setback."""
    changes = [
        Change(kind=Kind.NOT_RUN, column=str(name), row="", text=f"last run on {column.newest.stamp.date}")
        for name, column in old.items()
        if name not in new
    ]
    for name, column in new.items():
        if name in old:
            changes += _of_column(old[name], column, accepted)
        else:
            failing = [row for row, cell in column.cells.items() if cell.standing is Standing.FAILS]
            kind = Kind.WORSE if failing else Kind.NEW
            text = f"a new column that fails: {', '.join(failing)}" if failing else "a new column"
            changes.append(Change(kind=kind, column=str(name), row="", text=text))
        if column.newest.failed and all(cell.standing is not Standing.FAILS for cell in column.cells.values()):
            text = f"{column.newest.failed} tests failed, about what is not claimed"
            changes.append(Change(kind=Kind.WORSE, column=str(name), row="", text=text))
    return sorted(changes, key=lambda change: (list(Kind).index(change.kind), change.column))


def _of_column(old: MatrixColumn, new: MatrixColumn, accepted: Sequence[Setback]) -> Iterator[Change]:
    name = str(new.name)
    unasked = [row for row in new.cells if row in old.cells and not asked(old.cells[row], new, row)]
    if unasked:
        since = sorted({old.cells[row].stamp.date for row in unasked})
        text = f"only a part was run; older proofs ({', '.join(since)}) stay: {', '.join(unasked)}"
        yield Change(kind=Kind.NOT_RUN, column=name, row="", text=text)
    for row, cell in new.cells.items():
        before = old.cells.get(row)
        if row in unasked:
            continue
        if before is None or before.standing is Standing.NOT_PROBED:
            if cell.standing is Standing.FAILS:
                yield Change(kind=Kind.WORSE, column=name, row=row, text=f"a new row: {told(cell)}")
            elif cell.standing is not Standing.NOT_PROBED:
                yield Change(kind=Kind.NEW, column=name, row=row, text=told(cell))
            continue
        kind, remark = _of_cell(old.name, row, before, cell, accepted, whole=new.newest.whole)
        if kind is not None:
            text = f"{told(before)} ({before.stamp.date}) → {told(cell)}{remark}"
            yield Change(kind=kind, column=name, row=row, text=text)


def _of_cell(
    name: ColumnName, row: str, before: MatrixCell, cell: MatrixCell, accepted: Sequence[Setback], *, whole: bool
) -> tuple[Kind | None, str]:
    was, now = RANK[before.standing], RANK[cell.standing]
    if now < was:
        for setback in accepted:
            if setback.covers(name, row, before.standing, cell.standing):
                return Kind.ACCEPTED, f": {setback.decision}"
        return Kind.WORSE, f": {', '.join(cell.failed[:5]) or cell.reason or 'no test that passed proves it'}"
    if now > was:
        return Kind.BETTER, ""
    if before.standing is not cell.standing or before.level != cell.level:
        return Kind.CHANGED, f": {cell.reason}" if cell.reason else ""
    if whole and cell.standing in CLAIMED and cell.passed < before.passed:
        return Kind.THINNER, f", by {cell.passed} instead of {before.passed} tests"
    return None, ""


def told(cell: MatrixCell) -> str:
    """Return a cell in words: who provides it, and how far that is proven."""
    if cell.standing is Standing.FAILS:
        return "FAILS"
    if cell.standing not in CLAIMED:
        return cell.standing.value
    return f"{cell.level} · {'API' if cell.standing is Standing.API else cell.standing.value}"
