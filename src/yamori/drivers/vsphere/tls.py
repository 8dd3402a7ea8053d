"""TLS towards the server: verified always, names checked, 1.2 at least. Nothing in here makes an exception."""

import ssl

from yamori.model.errors import BadCertificate, Invalid

_HOSTNAME, _ADDRESS = 62, 64
_NOT_YET, _EXPIRED = 9, 10
_UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21})
"""Verification codes of OpenSSL (x509_vfy.h), as ``SSLCertVerificationError.verify_code`` has them."""


def context(ca: str | None) -> ssl.SSLContext:
    """Make the context. Raises Invalid when the CA's file cannot be used."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if ca is None:
            made.load_default_certs(ssl.Purpose.SERVER_AUTH)
        else:
            made.load_verify_locations(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        words = getattr(error, "strerror", None) or "it holds no certificate in PEM"
        raise Invalid(f"the CA's file cannot be used: {words}", mend=f"look at {ca} (ca)") from error
    return made


def refusal(error: ssl.SSLCertVerificationError, *, host: str, ca: str | None) -> BadCertificate:
    """Say what is wrong with the server's certificate and who can mend it."""
    code = error.verify_code
    if code in _UNKNOWN_ISSUER:
        signer = "the CA in the file `ca`" if ca is not None else "a CA that this system trusts"
        return BadCertificate(
            f"the server's certificate is not signed by {signer}",
            subject=host,
            mend="put the certificate of the CA that signed it into the file `ca`; "
            "if it should be the right one already, somebody else is answering",
        )
    if code in (_HOSTNAME, _ADDRESS):
        return BadCertificate(
            "the server's certificate is for another name",
            subject=host,
            mend="give the name that the certificate proves as `host`, or issue one for this name",
        )
    if code == _EXPIRED:
        return BadCertificate("the server's certificate has expired", subject=host, mend="renew it on the server")
    if code == _NOT_YET:
        return BadCertificate(
            "the server's certificate is not valid yet", subject=host, mend="compare the clocks of both machines"
        )
    return BadCertificate(
        f"the server's certificate does not hold: {error.verify_message}"[:300],
        subject=host,
        mend="issue a sound certificate on the server",
    )
