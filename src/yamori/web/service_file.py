"""Where the running service answers: a small file in the state directory, so that a client finds it."""

import json
from pathlib import Path

from yamori.model.errors import Invalid, Unreachable

NAME = "service.json"
START = "start it with: yamori up"


def write(state_dir: Path, url: str) -> None:
    """Say that the service answers at ``url``. The file appears whole or not at all."""
    path = state_dir / NAME
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"url": url}) + "\n", encoding="utf-8")
    fresh.chmod(0o600)
    fresh.replace(path)


def remove(state_dir: Path) -> None:
    """Take the file away when the service stops. Idempotent."""
    (state_dir / NAME).unlink(missing_ok=True)


def read(state_dir: Path) -> str:
    """Return the address. Raises Unreachable when no service has written it, Invalid when it is malformed."""
    path = state_dir / NAME
    try:
        untrusted = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Unreachable("Yamori is not running", subject=str(state_dir), mend=START) from None
    except (OSError, ValueError) as why:
        raise Invalid(f"cannot be read: {why}", subject=str(path), mend="restart yamori up") from why
    url = untrusted.get("url") if isinstance(untrusted, dict) else None
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise Invalid("holds no address", subject=str(path), mend="restart yamori up")
    return url
