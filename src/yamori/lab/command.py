"""Run a system program with a time limit and turn its failure into one clear error."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from yamori.model.errors import Failed, TimedOut, Unsupported


def run(
    command: Sequence[str], *, stdin: str | None = None, timeout_seconds: float = 30.0, cwd: Path | None = None
) -> str:
    """Return what the program printed.

    Raises Unsupported when it is not installed, TimedOut past the limit, Failed on a non-zero exit.
    """
    try:
        done = subprocess.run(
            list(command),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
            cwd=cwd,
        )
    except FileNotFoundError:
        raise Unsupported("lab", f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise TimedOut(f"{' '.join(command)} gave no result within {timeout_seconds} s") from None
    if done.returncode != 0:
        untrusted_detail = (done.stderr or done.stdout).strip()[-600:]
        raise Failed(f"{' '.join(command)} ended with {done.returncode}: {untrusted_detail}")
    return done.stdout
