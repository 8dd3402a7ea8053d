"""The only place where everything meets: settings become objects. No logic."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from yamori import __version__
from yamori.agent.functions import HostSettings, open_host
from yamori.agent.gateway.gateway import Gateway
from yamori.agent.joined import JoinedSession
from yamori.capabilities.session import Session
from yamori.control.configuration import Configuration, ConfiguredEndpoint, configure
from yamori.control.controller import Controller
from yamori.control.facade import Facade
from yamori.control.keeper import Keeper
from yamori.control.probing import probe
from yamori.control.replay import Replay, replay
from yamori.control.settings import AgentPlace
from yamori.model.errors import Invalid, YamoriError
from yamori.model.ids import EndpointName
from yamori.model.secret import Secret
from yamori.model.support import Support
from yamori.policy.reading import default_text, read_policy
from yamori.policy.rules import Policy
from yamori.store.opening import Store, open_store
from yamori.store.recording import Bounds, read_recording
from yamori.trust.authority import keep_authority
from yamori.trust.ledger import RecordKind
from yamori.trust.token import check_token, keep_token
from yamori.web import service_file
from yamori.web.app import create_app
from yamori.web.door import LOOPBACK_NAMES
from yamori.web.server import open_socket, serve_http, url_of
from yamori.workflow.clock import Clock, SystemClock

LISTEN = "127.0.0.1:8470"
PROBE_LIMIT_S = 30.0
LAPSES = "host"
"""Where an agent within this process remembers which limits must end by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What `yamori up` was asked. ``hosts`` are further names by which clients may call the service."""

    config: Path
    policy: Path | None = None
    listen: str = LISTEN
    state_dir: Path
    allow_remote: bool = False
    hosts: Sequence[str] = ()
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running service, for whoever started it in this process.

    ``token`` opens the console and the API; other commands find it, and the address, in ``state_dir``.
    """

    facade: Facade
    url: str
    state_dir: Path
    token: Secret = field(repr=False)
    warnings: Sequence[str] = ()


async def serve(options: ServeOptions, *, ready: Callable[[Service], None], stop: asyncio.Event) -> None:
    """Run until ``stop`` is set. Raises Invalid (configuration), Conflict (already running), Untrusted, …"""
    configuration = configure(_text(options.config), str(options.config))
    policy_text, source = _policy_text(options.policy)
    async with service(
        configuration,
        policy_text=policy_text,
        policy_source=source,
        state_dir=options.state_dir,
        listen=options.listen,
        allow_remote=options.allow_remote,
        hosts=options.hosts,
        certificate=options.certificate,
        key=options.key,
    ) as running:
        ready(running)
        await stop.wait()


async def try_state_dir(state_dir: Path) -> None:
    """Open the store and close it again, before something costly is built. Raises Untrusted, Conflict, Failed."""
    await (await open_store(state_dir)).close()


@contextlib.asynccontextmanager
async def service(
    configuration: Configuration,
    *,
    policy_text: str,
    policy_source: str,
    state_dir: Path,
    listen: str = LISTEN,
    allow_remote: bool = False,
    hosts: Sequence[str] = (),
    certificate: Path | None = None,
    key: Path | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Service]:
    """Bring everything up, yield once it answers, and take it down again."""
    policy = read_policy(policy_text, policy_source)
    time = clock or SystemClock()
    recording = configuration.settings.recording
    bounds = Bounds(most_bytes=recording.max_mb * 1_000_000)
    store = await open_store(state_dir, clock=time, recording=bounds)
    try:
        owner = store.claim()
        token = keep_token(state_dir)
        listener = open_socket(*_address(listen), allow_remote=allow_remote)
        url = url_of(listener, tls=certificate is not None)
        gateway = _gateway(configuration, store, time)
        controller = await _controller(configuration, policy, store, owner, time, gateway)
        app = create_app(
            controller,
            check_token=lambda text: check_token(text, token),
            policy_text=lambda: policy_text,
            version=__version__,
            hosts=[*LOOPBACK_NAMES, *hosts],
        )
        await store.ledger.append(RecordKind.STARTED, {"version": __version__, "owner": owner})
        stop, started = asyncio.Event(), asyncio.Event()
        if gateway is not None:
            await gateway.open()
        async with _together(
            _control(controller, gateway),
            serve_http(app, listener, stop=stop, started=started, certificate=certificate, key=key),
            stop,
        ):
            await started.wait()
            service_file.write(state_dir, url)
            try:
                yield Service(facade=controller, url=url, state_dir=state_dir, token=token)
            finally:
                service_file.remove(state_dir)
        await store.ledger.append(RecordKind.STOPPED, {"owner": owner})
    finally:
        await store.close()


async def probe_file(
    config: Path, *, limit_s: float = PROBE_LIMIT_S
) -> Mapping[EndpointName, Support | YamoriError]:
    """Probe the endpoints of a configuration, read only. Raises Invalid."""
    return await probe(configure(_text(config), str(config)), limit_s=limit_s)


