"""Puts the REST interface, the metrics and the console together behind one door."""

import secrets
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from yamori.control.facade import Facade
from yamori.model.errors import Defect, Invalid, NotFound, YamoriError
from yamori.web import metrics
from yamori.web.answer import Answer
from yamori.web.api.acting import Acting
from yamori.web.api.bodies import ErrorShape
from yamori.web.api.described import described, schema_of
from yamori.web.api.once import Once
from yamori.web.api.reading import Reading
from yamori.web.api.stream import Streams
from yamori.web.api.table import ROUTES
from yamori.web.console import Console
from yamori.web.door import LOOPBACK_NAMES, Door, incident, refusal
from yamori.web.errors import WrongMethod
from yamori.web.sessions import Sessions
from yamori.web.token_gate import Check, TokenGate


def create_app(
    facade: Facade,
    *,
    check_token: Check,
    policy_text: Callable[[], str],
    version: str,
    hosts: Collection[str] = LOOPBACK_NAMES,
    gate: TokenGate | None = None,
) -> FastAPI:
    """Make the application.

    ``check_token`` raises NotPermitted or Untrusted for a text that is not the token. ``hosts`` are the names by
    which the service may be called (the Host header, without port). ``gate`` replaces how wrong tokens are slowed
    down. ``app.state.streams.close()`` ends the event streams, so that a server can stop; ``serve_http`` calls it.
    """
    app = FastAPI(
        title="Yamori", version=version, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    gate = gate or TokenGate(check_token)
    sessions = Sessions(time.monotonic)
    streams = Streams(facade, epoch=secrets.token_hex(4))
    reading = Reading(facade, policy_text=policy_text, version=version, clock_s=time.monotonic, now=_now)
    acting = Acting(facade, Once(time.monotonic))
    app.state.streams = streams

    async def openapi() -> Answer:
        return Answer(described(app))

    async def scrape() -> Response:
        return Response(await metrics.exposition(facade, wrong_tokens=gate.wrong), media_type=metrics.CONTENT_TYPE)

    handlers: dict[str, Callable[..., Any]] = {
        **reading.handlers(),
        **acting.handlers(),
        "openapi": openapi,
        "events": streams.events,
    }
    for route in ROUTES.values():
        app.add_api_route(
            route.full_path,
            handlers[route.name],
            methods=[route.method],
            name=route.name,
            operation_id=route.name,
            summary=route.summary,
            response_model=None,
            responses={
                200: {"model": schema_of(route)},
                "default": {"model": ErrorShape, "description": "Refused"},
            },
        )
    app.add_api_route("/metrics", scrape, methods=["GET"], include_in_schema=False)
    Console(gate, sessions).add_to(app)
    _translate_errors(app)
    app.add_middleware(Door, gate=gate, sessions=sessions, hosts=hosts)
    return app


def _now() -> datetime:
    return datetime.now(UTC)


def _translate_errors(app: FastAPI) -> None:
    """Give every error the one shape."""

    async def ours(request: Request, error: Any) -> Response:
        if isinstance(error, Defect):
            error = incident(error, request.scope)
        return refusal(error)

    async def malformed(_: Request, error: Any) -> Response:
        return refusal(_malformed(error))

    async def from_framework(_: Request, error: Any) -> Response:
        answer = refusal(_by_status(error.status_code))
        allow = (error.headers or {}).get("Allow")
        if allow is not None:
            answer.headers["Allow"] = allow
        return answer

    app.add_exception_handler(YamoriError, ours)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, from_framework)


def _malformed(error: RequestValidationError) -> Invalid:
    """Say where the first fault is and what is wanted there; what was sent is not sent back."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return Invalid(f"{where[:200]}: {first['msg']}", mend="see /api/v1/openapi.json")


def _by_status(status: int) -> YamoriError:
    if status == 404:
        return NotFound("there is no such path")
    if status == 405:
        return WrongMethod()
    return Invalid("the request cannot be read")
