"""The fleet's own certificate authority: it says who is the controller and who is an agent, and nothing else.

Its key and certificate are in the state directory, readable by their owner only (RFC 5280 for all profiles).
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from yamori.model.errors import BadCertificate, Invalid, Untrusted
from yamori.model.secret import Secret
from yamori.trust.certificates import (
    AGENT_URI,
    Certificate,
    agent_name,
    certificate_pem,
    key_pem,
    new_key,
    read_certificate,
    read_request,
    whole_second,
)
from yamori.trust.private_file import keep_private

KEY_FILE = "agents-authority.key"
CERTIFICATE_FILE = "agents-authority.pem"
CONTROLLER_NAME = "yamori-controller"
"""The name that the controller's certificate proves, at whatever address it is reached."""
BACKDATED = timedelta(minutes=5)
"""Certificates count from so long before they are issued, for hosts whose clock is a little slow."""
LIFETIME = timedelta(days=3650)
SERVER_LIFETIME = timedelta(days=7)
LARGEST_CERTIFICATE = 4096
"""Characters of a certificate in PEM that is taken from a file or the wire."""

_ORGANISATION = "Yamori"
_BOTH_ENDS = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """An agent's certificate, and what it says."""

    pem: str
    certificate: Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerIdentity:
    """The controller's certificate with its key, both PEM, and when it is time for the next."""

    pem: str
    key: Secret
    renew_at: datetime


class Authority:
    """Issues certificates. Made by ``keep_authority``."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self._certificate = certificate

    @property
    def pem(self) -> str:
        """The authority's certificate: public."""
        return certificate_pem(self._certificate)

    @property
    def fingerprint(self) -> str:
        """What a token carries, so that an agent knows the controller before it says anything."""
        return fingerprint(self.pem)

    def issue_server(self, now: datetime) -> ServerIdentity:
        """Issue the controller's certificate with a new key."""
        key = new_key()
        names = x509.SubjectAlternativeName([x509.DNSName(CONTROLLER_NAME)])
        issued = self._issue(
            CONTROLLER_NAME, key.public_key(), names, (ExtendedKeyUsageOID.SERVER_AUTH,), now, SERVER_LIFETIME
        )
        return ServerIdentity(
            pem=certificate_pem(issued), key=key_pem(key), renew_at=whole_second(now) + SERVER_LIFETIME * 2 / 3
        )

    def issue_agent(self, name: str, untrusted_request: str, now: datetime, lifetime: timedelta) -> Issued:
        """Issue a certificate for the key of a request, in the name that *we* say. Raises Invalid.

        It serves for both ends of a connection, since agents talk to one another. None can pass for the
        controller: that is a DNS name, and this one is a URI.
        """
        named = agent_name(name)
        if named == CONTROLLER_NAME:
            raise Invalid(f"{named} is the controller's own name")
        key = read_request(untrusted_request)
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(AGENT_URI + named)])
        issued = self._issue(named, key, names, _BOTH_ENDS, now, lifetime)
        return Issued(
            pem=certificate_pem(issued),
            certificate=read_certificate(issued.public_bytes(serialization.Encoding.DER)),
        )

    def _issue(
        self,
        name: str,
        key: ec.EllipticCurvePublicKey,
        names: x509.SubjectAlternativeName,
        purposes: Sequence[x509.ObjectIdentifier],
        now: datetime,
        lifetime: timedelta,
    ) -> x509.Certificate:
        begin = whole_second(now)
        ours = self._key.public_key()
        return (
            _builder(name, self._certificate.subject, key, begin, lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(names, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ours), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def keep_authority(state_dir: Path, now: datetime) -> Authority:
    """Return the authority of a state directory, making it when there is none. Raises Untrusted, Failed."""
    path = state_dir / KEY_FILE
    kept = Secret(keep_private(path, lambda: key_pem(new_key()).reveal().strip()))
    try:
        key = serialization.load_pem_private_key(kept.reveal().encode("ascii"), password=None)
    except (ValueError, TypeError) as error:
        raise Untrusted("does not hold the authority's key", subject=str(path)) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Untrusted("does not hold the authority's key", subject=str(path))
    ours = key
    pem = keep_private(state_dir / CERTIFICATE_FILE, lambda: certificate_pem(_self_signed(ours, now)).strip())
    certificate = _read(pem, str(state_dir / CERTIFICATE_FILE))
    if certificate.public_key() != ours.public_key():
        raise Untrusted(
            "is not the certificate of the key beside it",
            subject=str(state_dir / CERTIFICATE_FILE),
            mend=f"put the right {KEY_FILE} back, or remove both: then all agents must enrol again",
        )
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begin <= now <= end:
        raise Untrusted(
            f"holds from {begin:%Y-%m-%d} to {end:%Y-%m-%d}",
            subject=str(state_dir / CERTIFICATE_FILE),
            mend="set this machine's clock; if it is right, remove the authority's files and enrol agents again",
        )
    return Authority(ours, certificate)


def fingerprint(untrusted_pem: str) -> str:
    """Return the SHA-256 of a certificate's DER form in lower-case hex. Raises BadCertificate."""
    der = _read(untrusted_pem, "authority").public_bytes(serialization.Encoding.DER)
    return hashlib.sha256(der).hexdigest()


def check_authority(untrusted_pem: str, wanted_fingerprint: str) -> str:
    """Return the certificate of an authority, in PEM, if it is the one that is wanted. Raises BadCertificate."""
    if not hmac.compare_digest(fingerprint(untrusted_pem), wanted_fingerprint):
        raise BadCertificate(
            "whoever answers is not the controller that made this token",
            mend="check the address, and that nobody stands between; else make a new token",
        )
    return certificate_pem(_read(untrusted_pem, "authority"))


def _read(untrusted_pem: str, where: str) -> x509.Certificate:
    if len(untrusted_pem) > LARGEST_CERTIFICATE:
        raise BadCertificate("is too large for a certificate", subject=where)
    try:
        return x509.load_pem_x509_certificate(untrusted_pem.encode("ascii"))
    except ValueError as error:
        raise BadCertificate("is not a certificate", subject=where) from error


def _self_signed(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    public = key.public_key()
    name = _subject("agents of one fleet")
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    return (
        _builder("agents of one fleet", name, public, whole_second(now), LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )


def _subject(name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begin: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    if lifetime <= timedelta(0):
        raise Invalid("a certificate must live for a while")
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - BACKDATED)
        .not_valid_after(begin + lifetime)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_encipherment=False,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
