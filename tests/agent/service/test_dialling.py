"""The agent's side: it waits for its enrolment, comes back, renews in time, and says each reason once."""

import asyncio
import json
import logging
from datetime import timedelta
from pathlib import Path

import pytest

from tests.agent.fleet import Controller, keep, now, serving, shown, simulated, until, until_true
from yamori.agent.protocol.frames import frame
from yamori.agent.service.answering import Answering
from yamori.agent.service.condition import Condition, read_condition
from yamori.agent.service.dialling import FIRST_WAIT_S, LONGEST_WAIT_S, REFUSED_WAIT_S, Dialling, wait_s
from yamori.agent.service.identity import Identity, IdentityFile, apply
from yamori.agent.service.running import serve
from yamori.agent.service.settings import read_settings
from yamori.capabilities.acting.limits import LimitsWriter
from yamori.drivers.simulator import World
from yamori.model.errors import Failed, Invalid, NotFound, Untrusted
from yamori.model.limits import LimitKind
from yamori.trust.ledger import RecordKind


def test_waits_double_up_to_a_bound_with_jitter() -> None:
    assert wait_s(0, refused=False, chance=lambda: 1.0) == FIRST_WAIT_S
    assert wait_s(1, refused=False, chance=lambda: 1.0) == 2 * FIRST_WAIT_S
    assert wait_s(50, refused=False, chance=lambda: 1.0) == LONGEST_WAIT_S
    assert wait_s(50, refused=False, chance=lambda: 0.0) == LONGEST_WAIT_S / 2
    assert wait_s(0, refused=True, chance=lambda: 1.0) == REFUSED_WAIT_S
    assert len({wait_s(9, refused=False) for _ in range(50)}) > 40


