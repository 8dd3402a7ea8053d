"""The service as a whole: gives up root, opens the host, stays connected until it is told to stop."""

import asyncio
import contextlib
import logging
import os
import signal
import stat
from pathlib import Path

from yamori.agent.service.answering import Answering
from yamori.agent.service.condition import Condition
from yamori.agent.service.dialling import Dialling, boot_id
from yamori.agent.service.identity import IdentityFile
from yamori.capabilities.session import Session
from yamori.model.errors import Failed, Untrusted

log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def serve(
    session: Session, *, state_dir: Path, controller: str | None = None, clock: str | None = None
) -> None:
    """Stay connected and answer from ``session`` until cancelled; then end in order. The session stays open."""
    check_state_dir(state_dir)
    named = clock or boot_id()
    answering = Answering(session, named)
    condition = Condition(state_dir)
    dialling = Dialling(
        IdentityFile(state_dir), answering.handlers(), condition, clock=named, controller=controller
    )
    try:
        await dialling.run()
    finally:
        await answering.settle()
        condition.remove()


async def until_stopped(session: Session, *, state_dir: Path, controller: str | None = None) -> None:
    """As ``serve``, until SIGTERM or SIGINT; closes the session."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop.set)
    serving = asyncio.create_task(serve(session, state_dir=state_dir, controller=controller))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        if not serving.done():
            log.info("stopping")
            serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        await session.close()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def check_state_dir(state_dir: Path) -> None:
    """Raises Failed where the directory is missing, Untrusted where others can get at it."""
    try:
        found = state_dir.stat()
    except OSError as error:
        raise Failed(
            f"the agent's directory cannot be used: {error.strerror}",
            subject=str(state_dir),
            mend="run yamori agent install",
        ) from error
    if found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise Untrusted(
            f"belongs to user {found.st_uid} with mode {stat.S_IMODE(found.st_mode):04o}",
            subject=str(state_dir),
            mend=f"chown to user {os.geteuid()} and chmod 700",
        )
