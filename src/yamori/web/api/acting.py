"""Routes that ask for an action. None acts on a VM by itself: policy rules, and a run carries out."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import Header, Request

from yamori.control.facade import Facade
from yamori.model.actions import Action, Migrate, Release, Throttle
from yamori.model.ids import HostId, RunId
from yamori.web.answer import Answer, shown
from yamori.web.api.answers import Ruled, invited
from yamori.web.api.bodies import (
    InviteBody,
    KillSwitchBody,
    MigrateBody,
    ReleaseBody,
    RevokeBody,
    ThrottleBody,
    UndoBody,
)
from yamori.web.api.once import Once
from yamori.web.api.reading import Handler, Name

Key = Annotated[str | None, Header(alias="Idempotency-Key")]


def operator_of(request: Request) -> str:
    """Return who asks, as the door found out: ``token`` or ``console``."""
    return str(request.scope["yamori.operator"])


class Acting:
    """The acting routes over one facade."""

    def __init__(self, facade: Facade, once: Once) -> None:
        """Keep what the routes ask."""
        self._facade = facade
        self._once = once

    def handlers(self) -> Mapping[str, Handler]:
        """Return the function of each route by the route's name."""
        names = ("throttle", "release", "migrate", "undo", "throw_kill_switch", "invite_agent", "revoke_agent")
        return {name: getattr(self, name) for name in names}

    async def throttle(
        self, request: Request, vm: Name, body: ThrottleBody, idempotency_key: Key = None
    ) -> Answer:
        """Ask for a throttle. ``run`` is null where policy did not allow it; the decision says why."""

        async def work() -> Any:
            action = Throttle(
                vm=self._facade.vm(vm).vm.id, limits=body.limits, expires_after_s=body.expires_after_s
            )
            return await self._ask(request, action, body.reason, dry_run=body.dry_run)

        return await self._answer(request, idempotency_key, work)

    async def release(self, request: Request, vm: Name, body: ReleaseBody, idempotency_key: Key = None) -> Answer:
        """Ask for the release of a throttle of ours."""

        async def work() -> Any:
            action = Release(vm=self._facade.vm(vm).vm.id)
            return await self._ask(request, action, body.reason, dry_run=body.dry_run)

        return await self._answer(request, idempotency_key, work)

    async def migrate(self, request: Request, vm: Name, body: MigrateBody, idempotency_key: Key = None) -> Answer:
        """Ask for a move. A dry run's ``run.before.forecast`` says whether, and how long, the VM stands still."""

        async def work() -> Any:
            to = None if body.to is None else HostId(body.to)
            action = Migrate(vm=self._facade.vm(vm).vm.id, to=to, stopping=body.stopping)
            return await self._ask(request, action, body.reason, dry_run=body.dry_run)

        return await self._answer(request, idempotency_key, work)

    async def undo(
        self, request: Request, run: Name, body: UndoBody | None = None, idempotency_key: Key = None
    ) -> Answer:
        """Undo a run."""

        async def work() -> Any:
            return shown(await self._facade.undo(RunId(run), by=operator_of(request)))

        return await self._answer(request, idempotency_key, work)

    async def throw_kill_switch(
        self, request: Request, body: KillSwitchBody, idempotency_key: Key = None
    ) -> Answer:
        """Keep modules from acting, or let them act again."""

        async def work() -> Any:
            who = operator_of(request)
            return shown(await self._facade.throw_kill_switch(on=body.on, by=who, reason=body.reason))

        return await self._answer(request, idempotency_key, work)

    async def invite_agent(
        self, request: Request, agent: Name, body: InviteBody, idempotency_key: Key = None
    ) -> Answer:
        """Make a token. Asking again makes a new one, and voids the one before."""

        async def work() -> Any:
            return shown(invited(await self._facade.invite_agent(agent, by=operator_of(request))))

        return await self._answer(request, idempotency_key, work)

    async def revoke_agent(
        self, request: Request, agent: Name, body: RevokeBody, idempotency_key: Key = None
    ) -> Answer:
        """Strike an agent off."""

        async def work() -> Any:
            who = operator_of(request)
            return shown(await self._facade.revoke_agent(agent, by=who, reason=body.reason))

        return await self._answer(request, idempotency_key, work)

    async def _ask(self, request: Request, action: Action, reason: str, *, dry_run: bool) -> Any:
        decision, run = await self._facade.request(
            action, by=operator_of(request), reason=reason or "asked for by an operator", dry_run=dry_run
        )
        return shown(Ruled(decision=decision, run=run))

    async def _answer(self, request: Request, key: str | None, work: Callable[[], Awaitable[Any]]) -> Answer:
        asked = f"{request.method} {request.url.path}\n".encode() + await request.body()
        return Answer(await self._once.do(key, asked, work))
