"""Finding the running service: its state directory, its address, its token."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from yamori.model.errors import NotFound, Unreachable, Untrusted

if TYPE_CHECKING:
    from yamori.web.client import Client

VARIABLE = "YAMORI_STATE_DIR"


def default_state_dir() -> Path:
    """Return where a service keeps its state: as told by the environment, else by who runs it."""
    told = os.environ.get(VARIABLE)
    if told:
        return Path(told)
    if os.geteuid() == 0:
        return Path("/var/lib/yamori")
    home = os.environ.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local" / "state") / "yamori"


def connect(state_dir: Path | None, *, timeout_s: float = 30.0) -> Client:
    """Return a client of the running service.

    Raises Unreachable when none runs; Untrusted when others could have planted its address or read its token.
    """
    from yamori.trust.token import read_token
    from yamori.web import service_file
    from yamori.web.client import Client

    directory = state_dir or default_state_dir()
    _check_owner(directory)
    url = service_file.read(directory)
    try:
        token = read_token(directory)
    except NotFound as error:
        raise Unreachable(
            "the service's token is missing", subject=str(directory), mend=service_file.START
        ) from error
    return Client(url, token.reveal(), timeout_s=timeout_s)


def _check_owner(directory: Path) -> None:
    """Refuse a directory in which others can write: its address would tell us where to send the token."""
    try:
        found = directory.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise Untrusted(f"cannot be looked at: {error.strerror}", subject=str(directory)) from error
    if found.st_uid not in {0, os.geteuid()}:
        mend = f"run as the user who runs yamori up, or name another with --state-dir or {VARIABLE}"
        raise Untrusted(
            f"belongs to user {found.st_uid}, not to {os.geteuid()}", subject=str(directory), mend=mend
        )
    if found.st_mode & 0o022:
        raise Untrusted("others can write in it", subject=str(directory), mend=f"chmod 700 {directory}")
