"""The server's tasks: begun in a thread, waited for without one."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from yamori.drivers.vsphere.collector import one
from yamori.drivers.vsphere.connection import Connection
from yamori.drivers.vsphere.failure import translate
from yamori.drivers.vsphere.link import Link
from yamori.drivers.vsphere.wire import Garbled
from yamori.model.errors import TimedOut

_PATHS = ("info.state", "info.error", "info.progress")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a task stands. ``error`` is the server's fault, ``percent`` 0 to 100 where it is told."""

    ended: bool
    error: BaseException | None = None
    percent: int | None = None


def standing(link: Link, task: Any) -> Standing:
    """Look at a task. Its parts are read one by one: some servers answer a reading of the whole badly."""
    found = one(link, task, _PATHS)
    state = str(found.values.get("info.state"))
    if state == "success":
        return Standing(ended=True)
    if state == "error":
        fault = found.values.get("info.error")
        return Standing(ended=True, error=fault if isinstance(fault, Exception) else Garbled("a task failed"))
    return Standing(ended=False, percent=found.number("info.progress"))


async def carry_out(
    connection: Connection, begin: Callable[[Link], Any], *, capability: str, subject: str
) -> BaseException | None:
    """Begin a task, wait for its end and return the fault that it ended with, None when all went well.

    ``begin`` returns None when there is nothing to do. Raises TimedOut when the task takes longer than calls
    that act may take (it goes on), and what ``Connection.call`` raises.
    """
    seconds = connection.settings.timeouts.act_s
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    task = await connection.call(begin, capability=capability, subject=subject, seconds=seconds)
    pause = _FIRST_PAUSE_S
    while task is not None:
        now = await connection.call(
            lambda link: standing(link, link.here(task)), capability=capability, subject=subject
        )
        if now.ended:
            return now.error
        if loop.time() > deadline:
            raise TimedOut(f"the task goes on after {seconds:g} s", subject=subject)
        await asyncio.sleep(pause)
        pause = min(_LONGEST_PAUSE_S, pause * 1.5)
    return None


def raise_for(connection: Connection, fault: BaseException | None, *, capability: str, subject: str) -> None:
    """Raise what a task's fault means, if it ended with one."""
    if fault is not None:
        raise translate(fault, capability=capability, subject=subject, endpoint=connection.endpoint) from fault
