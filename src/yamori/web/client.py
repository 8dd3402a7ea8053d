"""The REST interface for Python: one method per route, plain JSON back, the model's own errors raised."""

import math
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx

from yamori.model.errors import Failed, NotFound, TimedOut, Unreachable
from yamori.model.run import ENDED
from yamori.trust.token import read_token
from yamori.web import service_file
from yamori.web.errors import rebuilt
from yamori.web.sse import event, messages

Json = dict[str, Any]

PAGE = 500
"""How many VMs or ledger records are asked for at a time."""


class Client:
    """A connection to a running Yamori.

    Every method raises what the service raised (NotFound, Refused, Failed, Untrusted ...), Unreachable when the
    service is not running, NotPermitted for a wrong token. Durations are in seconds.
    """

    def __init__(
        self, url: str, token: str, *, timeout_s: float = 30.0, transport: httpx.BaseTransport | None = None
    ) -> None:
        """Connect lazily to the service at ``url``. ``transport`` replaces the network, for tests."""
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._http = httpx.Client(
            base_url=self.url + "/api/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout_s,
            trust_env=False,  # a proxy from the environment must never see the token
            transport=transport,
        )

    @classmethod
    def from_state_dir(cls, path: Path, *, timeout_s: float = 30.0) -> Self:
        """Find the running service by its state directory. Raises Unreachable when none is running."""
        url = service_file.read(path)
        try:
            token = read_token(path)
        except NotFound as why:
            raise Unreachable("the token is missing", subject=str(path), mend=service_file.START) from why
        return cls(url, token.reveal(), timeout_s=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def health(self) -> Json:
        """Say whether the service is up."""
        return self._get("/health")

    def service(self) -> Json:
        """Return the versions of the service and of the interface."""
        return self._get("/service")

    def openapi(self) -> Json:
        """Return the description of the interface in OpenAPI 3.1."""
        return self._get("/openapi.json")

    def endpoints(self) -> list[Json]:
        """List the configured connections."""
        return self._items("/endpoints")

    def fleet(self, *, search: str = "", tiles: int = 48) -> Json:
        """Return the fleet by host, with at most ``tiles`` VMs each."""
        return self._get("/fleet", search=search, tiles=tiles)

    def vms(
        self,
        *,
        search: str = "",
        host: str | None = None,
        standing: str | None = None,
        held: bool | None = None,
        limit: int | None = None,
    ) -> list[Json]:
        """List VMs in order of host and name; ``limit`` None lists them all, page by page."""
        return list(self.each_vm(search=search, host=host, standing=standing, held=held, limit=limit))

    def each_vm(
        self,
        *,
        search: str = "",
        host: str | None = None,
        standing: str | None = None,
        held: bool | None = None,
        limit: int | None = None,
    ) -> Iterator[Json]:
        """Like ``vms``, one at a time: a large fleet need not fit in memory."""
        left, after = math.inf if limit is None else limit, 0
        while left > 0:
            page = self._get(
                "/vms",
                search=search,
                host=host,
                standing=standing,
                held=held,
                after=after,
                limit=int(min(PAGE, left)),
            )
            yield from page["items"]
            left -= len(page["items"])
            if page["next"] is None:
                return
            after = page["next"]

    def vm(self, vm: str) -> Json:
        """Return one VM by id or unambiguous name."""
        return self._get(f"/vms/{_part(vm)}")

    def history(self, vm: str, *, seconds: float = 300.0) -> Json:
        """Return what is remembered of the last seconds of one VM."""
        return self._get(f"/vms/{_part(vm)}/history", seconds=seconds)

    def limits(self, vm: str) -> Json:
        """Read the limits of one VM from its hypervisor: {"limits", "settable", "read_at"}."""
        return self._get(f"/vms/{_part(vm)}/limits")

    def support(self) -> Json:
        """Return what each endpoint can do: {"features": [...], "endpoints": {name: support or None}}."""
        return self._get("/support")

    def findings(self, *, open_only: bool = False, limit: int = 100) -> list[Json]:
        """List findings, newest first."""
        return self._items("/findings", open=open_only, limit=limit)

    def finding(self, finding: str) -> Json:
        """Return one finding."""
        return self._get(f"/findings/{_part(finding)}")

    def rulings(self, *, limit: int = 100) -> list[Json]:
        """List what policy ruled, newest first."""
        return self._items("/rulings", limit=limit)

    def runs(self, *, limit: int = 100) -> list[Json]:
        """List runs, newest first, without their journal."""
        return self._items("/runs", limit=limit)

    def run(self, run: str) -> Json:
        """Return one run with its journal."""
        return self._get(f"/runs/{_part(run)}")

    def explain(self, run: str) -> Json:
        """Return the reason trail of a run: {"run", "finding", "lines"}."""
        return self._get(f"/runs/{_part(run)}/explain")

    def wait(self, run: str, *, timeout_s: float = 60.0) -> Json:
        """Wait until a run has ended and return it. Raises TimedOut when it has not after ``timeout_s``."""
        left = timeout_s
        while True:
            once = min(left, 20.0)
            found = self._get(f"/runs/{_part(run)}/wait", timeout_s=once)
            left -= once
            if found["state"] in ENDED:
                return found
            if left <= 0:
                raise TimedOut(f"still {found['state']} after {timeout_s:g} s", subject=run)

    def agents(self) -> list[Json]:
        """List the agents on hosts."""
        return self._items("/agents")

    def kill_switch(self) -> Json:
        """Say whether modules are kept from acting: {"on", "by", "reason", "since"}."""
        return self._get("/kill-switch")

    def policy(self) -> str:
        """Return the text of the policy in force."""
        return str(self._get("/policy")["text"])

    def ledger(self, *, after: int = 0, limit: int = 100) -> list[Json]:
        """Return records of the ledger, oldest first."""
        return self._items("/ledger", after=after, limit=limit)

    def verify_ledger(self) -> int:
        """Check the whole hash chain; return the number of records. Raises Tampered."""
        return int(self._get("/ledger/verify")["records"])

    def events(self, *, after: str | int | None = None) -> Iterator[Json]:
        """Tell events as they happen: {"id", "number", "kind", "at", "subject", "body"}.

        The first is {"kind": "hello", "resumed": bool}: what was loaded before it may be out of date. Ends with
        Unreachable when the connection is lost; go on with ``after`` = the last ``id`` seen (a bare number is
        taken as one of this run of the service).
        """
        headers = {"Accept": "text/event-stream"}
        if after is not None:
            headers["Last-Event-ID"] = str(after)
        calm = httpx.Timeout(self._timeout_s, read=max(self._timeout_s, 60.0))
        try:
            with self._http.stream("GET", "/events", headers=headers, timeout=calm) as answer:
                if answer.status_code != httpx.codes.OK:
                    answer.read()
                    raise rebuilt(answer.status_code, _json(answer))
                for message in messages(answer.iter_lines()):
                    yield event(message)
        except httpx.TransportError as why:
            raise self._unreachable(why) from why
        raise Unreachable("the service ended the stream", subject=self.url, mend=service_file.START)

    def metrics(self) -> str:
        """Return the metrics in Prometheus' text format."""
        return self._send("GET", self.url + "/metrics").text

    def throttle(
        self,
        vm: str,
        limits: Mapping[str, float],
        *,
        expires_after_s: float,
        reason: str,
        dry_run: bool = False,
        key: str | None = None,
    ) -> Json:
        """Bound what a VM may use: {"decision", "run"}; ``run`` is None where policy did not allow it."""
        body = {"limits": dict(limits), "expires_after_s": expires_after_s, "reason": reason, "dry_run": dry_run}
        return self._post(f"/vms/{_part(vm)}/throttle", body, key)

    def release(self, vm: str, *, reason: str = "", dry_run: bool = False, key: str | None = None) -> Json:
        """Give a VM back the limits it had: {"decision", "run"}."""
        return self._post(f"/vms/{_part(vm)}/release", {"reason": reason, "dry_run": dry_run}, key)

    def migrate(
        self,
        vm: str,
        *,
        to: str | None = None,
        stopping: bool = False,
        reason: str = "",
        dry_run: bool = False,
        key: str | None = None,
    ) -> Json:
        """Move a VM; ``to`` None lets control choose, ``stopping`` lets it stand still: {"decision", "run"}."""
        body = {"to": to, "stopping": stopping, "reason": reason, "dry_run": dry_run}
        return self._post(f"/vms/{_part(vm)}/migrate", body, key)

    def undo(self, run: str, *, key: str | None = None) -> Json:
        """Undo a verified run; returns the run."""
        return self._post(f"/runs/{_part(run)}/undo", {}, key)

    def throw_kill_switch(self, *, on: bool, reason: str, key: str | None = None) -> Json:
        """Keep modules from acting, or let them act again; returns how it stands."""
        return self._post("/kill-switch/throw", {"on": on, "reason": reason}, key)

    def invite_agent(self, agent: str, *, key: str | None = None) -> Json:
        """Make a one-time token: {"name", "token", "controller", "command", "expires_at"}."""
        return self._post(f"/agents/{_part(agent)}/invite", {}, key)

    def revoke_agent(self, agent: str, *, reason: str, key: str | None = None) -> Json:
        """Strike an agent off; returns how it stands."""
        return self._post(f"/agents/{_part(agent)}/revoke", {"reason": reason}, key)

    def _items(self, path: str, **query: Any) -> list[Json]:
        items: list[Json] = self._get(path, **query)["items"]
        return items

    def _get(self, path: str, **query: Any) -> Json:
        params = {k: str(v).lower() if isinstance(v, bool) else v for k, v in query.items() if v is not None}
        wait_s = float(query.get("timeout_s", 0.0)) + self._timeout_s
        return self._object(self._send("GET", path, params=params, timeout=wait_s))

    def _post(self, path: str, body: Json, key: str | None) -> Json:
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return self._object(self._send("POST", path, json=body, headers=headers))

    def _send(self, method: str, path: str, **rest: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **rest)
        except httpx.TimeoutException as why:
            raise TimedOut("the service did not answer in time", subject=self.url) from why
        except httpx.TransportError as why:
            raise self._unreachable(why) from why
        if answer.is_success:
            return answer
        raise rebuilt(answer.status_code, _json(answer))

    def _object(self, answer: httpx.Response) -> Json:
        found = _json(answer)
        if not isinstance(found, dict):
            raise Failed("the answer is not from Yamori", subject=self.url)
        return found

    def _unreachable(self, why: Exception) -> Unreachable:
        return Unreachable(f"Yamori does not answer ({why})", subject=self.url, mend=service_file.START)


def _part(untrusted_name: str) -> str:
    """Write a name as one part of a path. Raises NotFound for what cannot be the name of anything."""
    if untrusted_name in ("", ".", ".."):
        raise NotFound(f"there is nothing named {untrusted_name!r}")
    return quote(untrusted_name, safe="")


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
