"""How the service stands, in a file for `yamori agent status`. It holds no secret; losing it is no harm."""

import json
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from yamori.agent.service.identity import Identity
from yamori.model.errors import Failed, Invalid, NotFound, Untrusted
from yamori.model.plain import Json, from_plain, to_plain
from yamori.trust.private_file import read_private, replace_private

log = logging.getLogger(__name__)

FILE = "condition.json"


class Condition:
    """Written at each change, whole."""

    def __init__(self, state_dir: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._path = state_dir / FILE
        self._now = now
        self._told: dict[str, Any] = {
            "pid": os.getpid(),
            "started_at": to_plain(now()),
            "name": None,
            "controller": None,
            "expires_at": None,
            "connected": False,
            "since": to_plain(now()),
            "error": None,
            "skew_s": None,
        }

    def enrolled(self, identity: Identity) -> None:
        """Note who we are."""
        self._told |= {
            "name": identity.name,
            "controller": identity.controller,
            "expires_at": to_plain(identity.certificate.not_after),
        }
        self._write()

    def connected(self, skew_s: float) -> None:
        """Note a connection."""
        self._told |= {
            "connected": True,
            "since": to_plain(self._now()),
            "error": None,
            "skew_s": round(skew_s, 3),
        }
        self._write()

    def lost(self, why: str) -> None:
        """Note why there is none."""
        if self._told["connected"] or self._told["error"] != why:
            if self._told["connected"]:
                self._told["since"] = to_plain(self._now())
            self._told |= {"connected": False, "error": why}
            self._write()

    def remove(self) -> None:
        """Forget it at an orderly end."""
        self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        try:
            replace_private(self._path, json.dumps(self._told))
        except Failed as error:
            log.warning("the condition cannot be written: %s", error)


def read_condition(state_dir: Path) -> Json | None:
    """Return what a running service wrote, None where none runs. Raises Untrusted."""
    try:
        found: Json = from_plain(Json, json.loads(read_private(state_dir / FILE)))
    except NotFound:
        return None
    except (ValueError, Invalid) as error:
        raise Untrusted("is not what an agent writes", subject=str(state_dir / FILE)) from error
    pid = found.get("pid")
    if not isinstance(pid, int) or not Path(f"/proc/{pid}").is_dir():
        return None
    return found
