"""Looks at a fleet without a pause while things are broken on purpose, and notes what must never be."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

from yamori.control.facade import Contact, EventKind, Facade, Standing
from yamori.model.ids import EndpointName, VMId
from yamori.model.run import RunState
from yamori.model.vm import PowerState
from yamori.web.standing import standing_of

EVERY_S = 0.5
ENDED = frozenset({RunState.VERIFIED, RunState.REFUSED, RunState.UNDONE, RunState.ABANDONED})
FRESH_S = 3.0
"""A standing that was judged just before a gap may be shown for so long."""


@dataclass
class Watch:
    """``wrong`` is what was seen and must never be, in words; ``gaps`` how often each endpoint had one."""

    facade: Facade
    vms: frozenset[VMId] = frozenset()
    wrong: list[str] = field(default_factory=list)
    gaps: Counter[EndpointName] = field(default_factory=Counter)
    looks: int = 0
    _dark_since: dict[EndpointName, float] = field(default_factory=dict)

    async def run(self) -> None:
        """Look until cancelled."""
        self.vms = frozenset(view.vm.id for view in self.facade.vms())
        events = asyncio.create_task(self._hear())
        try:
            while True:
                await self._look()
                await asyncio.sleep(EVERY_S)
        finally:
            events.cancel()
            await asyncio.gather(events, return_exceptions=True)

    def dark(self) -> frozenset[EndpointName]:
        """Return the endpoints of which something is not known at this moment."""
        return frozenset(e.name for e in self.facade.endpoints() if e.contact is not Contact.UP or e.gap)

    async def _look(self) -> None:
        self.looks += 1
        now = time.monotonic()
        views = self.facade.vms()
        lost = self.vms - {view.vm.id for view in views}
        if lost:
            self._note(f"VMs are no longer shown: {sorted(lost)}")
        dark = self.dark()
        for name in dark - set(self._dark_since):
            self._dark_since[name] = now
            self.gaps[name] += 1
        for name in set(self._dark_since) - dark:
            del self._dark_since[name]
        for view in views:
            since = self._dark_since.get(view.endpoint)
            if since is None or now - since < FRESH_S or view.vm.state is not PowerState.RUNNING:
                continue
            known = [name for name, rate in view.rates.items() if rate is not None]
            if known:
                self._note(f"{view.vm.name} of {view.endpoint}, which is dark, shows {', '.join(known)}")
            if standing_of(view) is Standing.KEPT:
                self._note(f"{view.vm.name} of {view.endpoint}, which is dark, is shown as served")
        working = Counter(r.subject for r in await self.facade.runs(limit=100) if r.state not in ENDED)
        for subject, count in working.items():
            if count > 1:
                self._note(f"{count} runs at once on {subject}")

    async def _hear(self) -> None:
        async for event in self.facade.events(after=None):
            if event.kind is EventKind.DUPLICATE:
                self._note(f"more than one copy of {event.subject} at {event.body['hosts']}")
            if event.kind is EventKind.MODULE and event.body.get("failed"):
                self._note(f"the module {event.subject} failed: {event.body['failed']}")

    def _note(self, text: str) -> None:
        if text not in self.wrong:
            self.wrong.append(text)
