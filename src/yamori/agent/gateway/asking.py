"""Asks one agent over its connection, and believes what it answers only where that can be so."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from yamori.agent.gateway.post import Post
from yamori.agent.gateway.translate import is_vm_name
from yamori.agent.protocol.calls import READ_S, CallName
from yamori.model.errors import Invalid, NotFound, Unreachable
from yamori.model.ids import HostId, VMId

T = TypeVar("T")


class Asking:
    """Asks one agent, and reads what it answers: an answer that cannot be ends its connection."""

    def __init__(self, post: Post, host: HostId, now: Callable[[], datetime]) -> None:
        self.post = post
        self.host = host
        self.now = now
        self.closed = False

    async def ask(
        self, name: CallName, arguments: Any, read: Callable[[Any], T], *, timeout_s: float = READ_S
    ) -> T:
        """Raises what the agent answers, Unreachable, TimedOut, Busy, Failed."""
        if self.closed:
            raise Unreachable("this session was closed", subject=self.post.name)
        untrusted_value = await self.post.call(name.value, arguments, timeout_s=timeout_s)
        try:
            return read(untrusted_value)
        except Invalid as error:
            raise self.post.garbled(error) from None


def named(vm: VMId) -> str:
    """Return an id as it is sent. What cannot be the id of a VM is not asked for: NotFound."""
    if not is_vm_name(vm):
        raise NotFound("there is no such VM", subject=repr(vm[:80]))
    return vm


def nothing(untrusted_value: Any) -> None:
    """Read the answer of a call that has none. Raises Invalid."""
    if untrusted_value is not None:
        raise Invalid("an answer where none belongs")
