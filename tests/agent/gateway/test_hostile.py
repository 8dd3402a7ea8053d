"""Whatever comes to the gateway, or out of an agent: refused or survived, told clearly, and the others go on."""

import asyncio
import contextlib
import random
import socket
import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from tests.agent.fleet import Controller, controlling, now, serving, shown, simulated, stranger, until
from tests.agent.gateway.byhand import dial_raw, heard, hello, issued, parts, refused
from tests.agent.gateway.relay import Relay
from yamori.agent.gateway import door
from yamori.agent.protocol import wire
from yamori.agent.protocol.channel import Channel
from yamori.agent.protocol.frames import LARGEST, frame
from yamori.agent.protocol.messages import Ping, write
from yamori.agent.protocol.tls import Secured, controller_context
from yamori.agent.service.enrolling import dial
from yamori.agent.service.identity import Identity, IdentityFile
from yamori.model.errors import BadCertificate, NotPermitted, Unreachable, YamoriError
from yamori.trust.authority import keep_authority
from yamori.trust.ledger import RecordKind


async def test_a_certificate_of_another_authority_is_refused_and_both_sides_say_so(
    controller: Controller, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = keep_authority(tmp_path / "other", now())
    foreign = issued(other, "rack-a", age=timedelta(0), lifetime=timedelta(hours=1))
    foreign = Identity(
        controller="",
        authority_pem=controller.authority.pem,
        certificate_pem=foreign.certificate_pem,
        key=foreign.key,
        certificate=foreign.certificate,
    )
    error = await refused(controller.address, foreign)
    assert isinstance(error, BadCertificate)
    assert "yamori agent token" in (error.mend or "")
    await until(lambda: controller.gateway.refusals.total == 1)
    (record,) = await controller.records(RecordKind.AGENT_REFUSED)
    assert record["code"] == "bad_certificate"
    assert record["agent"] is None, "a name that nobody has vouched for is not put on the ledger"


async def test_an_agent_takes_no_controller_of_another_authority(controller: Controller, tmp_path: Path) -> None:
    identity = await controller.enrolled()
    async with controlling(tmp_path / "another") as another:
        error = await refused(another.address, identity)
    assert isinstance(error, BadCertificate)
    assert "not this agent's controller" in error.message


async def test_an_agent_cannot_stand_in_for_the_controller(controller: Controller) -> None:
    thief, victim = await controller.enrolled("rack-a"), await controller.enrolled("rack-b")
    context = controller_context(controller.authority.pem, thief.certificate_pem, thief.key)
    outcome: list[YamoriError] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await Channel(reader, writer, Secured(context, server_side=True)).handshake()
        except YamoriError as error:
            outcome.append(error)
        writer.transport.abort()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        error = await refused(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", victim)
    finally:
        server.close()
    assert isinstance(error, BadCertificate)
    assert outcome


async def test_an_expired_certificate_is_refused_and_the_agent_says_how_to_mend_it(
    controller: Controller, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = issued(controller.authority, "rack-a", age=timedelta(hours=3), lifetime=timedelta(hours=1))
    error = await refused(controller.address, old)
    assert isinstance(error, BadCertificate)
    assert "expired" in error.message
    assert "yamori agent enrol" in (error.mend or "")
    await until(lambda: controller.gateway.refusals.total == 1)
    (record,) = await controller.records(RecordKind.AGENT_REFUSED)
    assert "expired" in record["reason"]
    caplog.clear()
    async with serving(
        simulated(), tmp_path / "agent", Identity(**parts(old) | {"controller": controller.address})
    ):
        await until(lambda: "our certificate has expired" in caplog.text)
    assert "yamori agent token NAME" in caplog.text


async def test_a_controller_whose_certificate_is_over_by_the_hosts_clock_is_refused_with_words_about_clocks(
    controller: Controller,
) -> None:
    identity = await controller.enrolled()
    for moment in (timedelta(days=-30), timedelta(days=30)):
        server = controller.authority.issue_server(now() + moment)
        controller.gateway._context = controller_context(controller.authority.pem, server.pem, server.key)
        error = await refused(controller.address, identity)
        assert isinstance(error, BadCertificate)
        assert "clock" in error.message
        assert "set the clock" in (error.mend or "")


async def test_a_revoked_agent_is_dropped_at_once_and_does_not_come_back(
    controller: Controller, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    identity = await controller.enrolled()
    async with serving(simulated(), tmp_path / "agent", identity):
        await until(controller.connected)
        view = await controller.gateway.revoke("rack-a", by="operator:test", reason="stolen")
        assert not view.connected
        assert not controller.connected()
        with pytest.raises(Unreachable, match="revoked"):
            await controller.session().probe()
        error = await refused(controller.address, identity)
        assert isinstance(error, NotPermitted)
        assert "revoked" in error.message
        await until(lambda: "this agent was revoked" in caplog.text)
        assert not controller.connected()
    (record,) = await controller.records(RecordKind.AGENT_REVOKED)
    assert (record["agent"], record["reason"]) == ("rack-a", "stolen")


async def test_a_revoked_agent_can_be_enrolled_again_and_connects_by_itself(
    controller: Controller, tmp_path: Path
) -> None:
    identity = await controller.enrolled()
    async with serving(simulated(), tmp_path / "agent", identity):
        await until(controller.connected)
        await controller.gateway.revoke("rack-a", by="operator:test", reason="by mistake")
        fresh = await controller.enrolled()
        IdentityFile(tmp_path / "agent").write(fresh)
        await until(controller.connected)


@pytest.mark.parametrize(("lowest", "highest"), [(0, 0), (2, 9)])
async def test_another_version_is_refused_with_clear_words_on_both_sides(
    controller: Controller, lowest: int, highest: int
) -> None:
    identity = await controller.enrolled()
    channel = await shown(controller.address, identity)
    channel.send(frame(write(hello(lowest, highest))))
    (word,) = await heard(channel)
    await channel.close()
    assert (word["kind"], word["code"]) == ("refusal", "conflict")
    assert f"speaks {lowest} to {highest}, the controller 1 to 1" in word["message"]
    assert "update Yamori" in word["mend"]
    await until(lambda: controller.gateway.refusals.total == 1)
    (record,) = await controller.records(RecordKind.AGENT_REFUSED)
    assert record["agent"] == "rack-a"
    assert "no common version" in record["reason"]


async def test_ten_thousand_garbage_frames_are_refused_while_others_go_on(
    controller: Controller, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    identity, bad = await controller.enrolled("rack-a"), await controller.enrolled("rack-b")
    chance = random.Random(11)
    sent = 0
    async with serving(simulated(), tmp_path / "agent", identity):
        await until(controller.connected)
        while sent < 10_000:
            channel = await (shown(controller.address, bad) if sent % 400 else stranger(controller.address))
            if chance.random() < 0.5:
                channel.send(frame(write(hello())))
            garbage = [chance.randbytes(chance.randint(1, 80)) for _ in range(200)]
            sent += len(garbage)
            with contextlib.suppress(YamoriError):
                channel.send(b"".join(frame(body) for body in garbage))
            await heard(channel)
            await channel.close()
        assert controller.connected("rack-a")
        assert (await controller.session("rack-a").sensing.inventory.read()).vms
        await until(lambda: not controller.connected("rack-b"))
    assert controller.gateway.refusals.total == 50, "each of the connections was refused at its first garbage"
    records = await controller.records(RecordKind.AGENT_REFUSED)
    assert 0 < len(records) < 20, "told, but not once for each"
    assert "refused rack-b" in caplog.text
    assert "Traceback" not in caplog.text


async def test_an_oversize_frame_is_refused_before_it_is_held(controller: Controller) -> None:
    identity = await controller.enrolled()
    for greeting, length in ((b"", 9_000), (frame(write(hello())), LARGEST + 1), (b"", 2**32 - 1)):
        channel = await shown(controller.address, identity)
        channel.send(greeting + length.to_bytes(4, "big") + b"x" * 1000)
        words = await heard(channel)
        assert words[-1]["kind"] == "refusal"
        assert f"a frame of {length} bytes" in words[-1]["message"]
        await channel.close()


async def test_what_is_no_tls_is_refused(controller: Controller) -> None:
    reader, writer = await dial_raw(controller.address)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    while await reader.read(4096):
        pass
    writer.transport.abort()
    await until(lambda: controller.gateway.refusals.total == 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    channel = await dial(controller.address, context)
    with pytest.raises(YamoriError):
        await channel.handshake()
    await channel.close()


async def test_many_that_connect_and_say_nothing_keep_nobody_out(controller: Controller, tmp_path: Path) -> None:
    identity = await controller.enrolled()
    idle = [await dial_raw(controller.address, "127.0.0.2") for _ in range(door.MOST_STRANGERS_OF_ONE + 20)]
    try:
        async with serving(simulated(), tmp_path / "agent", identity):
            await until(controller.connected)
            (record,) = await controller.records(RecordKind.AGENT_REFUSED)
            assert (record["code"], record["address"]) == ("busy", "127.0.0.2")
    finally:
        for _, writer in idle:
            writer.transport.abort()


async def test_whoever_speaks_one_byte_at_a_time_is_ended(
    controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "DEAD_AFTER_S", 2.0)
    identity = await controller.enrolled()
    channel = await shown(controller.address, identity)
    body = frame(write(hello()))

    async def dribble() -> None:
        for byte in body:
            channel.send(bytes([byte]))
            await asyncio.sleep(0.2)

    dribbling = asyncio.create_task(dribble())
    words = await heard(channel)
    dribbling.cancel()
    await asyncio.gather(dribbling, return_exceptions=True)
    await channel.close()
    assert words[-1]["message"].startswith("no greeting within")


async def test_a_cut_that_nobody_is_told_of_is_noticed_on_both_sides_and_mends(
    controller: Controller, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "PING_AFTER_S", 1.0)
    monkeypatch.setattr(wire, "DEAD_AFTER_S", 4.0)
    identity = await controller.enrolled()
    relay = Relay(controller.address)
    await relay.open()
    try:
        async with serving(
            simulated(), tmp_path / "agent", Identity(**parts(identity) | {"controller": relay.address})
        ):
            await until(controller.connected)
            session = controller.session()
            relay.passing = False
            asking = asyncio.create_task(session.probe())
            with pytest.raises(Unreachable):
                await asking
            await until(lambda: not controller.connected())
            await until(lambda: "not connected: no word for" in caplog.text)
            assert "agent rack-a at 127.0.0.1 is gone: no word for" in caplog.text
            relay.passing = True
            await until(controller.connected)
            assert (await session.sensing.inventory.read()).hosts
    finally:
        await relay.close()


async def test_an_agent_that_does_not_read_is_ended_and_does_not_eat_the_memory(
    controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    from yamori.agent.protocol import channel as channels

    monkeypatch.setattr(channels, "MOST_UNSENT", 64 * 1024)
    identity = await controller.enrolled()
    channel = await shown(controller.address, identity)
    channel._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    channel.send(frame(write(hello())))
    await until(controller.connected)
    channel._reader._transport.pause_reading()  # type: ignore[attr-defined]
    flood = frame(write(Ping())) * 4000
    for _ in range(300):
        try:
            channel.send(flood)
        except YamoriError:
            break
        await asyncio.sleep(0.01)
        if not controller.connected():
            break
    await until(lambda: not controller.connected())
    channel._writer.transport.abort()


async def test_two_hosts_with_one_certificate_do_not_go_unnoticed(controller: Controller, tmp_path: Path) -> None:
    identity = await controller.enrolled()
    async with serving(simulated(), tmp_path / "agent", identity):
        await until(controller.connected)
        channel = await shown(controller.address, identity)
        channel.send(frame(write(hello())))
        await until(lambda: controller.gateway.refusals.total >= 1)
        await channel.close()
    records = await controller.records(RecordKind.AGENT_REFUSED)
    assert records[0]["agent"] == "rack-a"
    assert "two hosts" in records[0]["reason"]