async def test_a_host_that_is_not_enrolled_waits_and_connects_once_it_is(
    controller: Controller, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "agent"
    state.mkdir(mode=0o700)
    task = asyncio.create_task(serve(simulated(), state_dir=state))
    try:
        await until(lambda: "this host is not enrolled" in caplog.text)
        assert "yamori agent token NAME" in caplog.text
        identity = await controller.enrolled()
        keep(state, identity)
        await until(controller.connected)
        told = read_condition(state)
        assert told is not None
        assert (told["name"], told["connected"], told["error"]) == ("rack-a", True, None)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert read_condition(state) is None, "an orderly end leaves nothing that says it runs"


async def test_a_certificate_is_renewed_in_time_with_a_new_key_over_the_same_connection(
    controller: Controller, tmp_path: Path
) -> None:
    await controller.stop()
    controller.settings = controller.settings.model_copy(update={"lifetime_s": 6.0})
    await controller.start()
    first = await controller.enrolled()
    assert first.certificate.not_after - now() < timedelta(seconds=7)
    file = IdentityFile(tmp_path / "agent")
    async with serving(simulated(), tmp_path / "agent", first):
        await until(controller.connected)
        line = controller.gateway.post("rack-a").line
        await until(lambda: file.read().certificate.serial != first.certificate.serial)
        second = file.read()
        assert second.key.reveal() != first.key.reveal()
        assert second.certificate.not_after > first.certificate.not_after
        await until(lambda: file.read().certificate.serial != second.certificate.serial)
        assert now() > first.certificate.not_after
        assert controller.connected()
        assert controller.gateway.post("rack-a").line is line, "the connection was not interrupted"
    assert len(await controller.records(RecordKind.AGENT_RENEWED)) >= 2
    async with serving(simulated(), tmp_path / "agent", file.read()):
        await until(controller.connected)


async def test_a_host_whose_clock_is_days_ahead_says_so_and_does_not_renew_for_ever(
    controller: Controller, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep(tmp_path / "agent", await controller.enrolled())
    dialling = Dialling(
        IdentityFile(tmp_path / "agent"),
        {},
        Condition(tmp_path / "agent"),
        clock="boot-1",
        now=lambda: now() + timedelta(days=2),
    )
    task = asyncio.create_task(dialling.run())
    try:
        await until(controller.connected)
        await until(lambda: "ahead of the controller's" in caplog.text)
        await asyncio.sleep(1.5)
        assert await controller.records(RecordKind.AGENT_RENEWED) == []
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_certificate_is_not_renewed_before_a_third_of_its_life(controller: Controller) -> None:
    identity = await controller.enrolled()
    channel = await shown(controller.address, identity)
    wishes = [
        {"kind": "hello", "lowest": 1, "highest": 1, "software": "x", "clock": "x", "wall": now().isoformat()},
        {
            "kind": "call",
            "id": 1,
            "name": "certificate.renew",
            "timeout_s": 5,
            "arguments": {"request": apply().request},
        },
    ]
    heard = b""
    try:
        for wish, answer in zip(wishes, (b"welcome", b"too young"), strict=True):
            channel.send(frame(json.dumps(wish).encode()))
            while answer not in heard:
                heard += await channel.receive()
    finally:
        await channel.close()
    assert await controller.records(RecordKind.AGENT_RENEWED) == []


async def test_a_connection_does_not_outlive_its_certificate(
    controller: Controller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Identity, "renew_at", lambda self: self.certificate.not_after + timedelta(hours=1))
    await controller.stop()
    controller.settings = controller.settings.model_copy(update={"lifetime_s": 3.0})
    await controller.start()
    async with serving(simulated(), tmp_path / "agent", await controller.enrolled()):
        await until(controller.connected)
        await until(lambda: not controller.connected())
        await until(lambda: "certificate has expired" in caplog.text)


async def test_each_reason_is_logged_once_however_often_it_is_tried(
    tmp_path: Path, controller: Controller, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from yamori.agent.service import dialling

    monkeypatch.setattr(dialling, "LONGEST_WAIT_S", 0.05)
    monkeypatch.setattr(dialling, "FIRST_WAIT_S", 0.05)
    identity = await controller.enrolled()
    await controller.stop()
    tried = 0
    original = dialling.dial

    async def counted(*words: object) -> object:
        nonlocal tried
        tried += 1
        return await original(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(dialling, "dial", counted)
    caplog.set_level(logging.INFO)
    async with serving(simulated(), tmp_path / "agent", identity):
        await until(lambda: tried >= 10)
        assert caplog.text.count("cannot be reached") == 1
        await controller.start()
        await until(controller.connected)


class Slow:
    """A writer that takes its time."""

    def __init__(self, inner: LimitsWriter) -> None:
        self.inner = inner
        self.begun, self.go, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def set(self, *words: object, **more: object) -> None:
        self.begun.set()
        await self.go.wait()
        await self.inner.set(*words, **more)  # type: ignore[arg-type]
        self.ended.set()


async def test_a_change_is_carried_out_whole_though_the_controller_is_gone_in_the_middle(
    controller: Controller, tmp_path: Path
) -> None:
    import dataclasses

    session = simulated(World())
    assert session.acting.limits is not None
    slow = Slow(session.acting.limits)
    session._acting = dataclasses.replace(session.acting, limits=slow)  # type: ignore[arg-type]
    identity = await controller.enrolled()
    async with serving(session, tmp_path / "agent", identity):
        await until(controller.connected)
        remote = controller.session()
        vm = (await remote.sensing.inventory.read()).vms[0].id
        assert remote.acting.limits is not None
        setting = asyncio.create_task(remote.acting.limits.set(vm, {LimitKind.CPU_CAP: 0.5}))
        await slow.begun.wait()
        await controller.stop()
        with pytest.raises(Exception, match=r"stops|not connected|ended"):
            await setting
        slow.go.set()
        await asyncio.wait_for(slow.ended.wait(), 30)
    assert session.sensing.limits is not None
    assert (await session.sensing.limits.read(vm)).values[LimitKind.CPU_CAP] == 0.5


async def test_the_controller_gone_for_long_is_survived(
    controller: Controller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait between attempts is bounded: after any time away the agent is back within it."""
    from yamori.agent.service import dialling

    monkeypatch.setattr(dialling, "LONGEST_WAIT_S", 0.3)
    identity = await controller.enrolled()
    async with serving(simulated(), tmp_path / "agent", identity) as service:
        await until(controller.connected)
        await controller.stop()
        await asyncio.sleep(4)
        assert not service.done()
        await controller.start()
        await until(controller.connected)

        async def answers() -> bool:
            return bool((await controller.session().sensing.inventory.read()).vms)

        await until_true(answers)


def test_an_identity_is_private_and_nothing_else_is_taken_for_one(tmp_path: Path) -> None:
    file = IdentityFile(tmp_path)
    with pytest.raises(NotFound, match="not enrolled"):
        file.read()
    for content in (
        "{}",
        "x",
        json.dumps({"name": "a"}),
        json.dumps(dict.fromkeys(("name", "controller", "authority", "certificate", "key"), "x")),
    ):
        file.path.write_text(content)
        file.path.chmod(0o600)
        with pytest.raises(Untrusted):
            file.read()
    file.path.chmod(0o644)
    with pytest.raises(Untrusted):
        file.read()


async def test_an_identity_is_written_for_its_owner_only(controller: Controller, tmp_path: Path) -> None:
    identity = await controller.enrolled()
    keep(tmp_path / "agent", identity)
    file = IdentityFile(tmp_path / "agent")
    assert file.path.stat().st_mode & 0o777 == 0o600
    again = file.read()
    assert (again.certificate, again.certificate_pem) == (identity.certificate, identity.certificate_pem)
    assert again.key.reveal().strip() == identity.key.reveal().strip()
    assert identity.key.reveal() not in repr(identity)


async def test_the_service_refuses_a_directory_that_others_can_read(tmp_path: Path) -> None:
    state = tmp_path / "agent"
    with pytest.raises(Failed, match="yamori agent install"):
        await serve(simulated(), state_dir=state)
    state.mkdir(mode=0o755)
    with pytest.raises(Untrusted, match="0755"):
        await serve(simulated(), state_dir=state)


def test_settings_are_strict_and_need_not_be_there(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    for text in ("", "# nothing\n", "{}\n"):
        path.write_text(text)
        assert str(read_settings(path).state_dir) == "/var/lib/yamori-agent"
    path.write_text("controller: 10.0.0.1:8471\nstate_dir: /srv/agent\nhost:\n  functions: [net]\n")
    found = read_settings(path)
    assert found.agent.controller == "10.0.0.1:8471"
    assert found.host.functions == {"net"}
    for wrong in (
        "controler: x\n",
        "controller: nowhere\n",
        "host: {functions: [fly]}\n",
        "state_dir: here\n",
        "- a\n",
        "controller:\n",
        "a: !!python/object:os.system x\n",
    ):
        path.write_text(wrong)
        with pytest.raises(Invalid):
            read_settings(path)
    with pytest.raises(Invalid, match="no such file"):
        read_settings(tmp_path / "missing.yaml")


async def test_what_the_host_cannot_do_is_said_by_its_agent() -> None:
    from yamori.capabilities.session import Acting, Sensing
    from yamori.model.errors import Unsupported

    session = simulated()
    session._sensing, session._acting = Sensing(inventory=session.sensing.inventory), Acting()
    handlers = Answering(session, "boot").handlers()
    for name, arguments in (
        ("usage.read", {}),
        ("limits.read", {"vm": "v"}),
        ("limits.set", {"vm": "v", "limits": {}, "lapse_s": None}),
        ("limits.pin", {"vm": "v", "cpus": None}),
    ):
        with pytest.raises(Unsupported):
            await handlers[name](arguments)
    for name, arguments in (
        ("probe", {"x": 1}),
        ("limits.read", {}),
        ("limits.set", {"vm": "../x", "limits": {}}),
    ):
        with pytest.raises(Invalid):
            await handlers[name](arguments)
