"""What a service that has just started says of itself: where it is, and how to get in."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from yamori.cli.terminal import clean, say

if TYPE_CHECKING:
    from yamori.wiring import Service


def welcome(service: Service, out: Callable[[str], None] = say) -> None:
    """Tell the address and where the token is. The link that holds the token is for a person, never for a log."""
    out(f"Yamori serves at {service.url}")
    if sys.stdout.isatty() and sys.stderr.isatty():
        out(f"log in: {service.url}/login#{service.token.reveal()}")
    out(f"its token is in {clean(service.state_dir)}; other commands find it there. Ctrl-C ends it.")
