"""The only file that calls the vendor's library: bounded threads, time limits, and errors translated once."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from yamori.model.errors import Conflict, Invalid, NotFound, Rejected, TimedOut, Unreachable, YamoriError
from yamori.model.ids import EndpointName
from yamori_toybox.settings import ToyboxSettings
from yamori_toybox.toybox import Box, ToyError, open_box

T = TypeVar("T")
ERRORS: dict[str, type[YamoriError]] = {"NO_SUCH": NotFound, "WRONG_STATE": Conflict, "BAD_ARGUMENT": Invalid}


class Connection:
    """One box, reached by at most two threads."""

    def __init__(self, endpoint: EndpointName, settings: ToyboxSettings) -> None:
        self.endpoint = endpoint
        self._settings = settings
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix=f"toybox-{endpoint}")
        self._closed = False

    async def call(self, work: Callable[[Box], T]) -> T:
        """Do one blocking thing. Raises what the library says, translated; Unreachable once closed."""
        if self._closed:
            raise Unreachable("the session is closed", subject=self.endpoint)
        loop = asyncio.get_running_loop()
        doing = loop.run_in_executor(self._threads, lambda: work(open_box(self._settings.address)))
        try:
            return await asyncio.wait_for(doing, self._settings.timeout_s)
        except TimeoutError as error:
            raise TimedOut(subject=self.endpoint) from error
        except ToyError as error:
            # The library's text is not ours: it is bounded before anybody sees it.
            raise ERRORS.get(error.code, Rejected)(str(error)[:200]) from error

    def close(self) -> None:
        """Let go. Idempotent."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
