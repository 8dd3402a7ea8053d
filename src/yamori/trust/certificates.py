"""Keys, requests and certificates of the fleet's agents, as values: made, written as PEM, read strictly.

Elliptic-curve keys on P-256 throughout. Only the names that are needed are ever taken from a certificate.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from yamori.model.errors import BadCertificate, Invalid
from yamori.model.secret import Secret

AGENT_URI = "yamori:agent:"
"""Beginning of the alternative name (a URI) that makes a certificate that of an agent; its name follows."""
LARGEST_REQUEST = 2048
"""Characters of a request in PEM; one on P-256 has about 400."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What is known of an agent's certificate. ``serial`` is in lower-case hex."""

    agent: str
    serial: str
    not_before: datetime
    not_after: datetime

    def passed(self, part: float, *, backdated: timedelta) -> datetime:
        """Return when a part of its life is over, not counting what it was backdated by."""
        issued = self.not_before + backdated
        return issued + (self.not_after - issued) * part


def agent_name(untrusted_name: str) -> str:
    """Return the name of an agent, which is that of an endpoint. Raises Invalid."""
    if _NAME.fullmatch(untrusted_name) is None:
        raise Invalid(
            f"{untrusted_name[:80]!r} cannot be the name of an agent",
            mend="use that of its endpoint: a-z, 0-9, dots, dashes and underscores",
        )
    return untrusted_name


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a private key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> Secret:
    """Write a private key as PEM (PKCS #8, not encrypted: the file's mode protects it)."""
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Secret(plain.decode("ascii"))


def certificate_pem(certificate: x509.Certificate) -> str:
    """Write a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def request_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Write a certificate signing request (PKCS #10, RFC 2986). It names nobody: the controller gives the name."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "agent")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode("ascii")


def read_request(untrusted_pem: str) -> ec.EllipticCurvePublicKey:
    """Return the public key of a request, once it has proved to be the sender's own. Raises Invalid.

    Whatever else stands in a request (names, extensions) is not looked at.
    """
    if len(untrusted_pem) > LARGEST_REQUEST:
        raise Invalid("the certificate request is too large")
    try:
        request = x509.load_pem_x509_csr(untrusted_pem.encode("ascii"))
        key = request.public_key()
        proved = request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise Invalid("the certificate request cannot be read") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Invalid("the key of a certificate request must be on the curve P-256")
    if not proved:
        raise Invalid("the certificate request is not signed by its own key")
    return key


def read_certificate(der: bytes) -> Certificate:
    """Return what an agent's certificate says. That it holds is checked elsewhere: by TLS, against our authority.

    Raises BadCertificate for one that is not of an agent.
    """
    try:
        found = x509.load_der_x509_certificate(der)
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (ValueError, x509.ExtensionNotFound) as error:
        raise BadCertificate("the certificate is not that of an agent") from error
    agents = [uri.removeprefix(AGENT_URI) for uri in uris if uri.startswith(AGENT_URI)]
    if len(agents) != 1 or _NAME.fullmatch(agents[0]) is None:
        raise BadCertificate("the certificate is not that of an agent")
    return Certificate(
        agent=agents[0],
        serial=serial_text(found),
        not_before=found.not_valid_before_utc,
        not_after=found.not_valid_after_utc,
    )


def read_certificate_pem(untrusted_pem: str) -> Certificate:
    """As ``read_certificate``, of the first certificate in a text. Raises BadCertificate."""
    try:
        found = x509.load_pem_x509_certificate(untrusted_pem.encode("ascii"))
    except ValueError as error:
        raise BadCertificate("the certificate cannot be read") from error
    return read_certificate(found.public_bytes(serialization.Encoding.DER))


def serial_text(certificate: x509.Certificate) -> str:
    """Write a serial number the way it is stored and shown."""
    return f"{certificate.serial_number:x}"


def whole_second(time: datetime) -> datetime:
    """Cut a time down to what a certificate can say."""
    return time.astimezone(UTC).replace(microsecond=0)
