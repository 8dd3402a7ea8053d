"""Accepted setbacks: a cell may get worse when a decision says why (`setbacks.yaml` beside the columns)."""

import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from yamori.model.support import FEATURES
from yamori.testing.matrix.standing import RANK, ColumnName, Standing

FILE = "setbacks.yaml"
LARGEST_BYTES = 1 << 20


class BadSetback(ValueError):
    """An entry does not say what got worse, or its decision does not exist or does not speak of it."""


class Setback(BaseModel):
    """One cell that may be worse than recorded. ``decision`` is a page, relative to the repository's root."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    driver: str
    hypervisor: str
    variant: str = ""
    cell: str
    before: Standing = Field(alias="from")
    after: Standing = Field(alias="to")
    decision: str
    date: datetime.date

    @property
    def column(self) -> ColumnName:
        """Whose cell it is."""
        return ColumnName(driver=self.driver, hypervisor=self.hypervisor, variant=self.variant)

    def covers(self, column: ColumnName, cell: str, before: Standing, after: Standing) -> bool:
        """Say whether this entry accepts what has happened: from there, and not deeper than told."""
        return (self.column, self.cell, self.before) == (column, cell, before) and RANK[after] >= RANK[self.after]


class _Page(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    setbacks: tuple[Setback, ...] = ()


def load(folder: Path, root: Path) -> tuple[Setback, ...]:
    """Read the folder's accepted setbacks; none without the file. Raises BadSetback."""
    path = folder / FILE
    if not path.exists():
        return ()
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise BadSetback(f"{path} is larger than {LARGEST_BYTES} bytes")
        page = _Page.model_validate(YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8")) or {})
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise BadSetback(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BadSetback(f"{path}: {'.'.join(str(x) for x in first['loc'])}: {first['msg']}") from error
    for setback in page.setbacks:
        _decided(setback, path, root)
    return page.setbacks


def _decided(setback: Setback, path: Path, root: Path) -> None:
    where = f"{path}: {setback.column}, {setback.cell}"
    if setback.cell not in FEATURES:
        raise BadSetback(f"{where}: the matrix has no such row")
    if RANK[setback.after] >= RANK[setback.before]:
        raise BadSetback(f"{where}: {setback.before} to {setback.after} is no setback")
    page = (root / setback.decision).resolve()
    if not page.is_relative_to(root.resolve()) or not page.is_file():
        raise BadSetback(f"{where}: there is no decision {setback.decision}")
    if f"`{setback.cell}`" not in page.read_text(encoding="utf-8"):
        raise BadSetback(f"{where}: {setback.decision} does not name `{setback.cell}`")
