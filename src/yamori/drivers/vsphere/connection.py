"""The link to one server: the only file that opens, watches and ends it, and that turns its errors into ours."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from pyVmomi import vim, vmodl

from yamori.drivers.vsphere import tls
from yamori.drivers.vsphere.failure import FAULTS, SESSION_OVER, TRANSPORT, not_permitted, text_of, translate
from yamori.drivers.vsphere.link import Link, log_out, new_wire, open_link, time_of
from yamori.drivers.vsphere.patience import patience_s, pause_s, version_of
from yamori.drivers.vsphere.secret_file import password
from yamori.drivers.vsphere.settings import VSphereSettings
from yamori.drivers.vsphere.threads import Threads
from yamori.drivers.vsphere.wire import Retired, Wire
from yamori.model.errors import BadCertificate, NotPermitted, Unreachable, YamoriError
from yamori.model.ids import EndpointName

T = TypeVar("T")

_LOOK_S = 5.0
_MOST_THREADS = 10
_SIGN_OF_LIFE_S = 5.0
_NO_LIFE: tuple[type[Exception], ...] = (*TRANSPORT, YamoriError)

_log = logging.getLogger(__name__)


class _NotOpened(Exception):
    """Why an attempt failed. ``hurts``: trying again soon could lock the account, or annoy an honest server."""

    def __init__(self, why: YamoriError, *, hurts: bool) -> None:
        super().__init__(why.message)
        self.why = why
        self.hurts = hurts


class Connection:
    """A link that opens itself again. A call while it is down fails at once, with the reason.

    Waited for are only the very first attempt, and the one that follows the end of a session on the server.
    """

    def __init__(self, endpoint: EndpointName, settings: VSphereSettings) -> None:
        self.endpoint = endpoint
        self.settings = settings
        self.on_open: list[Callable[[Link], None]] = []
        """Called in a thread with each new link before it is used; may raise faults."""
        self.before_close: list[Callable[[Link], None]] = []
        """Called in a thread with a link that will be logged out; may raise faults."""
        self.on_lost: list[Callable[[], None]] = []
        """Called in the event loop when the link is lost or closed."""
        self.logins = 0
        """How often a session was opened."""
        tls.context(settings.ca)  # so that a file that cannot be used is told at once
        self._threads = Threads(f"vsphere {endpoint}", _MOST_THREADS)
        self._link: Link | None = None
        self._why: YamoriError = Unreachable(subject=endpoint)
        self._tried = asyncio.Event()
        self._lost = asyncio.Event()
        self._examining: asyncio.Task[None] | None = None
        self._renew = False
        self._closed = False
        self._keeper = asyncio.create_task(self._keep_open(), name=f"vsphere {endpoint}")

    @property
    def link(self) -> Link | None:
        """The present link, None while there is none."""
        return self._link

    @property
    def hanging(self) -> int:
        """Threads that hang in calls that were given up."""
        return self._threads.given_up

    async def call(
        self,
        job: Callable[[Link], T],
        *,
        capability: str,
        subject: str | None = None,
        seconds: float | None = None,
    ) -> T:
        """Run ``job`` with the link in a thread and return what it returns.

        When the server has ended the session, another is opened and the job begins anew, once: so a job looks
        before it acts. Raises TimedOut past ``seconds`` (default: the time for reading), Unreachable when the
        link is down, BadCertificate or NotPermitted when that is why it is down, else what the server's answer
        means.
        """
        limit = self.settings.timeouts.read_s if seconds is None else seconds
        for last in (False, True):
            link = await self._usable()
            try:
                return await self._threads.run(partial(_work, job, link, limit), seconds=limit, cut=link.wire.cut)
            except FAULTS as error:
                if not _session_is_over(error, link):
                    raise self._translated(error, capability, subject) from error
                self._drop(link, "the server has ended the session", renew=not last)
            except Retired:
                continue
            except TRANSPORT as error:
                self._examine(link)
                raise self._translated(error, capability, subject) from error
        raise Unreachable("the server ended two sessions in a row", subject=self.endpoint)

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
            with contextlib.suppress(TimeoutError, YamoriError):
                await self._threads.run(
                    partial(log_out, link, self.before_close), seconds=_SIGN_OF_LIFE_S, cut=link.wire.cut
                )
            link.wire.close()

    async def _usable(self) -> Link:
        await self._tried.wait()
        if self._link is not None:
            return self._link
        why = self._why
        known = type(why) if isinstance(why, BadCertificate | NotPermitted) else Unreachable
        raise known(why.message, subject=self.endpoint, mend=why.mend) from why

    def _translated(self, error: BaseException, capability: str, subject: str | None) -> YamoriError:
        return translate(error, capability=capability, subject=subject, endpoint=self.endpoint)

    def _drop(self, link: Link, why: str, *, renew: bool = False) -> None:
        """Give the link up; runs in the event loop. One that was dropped before is none of ours any more."""
        if link is not self._link or self._closed:
            return
        _log.warning("%s: link lost: %s", self.endpoint, why)
        self._link = None
        self._why = Unreachable(why, subject=self.endpoint)
        self._renew = renew
        if renew:
            self._tried.clear()
        self._lost.set()
        for tell in self.on_lost:
            tell()
        if renew:
            link.wire.retire()
        else:
            link.wire.close()

    def lose(self, link: Link, error: BaseException) -> None:
        """Told by those who call beside ``call``: their call failed, so the link is looked at."""
        if isinstance(error, FAULTS) and _session_is_over(error, link):
            self._drop(link, "the server has ended the session", renew=True)
        else:
            self._examine(link)

    def _examine(self, link: Link) -> None:
        """After a call without answer: was it that one, or is the server gone?"""
        if link is self._link and (self._examining is None or self._examining.done()):
            self._examining = asyncio.create_task(self._ask_for_life(link))

    async def _ask_for_life(self, link: Link) -> None:
        try:
            job = partial(_work, time_of, link, _SIGN_OF_LIFE_S)
            await self._threads.run(job, seconds=_SIGN_OF_LIFE_S, cut=link.wire.cut)
        except FAULTS as error:
            if _session_is_over(error, link):
                self._drop(link, "the server has ended the session", renew=True)
        except _NO_LIFE as error:
            self._drop(link, f"it gives no sign of life: {text_of(error)}")

    async def _keep_open(self) -> None:
        failures = 0
        while True:
            seen = await asyncio.to_thread(self._evidence)
            try:
                self._link = await self._dial()
            except _NotOpened as failed:
                failures += 1
                self._why = failed.why
                self._tried.set()
                if failures == 1:
                    _log.warning("%s: cannot connect: %s", self.endpoint, failed.why)
                await self._wait(patience_s(failures) if failed.hurts else pause_s(failures), seen)
                continue
            failures = 0
            self.logins += 1
            self._lost.clear()
            self._tried.set()
            _log.info("%s: connected to %s", self.endpoint, self._link.product)
            await self._lost.wait()
            if not self._renew:
                await asyncio.sleep(pause_s(1))

    async def _wait(self, seconds: float, seen: object) -> None:
        """Wait, but no longer than until the operator has changed the password's or the CA's file."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            await asyncio.sleep(min(left, _LOOK_S))
            if await asyncio.to_thread(self._evidence) != seen:
                return

    def _evidence(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(version_of(path) for path in (self.settings.password_file, self.settings.ca))

    async def _dial(self) -> Link:
        host, port = self.settings.server
        seconds = self.settings.timeouts.connect_s
        attempt = _Attempt(self)
        try:
            return await self._threads.run(attempt.open, seconds=seconds, cut=lambda _thread: attempt.give_up())
        except asyncio.CancelledError:
            attempt.give_up()
            raise
        except ssl.SSLCertVerificationError as error:
            raise _NotOpened(tls.refusal(error, host=host, ca=self.settings.ca), hurts=True) from error
        except ssl.SSLError as error:
            why = f"TLS 1.2 or newer could not be agreed upon: {text_of(error)}"
            raise _NotOpened(Unreachable(why, subject=self.endpoint), hurts=True) from error
        except (vim.fault.InvalidLogin, vmodl.fault.SecurityError) as error:
            raise _NotOpened(_refused(error, self.settings.user), hurts=True) from error
        except FAULTS as error:
            raise _NotOpened(self._translated(error, "connecting", None), hurts=True) from error
        except TRANSPORT as error:
            why = "no answer while connecting" if isinstance(error, TimeoutError) else text_of(error)
            mend = f"does anybody listen at {host}:{port}?"
            raise _NotOpened(Unreachable(why, subject=self.endpoint, mend=mend), hurts=False) from error
        except YamoriError as error:
            raise _NotOpened(error, hurts=False) from error


class _Attempt:
    """One try to connect; a link that comes too late is ended again."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._given_up = False
        self._wire: Wire | None = None

    def open(self) -> Link:
        settings = self._connection.settings
        host, port = settings.server
        secret = password(settings)
        self._wire = wire = new_wire(host, port, tls.context(settings.ca))
        with wire.within(settings.timeouts.connect_s):
            link = open_link(wire, settings.user, secret.reveal())
        try:
            with wire.within(settings.timeouts.connect_s):
                for attach in self._connection.on_open:
                    attach(link)
        except (*FAULTS, *TRANSPORT):
            log_out(link)
            raise
        if self._given_up:
            log_out(link)
            raise TimeoutError
        return link

    def give_up(self) -> None:
        self._given_up = True
        if self._wire is not None:
            self._wire.close()


def _work(job: Callable[[Link], T], link: Link, seconds: float) -> T:
    with link.wire.within(seconds):
        return job(link)


def _session_is_over(error: BaseException, link: Link) -> bool:
    """A session that was ended takes its view along: some servers tell the one, some the other."""
    if isinstance(error, SESSION_OVER):
        return True
    return isinstance(error, vmodl.fault.ManagedObjectNotFound) and error.obj == link.view


def _refused(error: BaseException, user: str) -> NotPermitted:
    if isinstance(error, vim.fault.InvalidLogin):
        return NotPermitted(
            f"the server refuses user {user!r} with this password",
            mend="correct user or password; the next attempt comes when the password file changes, "
            "or after a minute, then after ever longer, so that the account is not locked",
        )
    return not_permitted(error, subject=user)
