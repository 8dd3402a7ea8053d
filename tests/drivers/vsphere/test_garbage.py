"""A server that answers nonsense: a clear error of ours each time, no crash, and an end in time."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.drivers.vsphere.conftest import Connect
from tests.drivers.vsphere.fake_server import Signer, http, serving, soap
from yamori.drivers.vsphere import wire
from yamori.drivers.vsphere.settings import VSphereSettings
from yamori.model.errors import Failed, Refused, YamoriError

CONTENT = (
    '<RetrieveServiceContentResponse xmlns="urn:vim25"><returnval>'
    '<rootFolder type="Folder">group-d1</rootFolder>'
    '<propertyCollector type="PropertyCollector">pc</propertyCollector>{more}'
    "<about><name>VMware vCenter Server</name><fullName>f</fullName><vendor>v</vendor><version>6.5.0</version>"
    "<build>1</build><osType>linux</osType><productLineId>vpx</productLineId>"
    "<apiType>VirtualCenter</apiType><apiVersion>{version}</apiVersion></about></returnval>"
    "</RetrieveServiceContentResponse>"
)


def content(version: str = "6.5", more: str = "") -> bytes:
    return http(soap(CONTENT.format(version=version, more=more)))


def slowly(_request: bytes) -> bytes:
    time.sleep(20)
    return b""


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/">&b;</soapenv:Envelope>'
)
KINDS: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "no HTTP": lambda _: b"\x00\xff\x13 hello there\r\n\r\n",
    "endless head": lambda _: b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000,
    "a page instead of SOAP": lambda _: http(b"<html><body>maintenance</body></html>"),
    "an error page": lambda _: http(b"no", status="503 Service Unavailable"),
    "a redirect": lambda _: http(b"", status="302 Found", more="Location: https://127.0.0.1:1/sdk\r\n"),
    "no XML": lambda _: http(b"Envelope \xff\xfe\x00\x01" * 10),
    "half an answer": lambda _: http(soap("<x/>")[:80], length=100_000),
    "XML that ends early": lambda _: http(soap("<x/>")[:-20]),
    "entities": lambda _: http(LAUGHS.encode()),
    "UTF-16": lambda _: http(soap("<x/>").decode().encode("utf-16")),
    "an answer to another question": lambda _: http(soap('<CurrentTimeResponse xmlns="urn:vim25"/>')),
    "an unknown type": lambda _: http(
        soap(
            '<RetrieveServiceContentResponse xmlns="urn:vim25"><returnval xsi:type="Bogus"/>'
            "</RetrieveServiceContentResponse>"
        )
    ),
    "another type than promised": lambda _: http(
        soap(
            '<RetrieveServiceContentResponse xmlns="urn:vim25"><returnval xsi:type="ManagedObjectReference" '
            'type="Folder">x</returnval></RetrieveServiceContentResponse>'
        )
    ),
    "a fault without a fault": lambda _: http(
        soap("<soapenv:Fault><faultstring>x</faultstring></soapenv:Fault>"), status="500 Internal Server Error"
    ),
    "a fault of no known type": lambda _: http(
        soap("<soapenv:Fault><faultstring>x</faultstring><detail><WeirdFault/></detail></soapenv:Fault>"),
        status="500 Internal Server Error",
    ),
    "an old version": lambda _: content("5.5"),
    "no version": lambda _: content("<![CDATA[../../etc/passwd]]>"),
    "a huge version": lambda _: content("9" * 500),
    "no session manager": lambda _: content(),
    "a session manager that answers nonsense": lambda _: content(
        more='<sessionManager type="SessionManager">&lt;x&gt;</sessionManager>'
    ),
    "deep nesting": lambda _: http(soap("<a>" * 50_000 + "</a>" * 50_000)),
    "silence": slowly,
}


@pytest.mark.parametrize("kind", KINDS)
async def test_garbage_is_an_error_of_ours_in_bounded_words(
    connect: Connect, tmp_path: Path, password_file: Path, kind: str
) -> None:
    signer = Signer("ours")
    settings = {
        "ca": str(signer.write(tmp_path / "ca.pem")),
        "user": "u",
        "password_file": str(password_file),
        "timeouts": {"connect_s": 3, "read_s": 3},
    }
    with serving(signer.context(tmp_path), KINDS[kind]) as server:
        session = connect(VSphereSettings.model_validate({"host": "127.0.0.1", "port": server.port, **settings}))
        with pytest.raises(YamoriError) as error:
            await session.sensing.inventory.read()
        assert isinstance(error.value, Failed | Refused)
        assert str(error.value).isprintable()
        assert len(str(error.value)) < 1000
        assert not [request for request in server.requests if b"not to be seen" in request] or "session" in kind


async def test_an_answer_without_end_is_cut_off(
    connect: Connect, tmp_path: Path, password_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "_MOST_ANSWER_BYTES", 1 << 20)
    signer = Signer("ours")
    ca = signer.write(tmp_path / "ca.pem")
    with serving(signer.context(tmp_path), lambda _: http(b"x" * (3 << 20))) as server:
        settings = VSphereSettings(
            host="127.0.0.1", port=server.port, ca=str(ca), user="u", password_file=str(password_file)
        )
        with pytest.raises(YamoriError, match="longer than 1 MiB"):
            await connect(settings).sensing.inventory.read()
