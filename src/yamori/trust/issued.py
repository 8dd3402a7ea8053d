"""Whether a certificate that came over the wire is ours: issued by our authority, for our key."""

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from yamori.model.errors import BadCertificate
from yamori.model.secret import Secret


def check_issued(untrusted_pem: str, authority_pem: str, key: Secret) -> None:
    """Raises BadCertificate unless the authority has signed it and it is for the public half of ``key``."""
    try:
        certificate = x509.load_pem_x509_certificate(untrusted_pem.encode("ascii"))
        authority = x509.load_pem_x509_certificate(authority_pem.encode("ascii"))
        own = serialization.load_pem_private_key(key.reveal().encode("ascii"), password=None)
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise BadCertificate("the certificate is not of the authority that was agreed upon") from error
    if certificate.public_key() != own.public_key():
        raise BadCertificate("the certificate is for another key")
