"""The Python distributions that Yamori stands on, as this machine has them, for the Python of dom0."""

from __future__ import annotations

import compileall
import re
import shutil
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from yamori.model.errors import Unsupported

_DOM0_PYTHON = (3, 11)
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_EXTRA = re.compile(r"\bextra\s*==")


def closure() -> dict[str, Distribution]:
    """Yamori's dependencies and theirs, without extras, as far as they are installed here; by normal name.

    Raises Unsupported when this Python is another than dom0's: compiled modules would not fit.
    """
    if sys.version_info[:2] != _DOM0_PYTHON:
        wanted = ".".join(map(str, _DOM0_PYTHON))
        raise Unsupported("lab", f"dom0 has Python {wanted}, and a Xen host takes Yamori's dependencies from here")
    found: dict[str, Distribution] = {}
    _collect("yamori", found)
    found.pop("yamori", None)
    return found


def _collect(name: str, found: dict[str, Distribution]) -> None:
    normal = re.sub(r"[-_.]+", "-", name).lower()
    if normal in found:
        return
    try:
        found[normal] = distribution(name)
    except PackageNotFoundError:
        return  # a requirement of another platform
    for requirement in found[normal].requires or ():
        if (match := _NAME.match(requirement)) and not _EXTRA.search(requirement):
            _collect(match[0], found)


def copy(target: Path) -> None:
    """Copy the files of all dependencies below ``target`` and compile them there."""
    for package in closure().values():
        for file in package.files or ():
            if ".." in file.parts or "__pycache__" in file.parts:
                continue  # a command, or what is compiled anew below
            source = Path(str(file.locate()))
            if source.is_file():
                (target / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target / file)
    compileall.compile_dir(str(target), stripdir=str(target), prependdir="/opt/yamori/deps", quiet=2, workers=0)
