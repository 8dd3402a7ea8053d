"""Serves the application inside the event loop that is there. Signals stay with whoever owns the loop."""

import asyncio
import contextlib
import ipaddress
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from yamori.model.errors import Conflict, Invalid, NotPermitted

log = logging.getLogger("yamori.web")

STOP_WITHIN_S = 5


def open_socket(host: str, port: int, *, allow_remote: bool = False) -> socket.socket:
    """Listen on an address; port 0 takes a free one.

    Raises NotPermitted for an address beyond this machine unless ``allow_remote``, Invalid for a malformed one,
    Conflict for a port that is in use.
    """
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise Invalid("is not an IP address", subject=host, mend="127.0.0.1, for one") from None
    if not 0 <= port <= 65_535:
        raise Invalid("is not a port", subject=str(port), mend="0 to 65535")
    if not address.is_loopback and not allow_remote:
        raise NotPermitted(
            "would let other machines reach the service", subject=host, mend="allow it in the configuration"
        )
    listener = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((str(address), port))
        listener.listen(128)
    except OSError as why:
        listener.close()
        raise Conflict(
            f"cannot be listened on: {why.strerror}", subject=f"{host}:{port}", mend="choose another port"
        ) from why
    listener.setblocking(False)  # noqa: FBT003  the standard library's signature
    return listener


def url_of(listener: socket.socket, *, tls: bool = False) -> str:
    """Return the address at which a listening socket is reached."""
    host, port = listener.getsockname()[:2]
    name = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{name}:{port}"


async def serve_http(
    app: FastAPI,
    listener: socket.socket,
    *,
    stop: asyncio.Event,
    started: asyncio.Event | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
) -> None:
    """Serve until ``stop`` is set, then end event streams and let running requests end, for a few seconds.

    ``started`` is set once requests are answered. With ``certificate`` and ``key`` (PEM) it is HTTPS. The
    listener is closed at the end. Cancelling serves as ``stop``.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # addresses may hold names; the ledger records what matters
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ws="none",
        http="h11",
        lifespan="off",
        timeout_graceful_shutdown=STOP_WITHIN_S,
        timeout_keep_alive=30,
        limit_concurrency=500,
        h11_max_incomplete_event_size=32 * 1024,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    server = _Server(config, started)
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        app.state.streams.close()
        server.should_exit = True
        stopping.cancel()
        try:
            await asyncio.shield(serving)
        finally:
            listener.close()


class _Server(uvicorn.Server):
    """A server that leaves the process's signals alone, and says when it has started."""

    def __init__(self, config: uvicorn.Config, announce: asyncio.Event | None) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if self._announce is not None:
            self._announce.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield
