"""Routes that only read."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import Field

from yamori.control.facade import Facade, Standing, VMView
from yamori.model.ids import FindingId, RunId
from yamori.model.support import FEATURES
from yamori.web.answer import Answer, shown
from yamori.web.api.answers import (
    Health,
    LedgerVerified,
    LimitsNow,
    Matrix,
    PolicyText,
    Service,
    answer_of,
)
from yamori.web.api.bodies import NAME
from yamori.web.overview import matches, ordered, summarise
from yamori.web.standing import standing_of

Name = Annotated[str, Path(min_length=1, max_length=NAME)]
Id = Annotated[str, Field(max_length=NAME)]
Limit = Annotated[int, Query(ge=1, le=1000)]
Search = Annotated[str, Query(max_length=NAME)]
Handler = Callable[..., Any]

FRESH_S = 0.5
"""For how long the ordered list of all VMs is used again: many watchers of a large fleet cost as much as one."""


class Reading:
    """The reading routes over one facade. ``clock_s`` is monotonic seconds, ``now`` the wall clock."""

    def __init__(
        self,
        facade: Facade,
        *,
        policy_text: Callable[[], str],
        version: str,
        clock_s: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        """Keep what the routes ask."""
        self._facade = facade
        self._policy_text = policy_text
        self._version = version
        self._clock_s = clock_s
        self._now = now
        self._ordered: tuple[float, Sequence[VMView]] | None = None

    def handlers(self) -> Mapping[str, Handler]:
        """Return the function of each route by the route's name."""
        names = "health service endpoints fleet vms vm history limits support findings finding rulings runs run"
        return {
            n: getattr(self, n)
            for n in (
                *names.split(),
                "agents",
                "explain",
                "wait",
                "kill_switch",
                "policy",
                "ledger",
                "ledger_verify",
            )
        }

    async def health(self) -> Answer:
        """Tell nobody more than that it is up."""
        return Answer(shown(Health()))

    async def service(self) -> Answer:
        """Tell versions."""
        return Answer(shown(Service(name="yamori", version=self._version, interface="v1", at=self._now())))

    async def endpoints(self) -> Answer:
        """List the connections."""
        return _many(self._facade.endpoints())

    async def fleet(self, *, search: Search = "", tiles: Annotated[int, Query(ge=0, le=200)] = 48) -> Answer:
        """Summarise by host. ``search`` keeps only VMs whose name, id, host or label holds the text."""
        views = await self._all()
        found = await asyncio.to_thread(summarise, views, self._facade.endpoints(), search=search, tiles=tiles)
        return Answer(shown(found))

    async def vms(
        self,
        *,
        search: Search = "",
        ids: Annotated[list[Id] | None, Query(alias="id", max_length=100)] = None,
        host: Annotated[str | None, Query(max_length=NAME)] = None,
        standing: Standing | None = None,
        held: bool | None = None,
        after: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
        limit: Limit = 100,
    ) -> Answer:
        """List VMs page by page: ``next`` is what to give as ``after`` for the next page, null at the end.

        ``id`` may be given up to a hundred times: only those VMs, as far as they exist.
        """
        views = await self._all()
        wanted = None if ids is None else frozenset(ids)

        def chosen() -> list[VMView]:
            return [
                v
                for v in views
                if (wanted is None or v.vm.id in wanted)
                and (host is None or v.vm.host == host)
                and (standing is None or standing_of(v) is standing)
                and (held is None or (v.hold is not None) is held)
                and matches(v, search)
            ]

        found = await asyncio.to_thread(chosen)
        page = found[after : after + limit]
        more = after + limit < len(found)
        return Answer(
            {
                "items": [shown(answer_of(v)) for v in page],
                "total": len(found),
                "next": after + limit if more else None,
            }
        )

    async def vm(self, vm: Name) -> Answer:
        """Show one VM."""
        return Answer(shown(answer_of(self._facade.vm(vm))))

    async def history(self, vm: Name, *, seconds: Annotated[float, Query(gt=0, le=86_400)] = 300.0) -> Answer:
        """Show the past of one VM."""
        return Answer(shown(self._facade.history(self._facade.vm(vm).vm.id, seconds)))

    async def limits(self, vm: Name) -> Answer:
        """Read the limits from the hypervisor; ``settable`` says which of them can be set there."""
        found = self._facade.vm(vm).vm.id
        limits = await self._facade.limits(found)
        kinds = self._facade.limit_kinds(found)
        return Answer(shown(LimitsNow(limits=limits, settable=kinds, read_at=self._now())))

    async def support(self) -> Answer:
        """Show the matrix."""
        return Answer(shown(Matrix(features=FEATURES, endpoints=self._facade.support())))

    async def findings(
        self, *, open_only: Annotated[bool, Query(alias="open")] = False, limit: Limit = 100
    ) -> Answer:
        """List findings."""
        return _many(await self._facade.findings(open_only=open_only, limit=limit))

    async def finding(self, finding: Name) -> Answer:
        """Show one finding."""
        return Answer(shown(await self._facade.finding(FindingId(finding))))

    async def rulings(self, *, limit: Limit = 100) -> Answer:
        """List decisions."""
        return _many(await self._facade.rulings(limit=limit))

    async def runs(self, *, limit: Limit = 100) -> Answer:
        """List runs."""
        return _many(await self._facade.runs(limit=limit))

    async def run(self, run: Name) -> Answer:
        """Show one run."""
        return Answer(shown(await self._facade.run(RunId(run))))

    async def explain(self, run: Name) -> Answer:
        """Show why a run was."""
        return Answer(shown(await self._facade.explain(RunId(run))))

    async def wait(self, run: Name, *, timeout_s: Annotated[float, Query(ge=0, le=60)] = 20.0) -> Answer:
        """Wait, but not for ever: after ``timeout_s`` the run is returned as it is."""
        found = RunId(run)
        try:
            async with asyncio.timeout(timeout_s):
                ended = await self._facade.wait(found)
        except TimeoutError:
            ended = await self._facade.run(found)
        return Answer(shown(ended))

    async def agents(self) -> Answer:
        """List the agents."""
        return _many(await self._facade.agents())

    async def kill_switch(self) -> Answer:
        """Tell whether modules are kept from acting."""
        return Answer(shown(self._facade.kill_switch()))

    async def policy(self) -> Answer:
        """Show the policy."""
        return Answer(shown(PolicyText(text=self._policy_text())))

    async def ledger(self, *, after: Annotated[int, Query(ge=0, le=2**53)] = 0, limit: Limit = 100) -> Answer:
        """List records after a number."""
        return _many(await self._facade.ledger(after=after, limit=limit))

    async def ledger_verify(self) -> Answer:
        """Check the chain; what does not hold is answered as an error."""
        records = await self._facade.verify_ledger()
        return Answer(shown(LedgerVerified(records=records, verified_at=self._now())))

    async def _all(self) -> Sequence[VMView]:
        clock_s = self._clock_s()
        if self._ordered is None or clock_s - self._ordered[0] > FRESH_S:
            self._ordered = clock_s, await asyncio.to_thread(ordered, self._facade.vms())
        return self._ordered[1]


def _many(values: Sequence[Any]) -> Answer:
    return Answer({"items": [shown(v) for v in values]})
