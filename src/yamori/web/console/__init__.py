"""The live console: static pages over the REST interface and its event stream. Nothing is rendered here."""

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse
from pydantic import Field
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from yamori.web.answer import Answer
from yamori.web.api.bodies import Body
from yamori.web.door import cookie
from yamori.web.sessions import COOKIE, LIFE_S, Sessions
from yamori.web.token_gate import LONGEST, TokenGate

STATIC = Path(__file__).parent / "static"
PAGES = (
    "/",
    "/vms",
    "/vms/{untrusted_name}",
    "/findings",
    "/findings/{untrusted_name}",
    "/runs",
    "/runs/{untrusted_name}",
    "/support",
    "/policy",
    "/ledger",
)
"""Addresses of the console's pages. All are the same shell; the program in it reads the address."""


class LoginBody(Body):
    """The token, pasted or out of the one-time link's fragment."""

    token: str = Field(min_length=1, max_length=LONGEST)


class Console:
    """The console's few routes of its own: log in, log out, the shell."""

    def __init__(self, gate: TokenGate, sessions: Sessions) -> None:
        """Keep what guards the console."""
        self._gate = gate
        self._sessions = sessions

    def add_to(self, app: FastAPI) -> None:
        """Add the routes to an application. They are no part of the REST interface."""
        app.add_api_route("/login", self.login_page, methods=["GET"], include_in_schema=False)
        app.add_api_route("/login", self.login, methods=["POST"], include_in_schema=False)
        app.add_api_route("/logout", self.logout, methods=["POST"], include_in_schema=False)
        app.add_api_route("/favicon.ico", self.icon, methods=["GET"], include_in_schema=False)
        for path in PAGES:
            app.add_api_route(path, self.shell, methods=["GET"], include_in_schema=False)
        app.mount("/assets", StaticFiles(directory=STATIC / "assets"), name="assets")

    async def login_page(self) -> Response:
        """Show where to paste the token."""
        return FileResponse(STATIC / "login.html")

    async def login(self, request: Request, body: LoginBody) -> Response:
        """Check the token and open a session: half of it a cookie, half of it in the answer."""
        await self._gate.check(body.token.strip())
        opened = self._sessions.open()
        answer = Answer({"key": opened.key})
        answer.set_cookie(
            COOKIE,
            opened.cookie,
            max_age=int(LIFE_S),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    async def logout(self, request: Request) -> Response:
        """Close the session."""
        self._sessions.close(cookie(request.headers))
        answer = Answer({})
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    async def icon(self) -> Response:
        """Show the little picture in the browser's tab."""
        return FileResponse(STATIC / "assets" / "icon.svg", media_type="image/svg+xml")

    async def shell(self) -> Response:
        """Show the empty page that the program fills."""
        return FileResponse(STATIC / "index.html")
