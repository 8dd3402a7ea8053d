"""Waiting for work in a thread, so that a cancelled caller leaves nothing under way."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")


async def finish(threads: Executor, work: Callable[[], T]) -> T:
    """Do ``work`` in a thread. A cancelled caller waits for its end before the cancellation goes on."""
    future = asyncio.get_running_loop().run_in_executor(threads, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        # As often as we are cancelled: what was begun must have ended before the caller goes on.
        while not future.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({future})
        if not future.cancelled():
            future.exception()  # it was nobody's: take it, so that it is not reported as forgotten
        raise