async def probe_uri(uri: str, *, limit_s: float = PROBE_LIMIT_S) -> Mapping[EndpointName, Support | YamoriError]:
    """Probe one libvirt connection by its URI, read only. Raises Invalid."""
    text = json.dumps({"endpoints": [{"name": "probed", "driver": "libvirt", "uri": uri}]})
    return await probe(configure(text, "uri"), limit_s=limit_s)


async def replay_policy(
    record: Path, policy: Path, *, config: Path | None = None, progress: Callable[[int], None] | None = None
) -> Replay:
    """Play recorded readings through the modules and a policy. Raises Invalid, NotFound."""
    text, source = _policy_text(policy)
    stand_in = "endpoints: [{name: record, driver: simulator}]\n"
    configuration = configure(
        stand_in if config is None else _text(config), "replay" if config is None else str(config)
    )
    return await replay(read_recording(record), configuration.seats, read_policy(text, source), progress)


@contextlib.asynccontextmanager
async def _together(
    controller: Coroutine[None, None, None], server: Coroutine[None, None, None], stop: asyncio.Event
) -> AsyncIterator[None]:
    """Run the parts of the service beside the body. The failure of one ends all and is raised as itself."""
    try:
        async with asyncio.TaskGroup() as tasks:
            control = tasks.create_task(controller, name="controller")
            tasks.create_task(server, name="http")
            try:
                yield
            finally:
                stop.set()
                control.cancel()
    except BaseExceptionGroup as group:
        raise _first(group) from group


async def _control(controller: Controller, gateway: Gateway | None) -> None:
    """Run the control plane, and the agents' gateway for longer: what is let go at the end must reach agents."""
    if gateway is None:
        await controller.serve()
        return
    async with asyncio.TaskGroup() as tasks:
        door = tasks.create_task(gateway.serve(), name="gateway")
        try:
            await controller.serve()
        finally:
            door.cancel()


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _controller(
    configuration: Configuration, policy: Policy, store: Store, owner: str, clock: Clock, gateway: Gateway | None
) -> Controller:
    settings = configuration.settings
    sessions = [(e, await _session(e, gateway, store.state_dir)) for e in configuration.endpoints]

    def keepers(controller: Controller) -> list[Keeper]:
        return [
            Keeper(
                endpoint.name,
                endpoint.manifest.name,
                session,
                tick_s=settings.tick_s,
                now=clock.now,
                on_reading=controller.reading,
                on_change=controller.change,
                on_contact=controller.contact,
            )
            for endpoint, session in sessions
        ]

    controller = Controller(
        settings,
        keepers=keepers,
        seats=configuration.seats,
        policy=policy,
        clock=clock,
        owner=owner,
        journal=store.journal,
        leases=store.leases,
        ledger=store.ledger,
        findings=store.findings,
        rulings=store.rulings,
        holds=store.holds,
        recorder=store.recorder if settings.recording.enabled else None,
        agents=gateway,
    )
    if gateway is not None:
        gateway.told = controller.agent
    return controller


def _gateway(configuration: Configuration, store: Store, clock: Clock) -> Gateway | None:
    """Return where agents connect to, if an endpoint waits for one."""
    awaited = [e.name for e in configuration.endpoints if e.agent is AgentPlace.REMOTE]
    if not awaited:
        return None
    authority = keep_authority(store.state_dir, clock.now())
    return Gateway(configuration.settings.agents, authority, store.agents, now=clock.now, endpoints=awaited)


async def _session(endpoint: ConfiguredEndpoint, gateway: Gateway | None, state_dir: Path) -> Session:
    native = await endpoint.manifest.connect(endpoint.name, endpoint.settings)
    if endpoint.agent is AgentPlace.REMOTE and gateway is not None:
        return JoinedSession(endpoint.name, native, gateway.session(endpoint.name))
    if endpoint.agent is AgentPlace.LOCAL:
        host = await open_host(HostSettings(host=endpoint.name, state_dir=str(state_dir / LAPSES)))
        return JoinedSession(endpoint.name, native, host)
    return native


def _policy_text(policy: Path | None) -> tuple[str, str]:
    return (default_text(), "built-in policy") if policy is None else (_text(policy), str(policy))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Invalid("is not UTF-8 text", subject=str(path)) from error
    except OSError as error:
        raise Invalid(f"cannot be read: {error.strerror}", subject=str(path), mend="check the path") from error


def _address(untrusted_listen: str) -> tuple[str, int]:
    host, _, port = untrusted_listen.rpartition(":")
    if not host or not port.isdigit():
        raise Invalid("is no address", subject=untrusted_listen[:80], mend=f"use HOST:PORT, such as {LISTEN}")
    return host.strip("[]"), int(port)
