"""What the agent does on its host: small pieces, each for what the hypervisor's own interface lacks.

Light to import; the pieces are loaded by ``open_host``, once the agent has given up its privileges.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from yamori.agent.functions.needs import NEEDS, Need, needs
from yamori.agent.functions.settings import Function, HostSettings
from yamori.agent.lapse import LapseNote, log_note
from yamori.capabilities.session import Session

if TYPE_CHECKING:
    from yamori.agent.functions.carrying import Way

__all__ = ["NEEDS", "Function", "HostSettings", "Need", "needs", "open_host"]


async def open_host(
    settings: HostSettings,
    *,
    enter: Callable[[], None] | None = None,
    tell: Callable[[LapseNote], None] = log_note,
    way: Way | None = None,
) -> Session:
    """Open the session of this host, and end the limits that an earlier life of the agent has promised to end.

    ``enter`` is what the thread that talks to the kernel does first, such as enter another network namespace.
    ``tell`` hears what becomes of limits that end by themselves. ``way`` is how memory goes to other hosts, None
    where it does not. Raises Failed, Unsupported.
    """
    from yamori.agent.functions.opening import opened

    return await opened(settings, enter, tell, way)
