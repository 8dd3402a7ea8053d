"""What all runs so far have proven: one file a column, kept in the repository under `results/`."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from yamori.testing.matrix.run import Run, columns
from yamori.testing.matrix.standing import CLAIMED, RANK, ColumnName, MatrixCell, MatrixColumn, Standing

FORM = "yamori support matrix, one column, 1"
LARGEST_BYTES = 16 << 20
_COLUMN = TypeAdapter(MatrixColumn)


class NoResult(ValueError):
    """A file is not what the kit or this package has written."""


def read(paths: Sequence[Path]) -> tuple[dict[ColumnName, MatrixColumn], list[Run]]:
    """Read files: columns as recorded, and runs as pytest wrote them. Raises NoResult.

    A column that is recorded in two files is a mistake, and so refused.
    """
    recorded: dict[ColumnName, MatrixColumn] = {}
    runs: list[Run] = []
    for path in paths:
        found = _read(path)
        if isinstance(found, Run):
            runs.append(found)
        elif found.name in recorded:
            raise NoResult(f"{path}: the column {found.name} is in another file too")
        else:
            recorded[found.name] = found
    return recorded, runs


def _read(path: Path) -> Run | MatrixColumn:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise NoResult(f"{path} is not a result of the kit: larger than {LARGEST_BYTES} bytes")
        document = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(document, dict) and document.get("form") == FORM:
            return _COLUMN.validate_python({key: value for key, value in document.items() if key != "form"})
        return Run.model_validate(document)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise NoResult(f"{path} is not a result of the kit: {error!r}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise NoResult(f"{path} is not a result of the kit: {where}: {first['msg']}") from error


def everything(paths: Sequence[Path]) -> list[MatrixColumn]:
    """Return the columns that records and runs tell together: runs are laid over records by their date."""
    recorded, runs = read(paths)
    for date in sorted({run.date for run in runs}):
        for name, column in columns([run for run in runs if run.date == date]).items():
            recorded[name] = merged(recorded.get(name), column)
    return [recorded[name] for name in sorted(recorded)]


def merged(old: MatrixColumn | None, new: MatrixColumn) -> MatrixColumn:
    """Lay a newer run over what was known. What a run in part did not ask keeps its older proof and its date."""
    if old is None:
        return new
    if old.newest.stamp.date > new.newest.stamp.date:
        old, new = new, old
    cells: dict[str, MatrixCell] = {}
    for row, cell in new.cells.items():
        before = old.cells.get(row)
        cells[row] = before if before is not None and not asked(before, new, row) else cell
    return replace(new, cells=cells, last_good=new.last_good or old.last_good)


def asked(before: MatrixCell, new: MatrixColumn, row: str) -> bool:
    """Say whether a run has a say in a cell: a run in part has none where it proves less without contradicting."""
    cell = new.cells[row]
    if new.newest.whole or before.standing not in CLAIMED or cell.standing not in CLAIMED:
        return True
    if cell.standing is Standing.FAILS:
        return True
    # A part cannot take back a failure of the whole.
    return before.standing is not Standing.FAILS and RANK[cell.standing] >= RANK[before.standing]


def write(column: MatrixColumn, path: Path) -> None:
    """Write one column, so that two versions of the file can be compared by eye."""
    document: dict[str, Any] = {"form": FORM, **asdict(column)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def homes(folder: Path) -> Mapping[ColumnName, Path]:
    """Return which file of a folder holds which column. Raises NoResult."""
    found: dict[ColumnName, Path] = {}
    for path in sorted(folder.glob("*.json")):
        column = _read(path)
        if isinstance(column, Run):
            raise NoResult(f"{path} is a run, not a record: write it elsewhere, then --into {folder}")
        if column.name in found:
            raise NoResult(f"{path}: the column {column.name} is in {found[column.name]} too")
        found[column.name] = path
    return found


def home_for(name: ColumnName, folder: Path) -> Path:
    """Return the file for a column that has none yet. It may be renamed: what is in it counts."""
    words = re.sub(r"[^a-z0-9]+", "-", f"{name.hypervisor} {name.variant}".lower()).strip("-") or "column"
    path = folder / f"{words}.json"
    return (
        path if not path.exists() else folder / f"{re.sub(r'[^a-z0-9]+', '-', name.driver.lower())}-{words}.json"
    )
