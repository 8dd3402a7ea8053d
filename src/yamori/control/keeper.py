"""Keeps one endpoint in view: connects, lists, reads usage every tick, hears changes. Holds up nobody else."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from yamori.capabilities.sensing.inventory import Listing
from yamori.capabilities.sensing.usage import UsageFrame
from yamori.capabilities.session import Session
from yamori.control.facade import Contact, EndpointView
from yamori.model.change import Change
from yamori.model.errors import Defect, TimedOut, YamoriError
from yamori.model.ids import EndpointName
from yamori.model.support import Support

log = logging.getLogger(__name__)
T = TypeVar("T")

PROBE_EVERY_S = 60.0
"""What an endpoint can do is asked again so often: hosts are patched, agents come and go."""
PROBE_SOON_S = 3.0
"""The same while a part of the endpoint could not be asked."""
LIST_EVERY_S = 10.0
"""A full listing at least this often: events are hints and may be lost."""
UNASKED = 2.0
"""After so many ticks an endpoint is read even if nobody has asked."""
CALL_LIMIT_S = 20.0
"""Beyond this a call is given up here, even if the driver has no time-out of its own."""


class Keeper:
    """One endpoint. ``on_reading`` is called after each attempt, good or bad; ``on_change`` for each change."""

    def __init__(
        self,
        name: EndpointName,
        driver: str,
        session: Session,
        *,
        tick_s: float,
        now: Callable[[], datetime],
        on_reading: Callable[["Keeper"], None],
        on_change: Callable[["Keeper", Change], None],
        on_contact: Callable[["Keeper"], None],
    ) -> None:
        self.name = name
        self.driver = driver
        self.session = session
        self.listing = Listing(hosts=(), vms=())
        self.frame: UsageFrame | None = None
        self.support: Support | None = None
        self.contact = Contact.CONNECTING
        self.first_contact = asyncio.Event()
        self.since = now()
        self.error: str | None = None
        self.gap: str | None = None
        """Why no usage is known of an endpoint that answers otherwise."""
        self.tick_cost_s: float | None = None
        self._tick_s = tick_s
        self._now = now
        self._on_reading = on_reading
        self._on_change = on_change
        self._on_contact = on_contact
        self._stale = True
        self._wanted = asyncio.Event()
        self._listed_at = float("-inf")
        self._probed_at = float("-inf")

    def view(self) -> EndpointView:
        """Return how this endpoint stands."""
        return EndpointView(
            name=self.name,
            driver=self.driver,
            contact=self.contact,
            since=self.since,
            error=self.error,
            gap=self.gap,
            hosts=self.listing.hosts,
            tick_s=self.tick_cost_s,
        )

    def list_soon(self) -> None:
        """Ask for a fresh listing before the next reading."""
        self._stale = True

    async def run(self) -> None:
        """Keep the endpoint in view until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read_forever())
            if self.session.sensing.changes is not None:
                tasks.create_task(self._hear_forever())

    def read_soon(self) -> None:
        """Ask for a reading now, so that all endpoints are read at about the same moment."""
        self._wanted.set()

    async def _read_forever(self) -> None:
        while True:
            self._wanted.clear()
            began = time.monotonic()
            try:
                await self._read_once()
            except YamoriError as error:
                self._lost(error)
            except Exception as error:
                # The edge to a driver, which may be a stranger's: its defect must not take the others along.
                log.exception("driver %s failed on %s", self.driver, self.name)
                self._lost(Defect(f"the driver failed: {type(error).__name__}: {error}"))
            else:
                self.tick_cost_s = time.monotonic() - began
                self._reached()
            self._on_reading(self)
            try:
                async with asyncio.timeout(UNASKED * self._tick_s):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    async def _read_once(self) -> None:
        if self._needs_probing():
            self._probed_at = time.monotonic()
            self.support = await self._bounded("probe", self.session.probe())
        if self._needs_listing():
            await self._list()
        usage = self.session.sensing.usage
        if usage is None:
            self.frame = None
            return
        try:
            self.frame = await self._bounded("usage", usage.read())
        except YamoriError as error:
            # Who reads usage need not be who lists VMs: it may be an agent. If both fail, the endpoint is lost.
            await self._list()
            self._missing(str(error))
        else:
            self._missing(None)
            known = {vm.id for vm in self.listing.vms}
            if any(vm not in known for vm in self.frame.vms):
                await self._list()

    async def _list(self) -> None:
        self._stale = False
        self._listed_at = time.monotonic()
        self.listing = await self._bounded("listing", self.session.sensing.inventory.read())

    def _missing(self, gap: str | None) -> None:
        """Note why there is no usage, or that there is. Either way the endpoint may do other things now."""
        if (gap is None) != (self.gap is None):
            self._probed_at = float("-inf")
        if gap is not None:
            self.frame = None
        told, self.gap = self.gap, gap
        if (told is None) != (gap is None) and self.contact is Contact.UP:
            self._on_contact(self)

    def _needs_probing(self) -> bool:
        if self.support is None:
            return True
        every = PROBE_SOON_S if self.support.provisional else PROBE_EVERY_S
        return time.monotonic() - self._probed_at >= every

    def _needs_listing(self) -> bool:
        return (
            self._stale
            or self.session.sensing.changes is None
            or time.monotonic() - self._listed_at >= LIST_EVERY_S
        )

    async def _hear_forever(self) -> None:
        changes = self.session.sensing.changes
        if changes is None:
            return
        while True:
            try:
                async for change in changes.watch():
                    self._stale = True
                    self._on_change(self, change)
            except YamoriError:
                # The reading loop reports the outage; here it only means that changes were missed.
                self._stale = True
            await asyncio.sleep(self._tick_s)

    async def _bounded(self, what: str, call: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(CALL_LIMIT_S):
                return await call
        except TimeoutError as error:
            raise TimedOut(f"{what} took longer than {CALL_LIMIT_S:.0f} s", subject=self.name) from error

    def _reached(self) -> None:
        if self.contact is not Contact.UP:
            self.contact, self.since, self.error = Contact.UP, self._now(), None
            self.first_contact.set()
            self._on_contact(self)

    def _lost(self, error: YamoriError) -> None:
        self.frame = self.gap = None
        self.error = str(error)
        # What was known stays listed, but is never reported as seen now; a probe is due after an outage,
        # because what answers then may be a newer version.
        self._stale = True
        if self.contact is Contact.UP:
            self.contact, self.since = Contact.DOWN, self._now()
            self.support = None
            self._on_contact(self)
        elif self.contact is Contact.CONNECTING and (self._now() - self.since).total_seconds() > CALL_LIMIT_S:
            self.contact = Contact.DOWN
            self.first_contact.set()
            self._on_contact(self)
