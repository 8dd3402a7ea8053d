"""One unit of work on the world, bound to its action and to what it may use."""

from collections.abc import Sequence
from typing import Protocol

from yamori.model.plain import Json
from yamori.model.run import RunState
from yamori.workflow.journal import Fact


class Step(Protocol):
    """Promises: every method may be called again after a crash; ``check`` changes nothing.

    The world is asked, never remembered: ``apply`` and ``undo`` look at what is and bring about what should be.
    """

    @property
    def name(self) -> str:
        """Return the word under which the journal knows this step."""
        ...

    async def check(self) -> Json:
        """Look; return what undoing will need, as plain JSON. Raises Refused; Failed when it cannot look."""
        ...

    async def apply(self, before: Json) -> None:
        """Act. Idempotent. Raises Failed, Refused, Untrusted."""
        ...

    async def verify(self, before: Json) -> Json:
        """Read back and return what was seen. Raises Failed when it is not so."""
        ...

    async def undo(self, before: Json) -> None:
        """Put back what ``before`` says. Idempotent. Raises Failed."""
        ...

    def facts(self, state: RunState, before: Json | None) -> Sequence[Fact]:
        """Say what else becomes true the moment the run enters ``state``; written in the same transaction.

        Called once for each state that the run enters. ``before`` is what check returned, None until then.
        Must not fail and must not look at the world.
        """
        ...
