"""Where the story plays: a fleet that can be harmed on purpose, and an independent measurement of its victims."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from yamori.control.facade import Facade
from yamori.model.errors import TimedOut

T = TypeVar("T")

Progress = Callable[[str, float], None]
"""Told what is being done, and which fraction of the whole is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """How one guest's service answered a client outside of Yamori during a window of time.

    Latencies in seconds. ``answered`` requests of ``asked``; None where nothing was answered.
    """

    asked: int
    answered: int
    p50_s: float | None
    p95_s: float | None


class Stage(Protocol):
    """A fleet for the story. Names are those that the hypervisor shows."""

    @property
    def title(self) -> str:
        """What this stage is, in a few words."""
        ...

    async def up(self, progress: Progress) -> None:
        """Build everything and wait until all guests serve."""
        ...

    def fleet(self) -> dict[str, Any]:
        """Return the configuration for ``yamori up``: plain data of a FleetSettings."""
        ...

    async def join(self, facade: Facade, progress: Progress) -> None:
        """Bring to the hosts what else the running service needs there; nothing, mostly."""
        ...

    def policy(self) -> str:
        """Return the policy for it, as text."""
        ...

    def offenders(self) -> Mapping[str, str]:
        """Return for each attack (cpu, memory, disk) the VM that turns noisy."""
        ...

    async def attack(self, vm: str, kind: str) -> None:
        """Let a guest turn noisy, for a bounded time."""
        ...

    async def stop_attack(self, vm: str) -> None:
        """Let it be quiet again."""
        ...

    def service(self, vm: str, since: float, until: float) -> Service:
        """Return how a guest's service answered between two moments of ``now``."""
        ...

    def now(self) -> float:
        """Return the stage's clock, in seconds."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let time pass on the stage."""
        ...

    async def down(self) -> tuple[str, ...]:
        """Take everything away; return what was left behind nevertheless."""
        ...


async def wait_until(stage: Stage, look: Callable[[], Awaitable[T | None]], limit_s: float, else_say: str) -> T:
    """Look again and again until there is something to see, and return it. Raises TimedOut with ``else_say``."""
    deadline = stage.now() + limit_s
    while True:
        if found := await look():
            return found
        if stage.now() > deadline:
            raise TimedOut(f"{else_say} within {limit_s:.0f} s")
        await stage.sleep(0.1)
