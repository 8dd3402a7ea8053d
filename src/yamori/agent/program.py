"""What the commands on a host do, for `yamori agent …` and for `python -m yamori.agent …`, which starts faster.

Nothing heavy is loaded before ``_begin``: libraries for numbers would start threads, and privileges are dropped
while there is only one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from yamori.model.errors import NotFound, NotPermitted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from yamori.agent.functions.carrying import Way
    from yamori.agent.install.plan import Outcome, Plan
    from yamori.agent.service.settings import Settings
    from yamori.model.plain import Json

FORMAT = "%(levelname)s %(message)s"
_SINGLE = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@runtime_checkable
class EndsLapses(Protocol):
    """A session that can put back at once what it was to put back later."""

    async def end_lapses(self) -> None:
        """Put it back."""
        ...


def run(config: Path | None) -> None:
    """Run the service until SIGTERM or SIGINT. Raises Invalid, NotFound, NotPermitted, Untrusted, Failed."""
    settings = _as_service(config)

    async def work() -> None:
        from yamori.agent.functions import open_host
        from yamori.agent.service.running import check_state_dir, until_stopped

        check_state_dir(settings.state_dir)
        session = await open_host(settings.host, way=_way(settings))
        await until_stopped(session, state_dir=settings.state_dir, controller=settings.agent.controller)

    asyncio.run(work())


def let_go(config: Path | None) -> Json:
    """End all limits that still are to end by themselves, at once; return {}. With the rights of the service."""
    settings = _as_service(config)

    async def work() -> None:
        from yamori.agent.functions import open_host

        session = await open_host(settings.host)
        try:
            if isinstance(session, EndsLapses):
                await session.end_lapses()
        finally:
            await session.close()

    asyncio.run(work())
    return {}


def prepare(config: Path | None) -> Json:
    """As root, hand over what the functions need; return {"changed": [path, …]}. Raises Invalid, NotFound."""
    return {"changed": list(_hand_over(_begin(config)))}


def enrol(config: Path | None, *, controller: str, token: str) -> Json:
    """Enrol this host; return {"name", "controller", "expires_at", "path"}. Raises as ``enrolling.enrol``."""
    from yamori.trust.enrolment import read_token_text

    wanted = read_token_text(token)
    settings = _as_user(config)
    from yamori.agent.service.enrolling import enrol as ask
    from yamori.agent.service.identity import IdentityFile
    from yamori.agent.service.running import check_state_dir
    from yamori.model.plain import to_plain

    check_state_dir(settings.state_dir)
    identity = asyncio.run(ask(controller, wanted))
    file = IdentityFile(settings.state_dir)
    file.write(identity)
    return {
        "name": identity.name,
        "controller": controller,
        "expires_at": to_plain(identity.certificate.not_after),
        "path": str(file.path),
    }


def status(config: Path | None) -> Json:
    """Return how this host's agent stands, as far as its files tell. Raises Untrusted, Failed."""
    settings = _as_user(config)
    from yamori.agent.service.condition import read_condition
    from yamori.agent.service.identity import IdentityFile
    from yamori.agent.service.running import check_state_dir
    from yamori.model.plain import to_plain

    check_state_dir(settings.state_dir)
    told: Json = {"enrolled": False, "name": None, "controller": None, "expires_at": None}
    try:
        identity = IdentityFile(settings.state_dir).read()
    except NotFound:
        pass
    else:
        told = {
            "enrolled": True,
            "name": identity.name,
            "controller": settings.agent.controller or identity.controller,
            "expires_at": to_plain(identity.certificate.not_after),
        }
    found = read_condition(settings.state_dir) or {}
    wanted = ("pid", "started_at", "connected", "since", "error", "skew_s")
    return {**told, "running": bool(found), **{key: found.get(key) for key in wanted}}


def install(config: Path | None, *, service: bool, dry_run: bool) -> Json:
    """Make this host ready; return {"steps": [{"step", "outcome", "text"}], "changed"}.

    Raises NotPermitted unless root, Failed.
    """
    plan = _plan(config)
    return _told(plan.carry_out(plan.install(service=service), dry_run=dry_run))


def uninstall(config: Path | None, *, purge: bool, dry_run: bool) -> Json:
    """Undo ``install``; as ``install``. Limits that were to end by themselves end at once."""
    plan = _plan(config)
    return _told(plan.carry_out(plan.uninstall(purge=purge), dry_run=dry_run))


def _begin(config: Path | None) -> Settings:
    for name in _SINGLE:
        os.environ.setdefault(name, "1")
    logging.basicConfig(level=logging.INFO, format=FORMAT, stream=sys.stderr)
    from yamori.agent.service.settings import read_settings

    return read_settings(config)


def _as_service(config: Path | None) -> Settings:
    """Read the file, and give up all rights but those that the functions need."""
    settings = _begin(config)
    from yamori.agent.functions import needs
    from yamori.agent.service.privileges import unprivileged

    if os.geteuid() == 0:
        _hand_over(settings)
    unprivileged(needs(settings.host), settings.agent.user)
    return settings


def _as_user(config: Path | None) -> Settings:
    """Read the file; as root, become the agent's user where there is one: its files are its own."""
    import pwd

    settings = _begin(config)
    from yamori.agent.service.privileges import unprivileged

    try:
        pwd.getpwnam(settings.agent.user)
    except KeyError:
        return settings
    if os.geteuid() == 0:
        unprivileged(frozenset(), settings.agent.user)
    return settings


def _hand_over(settings: Settings) -> tuple[str, ...]:
    from yamori.agent.install.access import hand_over, wanted

    if os.geteuid() != 0:
        raise NotPermitted("only root can hand over what is root's", mend="use sudo")
    try:
        return hand_over(wanted(settings.host), settings.agent.user)
    except KeyError:
        mend = "run yamori agent install"
        raise NotFound("there is no such user", subject=settings.agent.user, mend=mend) from None


def _plan(config: Path | None) -> Plan:
    from yamori.agent.install.plan import Plan
    from yamori.agent.service.settings import CONFIG

    return Plan(settings=_begin(config), config=config or CONFIG)


def _way(settings: Settings) -> Way | None:
    from yamori.agent.functions.carrying import Way
    from yamori.agent.service.credentials import Credentials
    from yamori.agent.service.identity import IdentityFile

    if settings.agent.passage is None:
        return None
    return Way(settings=settings.agent.passage, contexts=Credentials(IdentityFile(settings.state_dir)))


def _told(outcomes: Sequence[Outcome]) -> Json:
    changed = any(outcome.outcome != "already" for outcome in outcomes)
    return {"steps": [outcome.plain() for outcome in outcomes], "changed": changed}
