"""How long to wait before the next attempt to connect, and what makes it come sooner."""

import random
from pathlib import Path

FIRST_PATIENCE_S, LONGEST_PATIENCE_S = 60.0, 3600.0
"""Between two attempts after a refused log-in or certificate: an account must not be locked out by us."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0


def patience_s(failures: int) -> float:
    """Seconds to wait after something that must not be repeated soon; doubled each time."""
    longest = min(LONGEST_PATIENCE_S, FIRST_PATIENCE_S * 2.0 ** min(failures - 1, 16))
    return longest * random.uniform(1.0, 1.25)  # noqa: S311 - spreads load, guards nothing


def pause_s(failures: int) -> float:
    """Seconds to wait after a failure of the network; doubled each time, up to half a minute."""
    longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(failures - 1, 16))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


def version_of(path: str | None) -> tuple[int, int, int] | None:
    """Changes when a file is written anew; None when there is no such file."""
    if path is None:
        return None
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
