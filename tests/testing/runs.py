"""Small made-up results of the kit."""

import json
from pathlib import Path
from typing import Any

from yamori.model.support import FEATURES
from yamori.testing.matrix.run import Run, columns
from yamori.testing.matrix.standing import MatrixColumn

CLAIMS = {name: {"level": "native", "reason": ""} for name in FEATURES}


def claims(**changed: tuple[str, str]) -> dict[str, dict[str, str]]:
    """All features native, but those that are named: level and reason."""
    told = {row.replace("__", "."): {"level": level, "reason": reason} for row, (level, reason) in changed.items()}
    return CLAIMS | told


def outcome(word: str, name: str = "t", **proves: str) -> dict[str, Any]:
    return {"name": name, "outcome": word, "proves": {row.replace("__", "."): how for row, how in proves.items()}}


def document(date: str = "2026-01-02", lost: tuple[str, ...] = (), **changes: Any) -> dict[str, Any]:
    subject = {"driver": "d", "hypervisor": "h 1.0", "variant": "", "cells": CLAIMS, "tests": [], **changes}
    return {
        "yamori": "0.1.0",
        "kit": "abc",
        "date": date,
        "stage": "unit",
        "lost": list(lost),
        "subjects": [subject],
    }


def write_run(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps(document(**changes)), encoding="utf-8")
    return path


def column(**changes: Any) -> MatrixColumn:
    (found,) = columns([Run.model_validate(document(**changes))]).values()
    return found
