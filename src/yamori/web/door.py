"""The door that every request passes before anything else sees it: host, origin, size, who it is.

The tests in tests/web/test_abuse.py drive every route against it.
"""

import asyncio
import logging
import secrets
from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from yamori.model.errors import Defect, TimedOut, YamoriError
from yamori.web.answer import Answer
from yamori.web.api.table import PREFIX, ROUTES
from yamori.web.errors import ForeignOrigin, TooLarge, Unauthenticated, WrongHost, shape, status_of
from yamori.web.sessions import COOKIE, KEY_HEADER, Sessions
from yamori.web.token_gate import MEND, TokenGate

log = logging.getLogger("yamori.web")

LARGEST_BODY = 64 * 1024
LONGEST_TARGET = 4096
BODY_WITHIN_S = 10.0
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
OPEN_PATHS = frozenset({ROUTES["health"].full_path, "/login", "/favicon.ico"})
OPEN_FOLDER = "/assets/"
"""The console's own program text: public, and the same for everybody."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class Door:
    """Wraps the application. ``hosts`` are the names by which the service may be called, without port."""

    def __init__(
        self, app: ASGIApp, *, gate: TokenGate, sessions: Sessions, hosts: Collection[str] = LOOPBACK_NAMES
    ) -> None:
        """Put the door before an application."""
        self._app = app
        self._gate = gate
        self._sessions = sessions
        self._hosts = frozenset(h.lower() for h in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request pass, or answer it with the reason why not."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        begun = False

        async def dressed(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._pass(scope, receive, dressed)
        except YamoriError as error:
            if not begun:
                await refusal(error)(scope, receive, dressed)
        except Exception as why:  # noqa: BLE001  the edge of the service: nothing of ours may leak outwards
            defect = incident(why, scope)
            if not begun:
                await refusal(defect)(scope, receive, dressed)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        self._check_host(headers)
        _check_origin(headers)
        if len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"") > LONGEST_TARGET:
            raise TooLarge(f"the address is longer than {LONGEST_TARGET} characters")
        body = await _body(scope, headers, receive)
        if scope["path"] not in OPEN_PATHS and not scope["path"].startswith(OPEN_FOLDER):
            redirect = await self._admit(scope, headers)
            if redirect is not None:
                await redirect(scope, receive, send)
                return
        await self._app(scope, _replay(body, receive), send)

    def _check_host(self, headers: Headers) -> None:
        """Refuse other names than ours: a page elsewhere may have its own name resolve to us (DNS rebinding)."""
        untrusted_host = headers.get("host", "")
        if _name(f"//{untrusted_host}") not in self._hosts:
            raise WrongHost(
                mend=f"call it {', '.join(sorted(self._hosts))}, or allow the name in the configuration"
            )

    async def _admit(self, scope: Scope, headers: Headers) -> Response | None:
        """Find out who asks and note it in the scope. Raises Unauthenticated, TooMany."""
        scheme, _, untrusted_token = headers.get("authorization", "").partition(" ")
        if scheme:
            if scheme.lower() != "bearer":
                raise Unauthenticated("only a bearer token is taken", mend=MEND)
            await self._gate.check(untrusted_token.strip())
            scope["yamori.operator"] = "token"
            return None
        untrusted_cookie = cookie(headers)
        if scope["path"].startswith((PREFIX, "/metrics", "/logout")):
            if untrusted_cookie is None:
                raise Unauthenticated(mend=MEND)
            self._sessions.both(untrusted_cookie, headers.get(KEY_HEADER))
            scope["yamori.operator"] = "console"
            return None
        try:
            self._sessions.page(untrusted_cookie)
        except Unauthenticated:
            return RedirectResponse("/login", status_code=303)
        scope["yamori.operator"] = "console"
        return None


def refusal(error: YamoriError) -> Answer:
    """Make the answer for an error."""
    headers = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="yamori"'
    if error.code == "too_many":
        headers["Retry-After"] = "2"
    return Answer(shape(error), status_code=status_of(type(error)), headers=headers)


def incident(why: BaseException, scope: Scope) -> Defect:
    """Log what went wrong under a number, and return what may be told of it: the number."""
    number = secrets.token_hex(6)
    log.error("incident %s: %s %r", number, scope.get("method"), scope.get("path"), exc_info=why)
    return Defect("an internal error", subject=f"incident {number}", mend="find the incident in the service's log")


def cookie(headers: Headers) -> str | None:
    """Return our cookie's value as it came; None without one."""
    try:
        found = SimpleCookie(headers.get("cookie", "")[:LONGEST_TARGET]).get(COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value


def _name(untrusted_address: str) -> str | None:
    try:
        return urlsplit(untrusted_address).hostname
    except ValueError:
        return None


def _check_origin(headers: Headers) -> None:
    """Refuse requests that a page of another origin makes. Programs send no Origin at all."""
    untrusted_origin = headers.get("origin")
    if untrusted_origin is not None:
        try:
            there = urlsplit(untrusted_origin).netloc.lower()
        except ValueError:
            there = ""
        if not there or there != headers.get("host", "").lower():
            raise ForeignOrigin
        return
    foreign = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
    followed = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    if foreign and not followed:
        raise ForeignOrigin


async def _body(scope: Scope, headers: Headers, receive: Receive) -> bytes | None:
    """Read the whole body of a request that may have one, within bounds of size and time."""
    untrusted_length = headers.get("content-length", "0")
    if not untrusted_length.isdigit() or int(untrusted_length[:12]) > LARGEST_BODY:
        raise TooLarge(f"a body may have {LARGEST_BODY} bytes")
    if scope["method"] in ("GET", "HEAD"):
        return None
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            more = True
            while more:
                message = await receive()
                body += message.get("body", b"")
                if len(body) > LARGEST_BODY:
                    raise TooLarge(f"a body may have {LARGEST_BODY} bytes")
                more = message["type"] == "http.request" and message.get("more_body", False)
    except TimeoutError:
        raise TimedOut(f"the body did not arrive within {BODY_WITHIN_S:g} s") from None
    return bytes(body)


def _replay(body: bytes | None, receive: Receive) -> Receive:
    """Hand a body that has been read on to the application, then whatever comes after it."""
    if body is None:
        return receive
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
