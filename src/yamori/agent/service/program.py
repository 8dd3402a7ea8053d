"""What the commands on a host do, for `yamori agent …` and for `python -m yamori.agent …`, which starts faster."""

import asyncio
import logging
import os
import pwd
import sys
from pathlib import Path

from yamori.agent.service.privileges import unprivileged
from yamori.agent.service.settings import Settings, read_settings
from yamori.model.errors import NotFound
from yamori.model.plain import Json, to_plain

FORMAT = "%(levelname)s %(message)s"
_SINGLE = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
"""Libraries for numbers start threads by themselves; privileges are dropped while there is only one."""


def run(config: Path | None) -> None:
    """Run the service until SIGTERM or SIGINT. Raises Invalid, NotFound, NotPermitted, Untrusted, Failed."""
    for name in _SINGLE:
        os.environ.setdefault(name, "1")
    logging.basicConfig(level=logging.INFO, format=FORMAT, stream=sys.stderr)
    settings = read_settings(config)
    from yamori.agent.functions import needs

    unprivileged(needs(settings.host), settings.agent.user)
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    from yamori.agent.functions import open_host
    from yamori.agent.service.running import until_stopped

    session = await open_host(settings.host)
    await until_stopped(session, state_dir=settings.state_dir, controller=settings.agent.controller)


def enrol(config: Path | None, *, controller: str, token: str) -> Json:
    """Enrol this host; return {"name", "controller", "expires_at", "path"}. Raises as ``enrolling.enrol``."""
    from yamori.agent.service.enrolling import enrol as ask
    from yamori.agent.service.identity import IdentityFile
    from yamori.agent.service.running import check_state_dir
    from yamori.trust.enrolment import read_token_text

    settings = read_settings(config)
    wanted = read_token_text(token)
    become(settings.agent.user)
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
    from yamori.agent.service.condition import read_condition
    from yamori.agent.service.identity import IdentityFile
    from yamori.agent.service.running import check_state_dir

    settings = read_settings(config)
    become(settings.agent.user)
    check_state_dir(settings.state_dir)
    told: Json = {"enrolled": False, "name": None, "controller": None, "expires_at": None, "running": False}
    try:
        identity = IdentityFile(settings.state_dir).read()
    except NotFound:
        pass
    else:
        told |= {
            "enrolled": True,
            "name": identity.name,
            "controller": settings.agent.controller or identity.controller,
            "expires_at": to_plain(identity.certificate.not_after),
        }
    found = read_condition(settings.state_dir) or {}
    wanted = ("pid", "started_at", "connected", "since", "error", "skew_s")
    return {**told, "running": bool(found), **{key: found.get(key) for key in wanted}}


def become(user: str) -> None:
    """As root, become the agent's user where there is one: its files are its own. Else stay who we are."""
    if os.geteuid() != 0:
        return
    try:
        pwd.getpwnam(user)
    except KeyError:
        return
    unprivileged(frozenset(), user)
