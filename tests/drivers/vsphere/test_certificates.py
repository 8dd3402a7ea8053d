"""The server's certificate is always verified, and nobody who cannot prove his name is told the password."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.drivers.vsphere.conftest import Connect, settings_of
from tests.drivers.vsphere.fake_server import FakeServer, Signer, http, serving, soap
from yamori.drivers.vsphere import DRIVER, connection, tls
from yamori.drivers.vsphere.settings import VSphereSettings
from yamori.lab.vsphere import VCenter
from yamori.model.errors import BadCertificate, Invalid, Unreachable
from yamori.model.ids import EndpointName


def anything(_request: bytes) -> bytes:
    return http(soap("<nothing/>"))


def towards(server: FakeServer, ca: Path, password_file: Path, **more: Any) -> VSphereSettings:
    given = {"host": "127.0.0.1", "port": server.port, "ca": str(ca), "user": "u"}
    return VSphereSettings.model_validate({**given, "password_file": str(password_file), **more})


async def refused(connect: Connect, settings: VSphereSettings) -> BadCertificate:
    with pytest.raises(BadCertificate) as refusal:
        await connect(settings).sensing.inventory.read()
    assert refusal.value.mend
    return refusal.value


async def test_a_certificate_of_a_foreign_authority_is_refused(
    connect: Connect, tmp_path: Path, password_file: Path
) -> None:
    ours = Signer("ours").write(tmp_path / "ca.pem")
    with serving(Signer("theirs").context(tmp_path), anything) as server:
        refusal = await refused(connect, towards(server, ours, password_file))
        assert "not signed by the CA in the file" in refusal.message
        assert server.requests == []


async def test_an_expired_certificate_is_refused(connect: Connect, tmp_path: Path, password_file: Path) -> None:
    signer = Signer("ours")
    ours = signer.write(tmp_path / "ca.pem")
    with serving(signer.context(tmp_path, days=(-20, -10)), anything) as server:
        refusal = await refused(connect, towards(server, ours, password_file))
        assert "expired" in refusal.message
        assert server.requests == []


async def test_a_certificate_that_is_not_valid_yet_is_refused(
    connect: Connect, tmp_path: Path, password_file: Path
) -> None:
    signer = Signer("ours")
    ours = signer.write(tmp_path / "ca.pem")
    with serving(signer.context(tmp_path, days=(5, 10)), anything) as server:
        assert "not valid yet" in (await refused(connect, towards(server, ours, password_file))).message


@pytest.mark.parametrize("name", ["vcenter.example", "127.0.0.2"])
async def test_a_certificate_for_another_name_is_refused(
    connect: Connect, tmp_path: Path, password_file: Path, name: str
) -> None:
    signer = Signer("ours")
    ours = signer.write(tmp_path / "ca.pem")
    with serving(signer.context(tmp_path, name=name), anything) as server:
        refusal = await refused(connect, towards(server, ours, password_file))
        assert "for another name" in refusal.message
        assert server.requests == []


async def test_localhost_is_verified_as_well(connect: Connect, tmp_path: Path, password_file: Path) -> None:
    ours = Signer("ours").write(tmp_path / "ca.pem")
    with serving(Signer("theirs").context(tmp_path, name="localhost"), anything) as server:
        await refused(connect, towards(server, ours, password_file, host="localhost"))
        assert server.requests == []


async def test_a_private_authority_is_not_trusted_without_being_named(connect: Connect, vcenter: VCenter) -> None:
    refusal = await refused(connect, settings_of(vcenter, ca=None))
    assert "a CA that this system trusts" in refusal.message


async def test_a_refused_certificate_is_not_tried_again_soon(
    connect: Connect, tmp_path: Path, password_file: Path
) -> None:
    ours = Signer("ours").write(tmp_path / "ca.pem")
    with serving(Signer("theirs").context(tmp_path), anything) as server:
        session = connect(towards(server, ours, password_file))
        for _ in range(20):
            with pytest.raises(BadCertificate):
                await session.sensing.inventory.read()
        assert server.accepted == 1


async def test_when_the_operator_corrects_the_authority_it_is_tried_at_once(
    connect: Connect, vcenter: VCenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.drivers.vsphere.conftest import until

    monkeypatch.setattr(connection, "_LOOK_S", 0.05)
    ca = Signer("theirs").write(tmp_path / "ca.pem")
    session = connect(settings_of(vcenter, ca=str(ca)))
    with pytest.raises(BadCertificate):
        await session.sensing.inventory.read()
    ca.write_bytes(vcenter.ca.read_bytes())

    async def works() -> bool:
        try:
            return bool((await session.sensing.inventory.read()).hosts)
        except BadCertificate:
            return False

    await until(works, "the corrected CA was used")


async def test_a_server_without_tls_is_not_spoken_to(
    connect: Connect, tmp_path: Path, password_file: Path
) -> None:
    ours = Signer("ours").write(tmp_path / "ca.pem")
    with serving(None, lambda _request: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as server:
        with pytest.raises(Unreachable, match="TLS"):
            await connect(towards(server, ours, password_file)).sensing.inventory.read()
        assert b"not to be seen" not in b"".join(server.requests)


async def test_a_proxy_in_the_environment_is_not_used(
    connect: Connect, vcenter: VCenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(None, lambda _request: b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n") as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert (await connect(settings_of(vcenter)).sensing.inventory.read()).hosts
        assert proxy.accepted == 0


def test_nothing_below_tls_1_2_is_offered_and_names_are_checked() -> None:
    made = tls.context(None)
    assert made.minimum_version is ssl.TLSVersion.TLSv1_2
    assert made.verify_mode is ssl.CERT_REQUIRED
    assert made.check_hostname


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_an_authority_s_file_that_cannot_be_used_is_told_at_once(
    tmp_path: Path, password_file: Path, content: str | None
) -> None:
    ca = tmp_path / "ca.pem"
    if content is not None:
        ca.write_text(content)
    settings = VSphereSettings(host="h", ca=str(ca), user="u", password_file=str(password_file))
    with pytest.raises(Invalid, match="CA's file"):
        await DRIVER.connect(EndpointName("vc"), settings)
