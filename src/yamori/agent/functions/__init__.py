"""What the agent does on its host: small pieces, each for what the hypervisor's own interface lacks.

Light to import; the pieces are loaded by ``open_host``, once the agent has given up its privileges.
"""

from collections.abc import Callable

from yamori.agent.functions.needs import NEEDS, Need, needs
from yamori.agent.functions.settings import Function, HostSettings
from yamori.agent.lapse import LapseNote, log_note
from yamori.capabilities.session import Session

__all__ = ["NEEDS", "Function", "HostSettings", "Need", "needs", "open_host"]


async def open_host(
    settings: HostSettings,
    *,
    enter: Callable[[], None] | None = None,
    tell: Callable[[LapseNote], None] = log_note,
) -> Session:
    """Open the session of this host, and end the limits that an earlier life of the agent has promised to end.

    ``enter`` is what the thread that talks to the kernel does first, such as enter another network namespace.
    ``tell`` hears what becomes of limits that end by themselves. Raises Failed, Unsupported.
    """
    from yamori.agent.functions.opening import opened

    return await opened(settings, enter, tell)
