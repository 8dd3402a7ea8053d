"""The fleet's authority: what it issues holds for its purpose only, and its files are its own."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from yamori.model.errors import BadCertificate, Invalid, Untrusted
from yamori.trust.authority import (
    BACKDATED,
    CERTIFICATE_FILE,
    CONTROLLER_NAME,
    KEY_FILE,
    Authority,
    check_authority,
    fingerprint,
    keep_authority,
)
from yamori.trust.certificates import (
    agent_name,
    key_pem,
    new_key,
    read_certificate_pem,
    read_request,
    request_pem,
)
from yamori.trust.issued import check_issued

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return keep_authority(tmp_path, NOW)


def test_an_authority_is_made_once_and_its_key_is_its_owners_only(tmp_path: Path) -> None:
    first, again = keep_authority(tmp_path, NOW), keep_authority(tmp_path, NOW)
    assert first.fingerprint == again.fingerprint
    for name in (KEY_FILE, CERTIFICATE_FILE):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_a_key_that_others_can_read_is_not_trusted(tmp_path: Path) -> None:
    keep_authority(tmp_path, NOW)
    (tmp_path / KEY_FILE).chmod(0o644)
    with pytest.raises(Untrusted):
        keep_authority(tmp_path, NOW)


def test_key_and_certificate_must_belong_together(tmp_path: Path) -> None:
    keep_authority(tmp_path, NOW)
    (tmp_path / "other").mkdir()
    keep_authority(tmp_path / "other", NOW)
    (tmp_path / KEY_FILE).write_bytes((tmp_path / "other" / KEY_FILE).read_bytes())
    with pytest.raises(Untrusted, match="not the certificate of the key"):
        keep_authority(tmp_path, NOW)


@pytest.mark.parametrize("content", ["garbage", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"])
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / KEY_FILE
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(Untrusted):
        keep_authority(tmp_path, NOW)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / KEY_FILE
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    path.chmod(0o600)
    with pytest.raises(Untrusted):
        keep_authority(tmp_path, NOW)


def test_an_authority_whose_time_is_over_says_so(tmp_path: Path) -> None:
    keep_authority(tmp_path, NOW)
    with pytest.raises(Untrusted, match="holds from"):
        keep_authority(tmp_path, NOW + timedelta(days=4000))


def test_the_controllers_certificate_is_for_a_controller_only(authority: Authority) -> None:
    identity = authority.issue_server(NOW)
    found = x509.load_pem_x509_certificate(identity.pem.encode())
    found.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.pem.encode()))
    usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [CONTROLLER_NAME]
    assert NOW < identity.renew_at < found.not_valid_after_utc
    with pytest.raises(BadCertificate):
        read_certificate_pem(identity.pem)


def test_an_agents_certificate_is_for_an_agent_only_and_backdated_a_little(authority: Authority) -> None:
    issued = authority.issue_agent("rack-a", request_pem(new_key()), NOW, DAY)
    found = x509.load_pem_x509_certificate(issued.pem.encode())
    usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [type(name) for name in names] == [x509.UniformResourceIdentifier], (
        "no name of a host: nor the controller's"
    )
    assert found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    certificate = issued.certificate
    assert certificate.agent == "rack-a"
    assert certificate.not_before == NOW.replace(microsecond=0) - BACKDATED
    assert certificate.not_after == NOW.replace(microsecond=0) + DAY
    assert certificate.passed(0.5, backdated=BACKDATED) == NOW.replace(microsecond=0) + DAY / 2


def test_certificates_pass_the_strict_checks_of_openssl(authority: Authority, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cadata=authority.pem)
    assert len(context.get_ca_certs()) == 1


@pytest.mark.parametrize(
    "name", ["", "Rack", "a b", "a/b", "-a", "a-", "a" * 64, "ä", "a\n", "yamori:agent:x", "../x"]
)
def test_a_name_that_no_endpoint_can_have_gets_no_certificate(authority: Authority, name: str) -> None:
    with pytest.raises(Invalid):
        agent_name(name)
    with pytest.raises(Invalid):
        authority.issue_agent(name, request_pem(new_key()), NOW, DAY)


def test_no_agent_can_have_the_name_of_the_controller(authority: Authority) -> None:
    with pytest.raises(Invalid, match="controller"):
        authority.issue_agent(CONTROLLER_NAME, request_pem(new_key()), NOW, DAY)


def test_a_request_must_be_signed_by_its_own_key_and_on_our_curve() -> None:
    good = request_pem(new_key())
    read_request(good)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    from cryptography.hazmat.primitives import hashes

    other_curve = builder.sign(ec.generate_private_key(ec.SECP384R1()), hashes.SHA256())
    der = bytearray(x509.load_pem_x509_csr(good.encode()).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    import base64

    forged = (
        "-----BEGIN CERTIFICATE REQUEST-----\n"
        + base64.encodebytes(bytes(der)).decode()
        + "-----END CERTIFICATE REQUEST-----\n"
    )
    for wrong in (
        other_curve.public_bytes(serialization.Encoding.PEM).decode(),
        forged,
        "",
        "x" * 5000,
        "ä",
        good.replace("REQUEST", "KEY"),
    ):
        with pytest.raises(Invalid):
            read_request(wrong)


def test_an_authority_is_known_by_its_fingerprint(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = keep_authority(tmp_path / "other", NOW)
    assert check_authority(authority.pem, authority.fingerprint) == authority.pem
    assert fingerprint(authority.pem) == authority.fingerprint
    with pytest.raises(BadCertificate):
        check_authority(other.pem, authority.fingerprint)
    for garbage in ("", "x" * 5000, "ä", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----"):
        with pytest.raises(BadCertificate):
            check_authority(garbage, authority.fingerprint)


def test_a_certificate_is_taken_only_from_the_authority_and_for_the_own_key(
    authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = keep_authority(tmp_path / "other", NOW)
    key = new_key()
    issued = authority.issue_agent("rack-a", request_pem(key), NOW, DAY)
    check_issued(issued.pem, authority.pem, key_pem(key))
    with pytest.raises(BadCertificate, match="another key"):
        check_issued(issued.pem, authority.pem, key_pem(new_key()))
    with pytest.raises(BadCertificate, match="authority"):
        check_issued(issued.pem, other.pem, key_pem(key))
    with pytest.raises(BadCertificate):
        check_issued("garbage", authority.pem, key_pem(key))
