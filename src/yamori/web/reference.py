"""Writes the reference of the interface: ``python -m yamori.web.reference docs/reference``."""

import json
import sys
from pathlib import Path
from typing import Any, cast

from fastapi import FastAPI

from yamori.control.facade import Facade
from yamori.model.errors import NotPermitted
from yamori.web.api.described import described, page
from yamori.web.app import create_app

VERSION = "1"
"""The version of the interface, not of the service: the reference changes only when the interface does."""


def _nobody(_: str) -> None:
    """Let nothing pass: the application is only described, never served."""
    raise NotPermitted


def application() -> FastAPI:
    """Make an application to describe. It has no facade, and none is asked."""
    nothing: Any = None
    return create_app(cast("Facade", nothing), check_token=_nobody, policy_text=str, version=VERSION)


def texts() -> dict[str, str]:
    """Return the files of the reference by name."""
    app = application()
    return {
        "openapi.json": json.dumps(described(app), indent=2, sort_keys=True) + "\n",
        "api.md": page(app),
    }


def write(folder: Path) -> None:
    """Write the files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
