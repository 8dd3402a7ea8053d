"""The link to one libvirt, kept open: dialled, watched, given up when it is dead and dialled again.

One hung daemon costs its own endpoint some threads and nothing else; see docs/decisions/0006-libvirt-driver.md.
"""

import asyncio
import contextlib
import logging
import random
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import libvirt

from yamori.drivers.libvirt.failure import of_dialling, of_link, text_of, translate
from yamori.drivers.libvirt.link import Link
from yamori.drivers.libvirt.settings import LibvirtSettings
from yamori.drivers.libvirt.workers import Workers
from yamori.model.errors import TimedOut, Unreachable, YamoriError
from yamori.model.ids import EndpointName

T = TypeVar("T")

KEEPALIVE_SECONDS = 5
KEEPALIVE_COUNT = 3
_CALLS_AT_ONCE = 8
_MOST_STUCK = 16
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 30.0
_SIGN_OF_LIFE_SECONDS = 3.0
_CLOSE_SECONDS = 2.0

_log = logging.getLogger(__name__)
_loop_lock = threading.Lock()
_loop_threads: list[threading.Thread] = []


class Connection:
    """A link that opens itself again. A call while it is down raises Unreachable at once.

    Only the very first attempt is waited for, so that a caller may connect and ask.
    """

    def __init__(self, endpoint: EndpointName, settings: LibvirtSettings) -> None:
        self.endpoint = endpoint
        self.settings = settings
        self.on_open: list[Callable[[Any], None]] = []
        """Called in a thread with a new link's first connection before it is used; may raise libvirtError."""
        self.before_close: list[Callable[[Any], None]] = []
        """Called in a thread with a link's first connection when it will be closed; may raise libvirtError."""
        self.on_lost: list[Callable[[], None]] = []
        """Called in the event loop when the link is lost or closed."""
        self._workers = Workers(f"libvirt {endpoint}", size=_CALLS_AT_ONCE, most_stuck=_MOST_STUCK)
        self._link: Link | None = None
        self._why: YamoriError | None = None
        self._tried = asyncio.Event()
        self._lost = asyncio.Event()
        self._examining: asyncio.Task[None] | None = None
        self._closed = False
        start_event_loop()
        self._loop = asyncio.get_running_loop()
        self._keeper = asyncio.create_task(self._keep_open(), name=f"libvirt {endpoint}")

    @property
    def is_open(self) -> bool:
        """Whether there is a link that is believed to work."""
        return self._link is not None

    @property
    def stuck(self) -> int:
        """Threads that hang in calls that were given up."""
        return self._workers.stuck

    async def call(
        self,
        job: Callable[[Any], T],
        *,
        capability: str,
        subject: str | None = None,
        seconds: float | None = None,
    ) -> T:
        """Run ``job`` with a connection of libvirt's, its own meanwhile, in a thread and return what it returns.

        Raises Unreachable when the link is down or breaks, TimedOut past ``seconds`` (default: the time for
        reading), else the translation of what libvirt answered.
        """
        link = await self._usable()
        try:
            return await self._workers.run(
                partial(link.use, job),
                seconds=self.settings.timeouts.read_s if seconds is None else seconds,
                about=subject,
            )
        except TimeoutError:
            self._examine(link)
            raise TimedOut(f"no answer to {capability}", subject=subject or self.endpoint) from None
        except libvirt.libvirtError as error:
            raise self._judge(link, error, capability, subject) from error.with_traceback(None)

    async def call_unlimited(self, job: Callable[[Any], T], *, capability: str, subject: str) -> T:
        """As ``call``, without a limit in time and beside the ordinary threads: for moves."""
        link = await self._usable()
        workers = Workers(f"libvirt {self.endpoint} {capability}", size=1, most_stuck=1)
        try:
            return await workers.run(partial(link.use, job), seconds=None)
        except libvirt.libvirtError as error:
            raise self._judge(link, error, capability, subject) from error.with_traceback(None)

    async def close(self) -> None:
        """Let go of the link and of everybody who waits for it. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._keeper.cancel()
        if self._examining is not None:
            self._examining.cancel()
        await asyncio.gather(self._keeper, *filter(None, [self._examining]), return_exceptions=True)
        link, self._link = self._link, None
        self._why = Unreachable("the session was closed", subject=self.endpoint)
        self._tried.set()
        if link is not None:
            for tell in self.on_lost:
                tell()
            link.leave()
            await asyncio.to_thread(link.wait_closed, _CLOSE_SECONDS)

    async def _usable(self) -> Link:
        if not self._tried.is_set():
            await self._tried.wait()
        link = self._link
        if link is None:
            why = self._why or Unreachable(subject=self.endpoint)
            raise Unreachable(why.message, subject=self.endpoint, mend=why.mend) from why
        return link

    def _judge(self, link: Link, error: libvirt.libvirtError, capability: str, subject: str | None) -> YamoriError:
        if of_link(error) and not link.alive():
            self._drop(link, text_of(error))
            return Unreachable(text_of(error), subject=self.endpoint)
        return translate(error, capability=capability, subject=subject)

    def _drop(self, link: Link, why: str) -> None:
        """Give the link up; runs in the event loop. A link that was dropped before is none of ours any more."""
        if link is not self._link or self._closed:
            return
        _log.warning("%s: link lost: %s", self.endpoint, why)
        self._link = None
        self._why = Unreachable(why, subject=self.endpoint)
        self._lost.set()
        for tell in self.on_lost:
            tell()
        link.leave()

    def _examine(self, link: Link) -> None:
        """After a call without answer: is it one VM that hangs, or the daemon?"""
        if self._examining is None or self._examining.done():
            self._examining = asyncio.create_task(self._ask_for_life(link))

    async def _ask_for_life(self, link: Link) -> None:
        try:
            await self._workers.run(
                partial(link.use, lambda opened: opened.getLibVersion()), seconds=_SIGN_OF_LIFE_SECONDS
            )
        except (TimeoutError, YamoriError, libvirt.libvirtError):
            self._drop(link, "it gives no sign of life")

    async def _keep_open(self) -> None:
        failures = 0
        while True:
            try:
                self._link = await self._dial()
            except YamoriError as error:
                failures += 1
                self._why = error
                self._tried.set()
                if failures == 1:
                    _log.warning("cannot connect: %s", error)
                await asyncio.sleep(pause_seconds(failures))
                continue
            failures = 0
            self._lost.clear()
            self._tried.set()
            _log.info("%s: connected", self.endpoint)
            await self._lost.wait()
            await asyncio.sleep(pause_seconds(1))

    async def _dial(self) -> Link:
        attempt = _Attempt(self)
        try:
            return await self._workers.run(attempt.open, seconds=self.settings.timeouts.connect_s)
        except TimeoutError:
            attempt.give_up()
            raise Unreachable("no answer while connecting", subject=self.endpoint) from None
        except asyncio.CancelledError:
            attempt.give_up()
            raise
        except libvirt.libvirtError as error:
            raise of_dialling(error, subject=self.endpoint) from error.with_traceback(None)

    def closed_from_outside(self, _opened: Any, reason: int, _opaque: object) -> None:
        """Told by libvirt, in its event thread, when the link breaks."""
        words = {
            libvirt.VIR_CONNECT_CLOSE_REASON_EOF: "the other side closed it",
            libvirt.VIR_CONNECT_CLOSE_REASON_KEEPALIVE: "the other side stopped answering",
        }
        with contextlib.suppress(RuntimeError):  # our event loop is gone: nobody is left to be told
            self._loop.call_soon_threadsafe(self._drop_current, words.get(reason, "it broke"))

    def _drop_current(self, why: str) -> None:
        if self._link is not None and not self._link.alive():
            self._drop(self._link, why)


class _Attempt:
    """One try to connect; a link that comes too late is closed again."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._given_up = False

    def open(self) -> Link:
        connection = self._connection
        remote = connection.settings.dialect.remote
        first = self._dial()
        link = Link(
            first,
            name=connection.endpoint,
            another=self._dial,
            before_close=[*connection.before_close, _forget_close],
        )
        try:
            if remote:
                first.registerCloseCallback(connection.closed_from_outside, None)
            for attach in connection.on_open:
                attach(first)
        except libvirt.libvirtError:
            link.leave()
            raise
        with self._lock:
            late = self._given_up
        if late:
            link.leave()
        return link

    def _dial(self) -> Any:
        settings = self._connection.settings
        opened = (libvirt.openReadOnly if settings.read_only else libvirt.open)(settings.dialled)
        if settings.dialect.remote:
            try:
                opened.setKeepAlive(KEEPALIVE_SECONDS, KEEPALIVE_COUNT)
            except libvirt.libvirtError:
                opened.close()
                raise
        return opened

    def give_up(self) -> None:
        with self._lock:
            self._given_up = True


def _forget_close(first: Any) -> None:
    first.unregisterCloseCallback()


def pause_seconds(failures: int) -> float:
    """Exponential back-off with full jitter in its upper half."""
    longest = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 16))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


def start_event_loop() -> None:
    """Start libvirt's event loop, once a process: keep-alive, events and lost links are noticed by it.

    libvirt has one for the whole process, and it must be there before the first connection.
    """
    with _loop_lock:
        if _loop_threads:
            return
        libvirt.registerErrorHandler(lambda _context, _error: None, None)
        libvirt.virEventRegisterDefaultImpl()
        thread = threading.Thread(target=_turn, name="libvirt events", daemon=True)
        _loop_threads.append(thread)
        thread.start()


def _turn() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()
