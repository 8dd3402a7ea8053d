"""The command line of the matrix; see `python -m yamori.testing.matrix --help`."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from yamori.testing.matrix.comparison import FAILING, Change, Kind, compared
from yamori.testing.matrix.page import render
from yamori.testing.matrix.record import NoResult, everything, home_for, homes, merged, read, write
from yamori.testing.matrix.run import Run, columns
from yamori.testing.matrix.setbacks import BadSetback, load
from yamori.testing.matrix.standing import ColumnName, MatrixColumn

EXPLAINED = """Without options: print the matrix of these results.

--against RESULTS  compare runs with what is recorded there; fail when a cell got worse and setbacks.yaml there
                   does not accept it. What did not run is listed, and is no failure.
--into RESULTS     the same, and then lay the runs over what is recorded there. Nothing is recorded when a cell
                   got worse without a decision, or tests failed before they said whose they are.
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code: 1 for worse cells and for files that cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m yamori.testing.matrix",
        description=EXPLAINED,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULT.json")
    folder = parser.add_mutually_exclusive_group()
    folder.add_argument("--against", type=Path, metavar="RESULTS", help="the folder of the recorded columns")
    folder.add_argument("--into", type=Path, metavar="RESULTS", help="the folder of the recorded columns")
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(),
        help="what the decisions in setbacks.yaml are relative to (default: here)",
    )
    try:
        options = parser.parse_args(arguments)
    except SystemExit as leaving:
        return int(leaving.code or 0)
    try:
        if options.against is None and options.into is None:
            sys.stdout.write(render(everything(options.results)))
            return 0
        return _compare(
            options.results, options.against or options.into, options.root, record=options.into is not None
        )
    except (NoResult, BadSetback) as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _compare(results: Sequence[Path], folder: Path, root: Path, *, record: bool) -> int:
    recorded, runs = read(results)
    if recorded:
        raise NoResult("only runs can be compared, not what is recorded already: " + ", ".join(map(str, recorded)))
    places = homes(folder)
    old, _ = read(list(places.values()))
    new = columns(runs)
    changes = compared(old, new, load(folder, root)) + _lost(runs)
    failing = _tell(changes, new)
    if record and failing:
        sys.stderr.write("nothing was recorded\n")
    elif record:
        for name, column in new.items():
            write(merged(old.get(name), column), places.get(name) or home_for(name, folder))
    return 1 if failing else 0


def _lost(runs: Sequence[Run]) -> list[Change]:
    return [
        Change(kind=Kind.LOST, column="", row="", text=f"failed before it said whose it is: {test}")
        for run in runs
        for test in run.lost
    ]


def _tell(changes: Sequence[Change], new: Mapping[ColumnName, MatrixColumn]) -> int:
    """Write the comparison. Returns how many of its lines must not be."""
    for change in changes:
        kind = change.kind.upper() if change.kind in FAILING else change.kind.value
        where = ", ".join(part for part in (change.column, change.row) if part)
        line = ": ".join(part for part in (kind, where, change.text) if part)
        sys.stdout.write("".join(c if c.isprintable() else " " for c in line)[:1000] + "\n")
    counts = {kind: sum(change.kind is kind for change in changes) for kind in Kind}
    cells = sum(len(column.cells) for column in new.values())
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "nothing changed"
    failing = sum(counts[kind] for kind in FAILING)
    # In the form of pytest's last line, which the summary of scripts/test.sh looks for.
    outcome = "failed" if failing else "passed"
    sys.stdout.write(f"== {cells} cells of {len(new)} columns compared, {outcome}: {told} ==\n")
    return failing


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
