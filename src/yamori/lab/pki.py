"""A certificate authority that lives as long as ``Lab.up`` runs, and the certificates of hosts and driver.

File names and folders are those that libvirt and QEMU look for (libvirt: "TLS setup"; QEMU: "TLS setup for
network services"). libvirt insists on the keyEncipherment usage bit, also on elliptic-curve certificates.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = dt.timedelta(days=30)
_ORGANISATION = "Yamori lab"
DRIVER_NAME = "yamori-driver"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A certificate with its private key, both PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """A fresh lab CA; its private key is never written to disk, so nobody can issue later."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _subject(f"CA of lab {name}")
        public = self._key.public_key()
        self._certificate = (
            _builder(self._name, self._name, public)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def certificate(self) -> bytes:
        """The CA's own certificate, PEM."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def issue(
        self, name: str, *, address: str | None = None, server: bool = False, client: bool = False
    ) -> Identity:
        """Issue a certificate for a server (its address and name as alternative names), a client or both."""
        key = ec.generate_private_key(ec.SECP256R1())
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH] * server + [ExtendedKeyUsageOID.CLIENT_AUTH] * client
        builder = (
            _builder(_subject(name), self._name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        if address is not None:
            names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address(address))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return Identity(
            certificate=builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
            key=key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )


def write_host(authority: Authority, folder: Path, *, name: str, address: str, qemu_group: int) -> None:
    """Lay out what becomes /etc/pki of a host: libvirt's server and client side, QEMU's for migration and NBD."""
    server = authority.issue(name, address=address, server=True)
    client = authority.issue(name, client=True)
    _write(folder / "CA" / "cacert.pem", authority.certificate)
    libvirt = folder / "libvirt"
    for role, identity in (("server", server), ("client", client)):
        _write(libvirt / f"{role}cert.pem", identity.certificate)
        _write(libvirt / "private" / f"{role}key.pem", identity.key, mode=0o600)
        _write(folder / "qemu" / f"{role}-cert.pem", identity.certificate)
        _write(folder / "qemu" / f"{role}-key.pem", identity.key, mode=0o640, group=qemu_group)
    _write(folder / "qemu" / "ca-cert.pem", authority.certificate)


def write_client(authority: Authority, folder: Path, *, name: str = DRIVER_NAME) -> None:
    """Lay out a client's folder as libvirt's ``pkipath`` wants it; readable by root only."""
    identity = authority.issue(name, client=True)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    _write(folder / "cacert.pem", authority.certificate)
    _write(folder / "clientcert.pem", identity.certificate)
    _write(folder / "clientkey.pem", identity.key, mode=0o600)


def allowed_names(hosts: tuple[str, ...]) -> list[str]:
    """Distinguished names that a host's libvirtd lets in, in the order in which GnuTLS prints them."""
    names = (DRIVER_NAME, *hosts)
    return [f"O={_ORGANISATION},CN={name}" for name in names] + [f"CN={name},O={_ORGANISATION}" for name in names]


def _write(path: Path, content: bytes, *, mode: int = 0o644, group: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        os.fchown(handle, 0, group)
        os.fchmod(handle, mode)


def _subject(name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _builder(subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_encipherment=not authority,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
