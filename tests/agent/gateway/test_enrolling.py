"""Enrolment: one token buys one certificate, from the controller that made it, and nothing else."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from tests.agent.fleet import Controller, controlling, now, stranger, until
from yamori.agent.protocol.frames import frame
from yamori.agent.protocol.messages import Enrol, write
from yamori.agent.service.enrolling import enrol
from yamori.agent.service.identity import Identity
from yamori.model.errors import BadCertificate, Invalid, NotPermitted, Unreachable, YamoriError
from yamori.model.secret import Secret
from yamori.trust.certificates import new_key, read_certificate_pem
from yamori.trust.enrolment import MOST_WRONG, Token, read_token_text
from yamori.trust.ledger import RecordKind


async def say(controller: Controller, **changes: Any) -> dict[str, Any]:
    """Enrol by hand; return the answer."""
    plain = {"kind": "enrol", "lowest": 1, "highest": 1, "wall": now().isoformat(), "request": "x"} | changes
    channel = await stranger(controller.address)
    try:
        channel.send(frame(json.dumps(plain).encode()))
        return await last_word(channel)
    finally:
        await channel.close()


async def last_word(channel: Any) -> dict[str, Any]:
    data = b""
    try:
        while portion := await channel.receive():
            data += portion
    except Unreachable:
        pass
    words = []
    while data:
        length = int.from_bytes(data[:4], "big")
        words.append(json.loads(data[4 : 4 + length]))
        data = data[4 + length :]
    assert words[0]["kind"] == "authority", "the controller says who it is, first"
    return words[-1]


def files_with(directory: Path, content: bytes) -> list[Path]:
    return [path for path in directory.iterdir() if path.is_file() and content in path.read_bytes()]


async def test_the_name_is_the_tokens_whatever_the_request_asks_for(controller: Controller) -> None:
    token = read_token_text(await controller.token("rack-a"))
    key = new_key()
    wish = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rack-b")]))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("yamori-controller"), x509.UniformResourceIdentifier("yamori:agent:rack-b")]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = wish.public_bytes(serialization.Encoding.PEM).decode()
    told = await say(controller, token=token.id, secret=token.secret.reveal(), request=pem)
    assert told["name"] == "rack-a"
    assert read_certificate_pem(told["certificate"]).agent == "rack-a"
    certificate = x509.load_pem_x509_certificate(told["certificate"].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == []
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


async def test_a_replayed_token_is_refused_and_on_the_ledger(controller: Controller) -> None:
    token = read_token_text(await controller.token())
    first = await enrol(controller.address, token)
    with pytest.raises(NotPermitted, match="used already") as refused:
        await enrol(controller.address, token)
    assert refused.value.mend is not None
    assert "yamori agent token" in refused.value.mend
    (record,) = await controller.records(RecordKind.AGENT_REFUSED)
    assert record["code"] == "not_permitted"
    assert "used already" in record["reason"]
    (agent,) = await controller.gateway.agents()
    assert agent.expires_at == first.certificate.not_after


async def test_of_two_that_race_with_one_token_one_gets_in(controller: Controller) -> None:
    token = read_token_text(await controller.token())
    outcomes = await asyncio.gather(*(enrol(controller.address, token) for _ in range(6)), return_exceptions=True)
    assert sum(isinstance(outcome, Identity) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, NotPermitted) for outcome in outcomes) == 5
    assert len(await controller.records(RecordKind.AGENT_ENROLLED)) == 1


async def test_a_token_expires_and_a_newer_one_voids_it(controller: Controller) -> None:
    older, newer = await controller.token(), await controller.token()
    with pytest.raises(NotPermitted, match="newer token"):
        await enrol(controller.address, read_token_text(older))
    await enrol(controller.address, read_token_text(newer))
    controller.gateway._settings = controller.settings.model_copy(update={"token_s": -1.0})
    with pytest.raises(NotPermitted, match="expired"):
        await enrol(controller.address, read_token_text(await controller.token()))


async def test_wrong_secrets_void_a_token_and_unknown_ids_void_nothing(controller: Controller) -> None:
    token = read_token_text(await controller.token())
    for number in range(20):
        told = await say(controller, token=f"{number:016x}", secret="x")
        assert (told["code"], told["message"]) == ("not_permitted", "the token is not known")
    for _ in range(MOST_WRONG):
        told = await say(controller, token=token.id, secret="x")
        assert told["message"] == "the token is wrong"
    with pytest.raises(NotPermitted, match="given wrongly"):
        await enrol(controller.address, token)


async def test_a_malformed_request_leaves_the_token_good(controller: Controller) -> None:
    token = read_token_text(await controller.token())
    told = await say(controller, token=token.id, secret=token.secret.reveal(), request="no request")
    assert told["code"] == "invalid"
    assert (await enrol(controller.address, token)).name == "rack-a"


async def test_nothing_is_told_to_whoever_is_not_the_controller_of_the_token(
    controller: Controller, tmp_path: Path
) -> None:
    token = read_token_text(await controller.token())
    async with controlling(tmp_path / "another") as another:
        with pytest.raises(BadCertificate, match="not the controller that made this token"):
            await enrol(another.address, token)
        assert another.gateway.refusals.total == 0, "nothing was said that could have been refused"
    assert (await enrol(controller.address, token)).name == "rack-a"


async def test_a_clock_that_is_far_off_is_told_before_the_token_is_used(controller: Controller) -> None:
    token = read_token_text(await controller.token())
    for wrong, word in ((timedelta(hours=3), "ahead"), (timedelta(hours=-3), "behind")):
        with pytest.raises(BadCertificate, match=word) as told:
            await enrol(controller.address, token, now=lambda wrong=wrong: now() + wrong)  # type: ignore[misc]
        assert "clock" in str(told.value)
    assert (await enrol(controller.address, token)).name == "rack-a"


async def test_somebody_without_a_certificate_can_do_nothing_but_enrol(controller: Controller) -> None:
    for plain in (
        {"kind": "hello", "lowest": 1, "highest": 1, "software": "x", "clock": "x", "wall": now().isoformat()},
        {"kind": "call", "id": 1, "name": "certificate.renew", "timeout_s": 1, "arguments": {}},
        {"kind": "ping"},
    ):
        channel = await stranger(controller.address)
        channel.send(frame(json.dumps(plain).encode()))
        told = await last_word(channel)
        assert (told["kind"], told["code"]) == ("refusal", "not_permitted")
        await channel.close()
    assert not controller.connected()


async def test_an_old_version_is_refused_at_enrolment_with_words(controller: Controller) -> None:
    token = read_token_text(await controller.token())
    told = await say(controller, token=token.id, secret=token.secret.reveal(), lowest=0, highest=0)
    assert told["code"] == "conflict"
    assert "the agent speaks 0 to 0" in told["message"]


async def test_a_host_that_enrols_anew_ends_what_was_enrolled_before(controller: Controller) -> None:
    before, after = await controller.enrolled(), await controller.enrolled()
    (view,) = await controller.gateway.agents()
    assert view.expires_at == after.certificate.not_after
    with pytest.raises(NotPermitted, match="replaced"):
        await controller.store.agents.admit(before.certificate)
    await controller.store.agents.admit(after.certificate)


@pytest.mark.parametrize(
    "address", ["", "nowhere", "127.0.0.1", "127.0.0.1:x", "a b:1", "::1:8471", "127.0.0.1:99999"]
)
async def test_an_address_that_is_none_is_refused(address: str, controller: Controller) -> None:
    with pytest.raises(Invalid):
        await enrol(address, read_token_text(await controller.token()))


async def test_where_nobody_listens_the_agent_says_what_to_check() -> None:
    token = Token(name="rack-a", authority="0" * 64, id="0" * 16, secret=Secret("x" * 43))
    with pytest.raises(YamoriError) as told:
        await enrol("127.0.0.1:9", token)
    assert isinstance(told.value, Unreachable)
    assert told.value.mend is not None


async def test_the_secret_does_not_show(controller: Controller, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    text = await controller.token()
    token = read_token_text(text)
    secret = token.secret.reveal()
    await enrol(controller.address, token)
    with pytest.raises(NotPermitted):
        await enrol(controller.address, token)
    await until(lambda: controller.gateway.refusals.total == 1)
    assert secret not in caplog.text
    assert secret not in repr(token)
    wish = Enrol(lowest=1, highest=1, token="x", secret=secret, request="x", wall=now())
    assert secret not in repr(wish)
    assert secret.encode() in write(wish)
    assert not files_with(controller.store.state_dir, secret.encode())
