"""TLS 1.3 as a state machine: bytes in, plain text out, bytes to send. Both ends prove who they are.

Each context knows one authority, the fleet's own, and no other of the machine's.
"""

import os
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime

from yamori.agent.protocol.frames import Garbled
from yamori.model.errors import BadCertificate, Unreachable, YamoriError
from yamori.model.secret import Secret
from yamori.trust.authority import CONTROLLER_NAME

PORTION = 65_536
ENROL_AGAIN = "on the controller: yamori agent token NAME; on the host: yamori agent enrol with what it prints"
_NOT_YET_VALID, _EXPIRED = 9, 10  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL


def controller_context(authority_pem: str, certificate_pem: str, key: Secret) -> ssl.SSLContext:
    """Return the controller's context: a certificate is not demanded, but one that is shown must be ours."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, authority_pem)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.num_tickets = 0  # each connection proves itself anew: nobody resumes past a revocation
    _show(context, certificate_pem, key)
    return context


def agent_context(
    authority_pem: str, certificate_pem: str | None = None, key: Secret | None = None
) -> ssl.SSLContext:
    """Return the agent's context: it takes nobody but the controller of this authority."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, authority_pem)
    context.hostname_checks_common_name = False  # the controller's name stands where no agent's can
    if certificate_pem is not None and key is not None:
        _show(context, certificate_pem, key)
    return context


def peer_context(authority_pem: str, certificate_pem: str, key: Secret, *, server_side: bool) -> ssl.SSLContext:
    """Return the context of one agent towards another. Both must show a certificate of this authority.

    Whose it is, the caller reads from it, and before a word is said: the names of agents are no names of hosts.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER if server_side else ssl.PROTOCOL_TLS_CLIENT, authority_pem)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    if server_side:
        context.num_tickets = 0
    _show(context, certificate_pem, key)
    return context


def asking_context() -> ssl.SSLContext:
    """Return a context that takes anybody: only good to ask for an authority, which a token then confirms."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _context(protocol: int, authority_pem: str) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        context.load_verify_locations(cadata=authority_pem)
    except (ssl.SSLError, ValueError) as error:
        raise BadCertificate("the authority's certificate cannot be read") from error
    return context


def _show(context: ssl.SSLContext, certificate_pem: str, key: Secret) -> None:
    # The library reads only files: a nameless one in memory keeps the key off the disk.
    handle = os.memfd_create("yamori-identity", os.MFD_CLOEXEC)
    try:
        os.write(handle, f"{key.reveal()}\n{certificate_pem}\n".encode("ascii"))
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    except ssl.SSLError as error:
        raise BadCertificate("the certificate does not belong to its key") from error
    finally:
        os.close(handle)


class Secured:
    """One TLS connection. After an error, ``out`` may still hold the alert that tells the other side."""

    def __init__(self, context: ssl.SSLContext, *, server_side: bool) -> None:
        self._server_side = server_side
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        named = None if server_side else CONTROLLER_NAME
        self._tls = context.wrap_bio(self._in, self._out, server_side=server_side, server_hostname=named)
        self.is_open = False
        self.is_over = False

    def receive(self, untrusted_bytes: bytes) -> bytes:
        """Take bytes (none at the start of the handshake), return plain text.

        Raises BadCertificate, Garbled (no TLS), Unreachable (ended by the other side).
        """
        if untrusted_bytes:
            self._in.write(untrusted_bytes)
        plain = bytearray()
        try:
            if not self.is_open:
                self._tls.do_handshake()
                self.is_open = True
            while portion := self._tls.read(PORTION):
                plain += portion
            self.is_over = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.is_over = True
        except ssl.SSLError as error:
            raise told(error, server_side=self._server_side) from error
        return bytes(plain)

    def send(self, plain: bytes) -> None:
        """Encrypt. Only after the handshake."""
        if plain and not self.is_over:
            try:
                self._tls.write(plain)
            except ssl.SSLError as error:
                raise told(error, server_side=self._server_side) from error

    def out(self) -> bytes:
        """Return what is to be sent now."""
        return self._out.read()

    def peer(self) -> bytes | None:
        """Return the other side's certificate in DER, None where it has shown none."""
        return self._tls.getpeercert(binary_form=True)


def told(error: ssl.SSLError, *, server_side: bool) -> YamoriError:
    """Say in words what TLS found, and how to mend it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _not_proved(error, server_side=server_side)
    reason = error.reason or "unknown"
    for word, (what, mend) in _ALERTS.items():
        if word in reason:
            return BadCertificate(what, mend=mend)
    if "ALERT" in reason or "EOF" in reason:
        return Unreachable(f"the other side ended the connection ({_plain(reason)})")
    return Garbled(f"this is not the TLS that is spoken here ({_plain(reason)})")


def _not_proved(error: ssl.SSLCertVerificationError, *, server_side: bool) -> BadCertificate:
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    if server_side:
        if error.verify_code == _EXPIRED:
            return BadCertificate("the agent's certificate has expired", mend=ENROL_AGAIN)
        if error.verify_code == _NOT_YET_VALID:
            return BadCertificate(f"the agent's certificate is not valid yet at {now}", mend="set this clock")
        return BadCertificate(f"the certificate is not one of our agents' ({error.verify_message})")
    if error.verify_code in (_EXPIRED, _NOT_YET_VALID):
        what = "has expired" if error.verify_code == _EXPIRED else "is not valid yet"
        return BadCertificate(
            f"the controller's certificate {what} by this host's clock, which says {now}",
            mend="set the clock of this host, and of the controller",
        )
    return BadCertificate(
        f"whoever answers is not this agent's controller ({error.verify_message})",
        mend=f"check the address; if the controller was set up anew, enrol again: {ENROL_AGAIN}",
    )


def _plain(reason: str) -> str:
    return reason[:60].replace("_", " ").lower()


_ALERTS: Mapping[str, tuple[str, str | None]] = {
    "ALERT_CERTIFICATE_EXPIRED": ("the other side says that our certificate has expired", ENROL_AGAIN),
    "ALERT_UNKNOWN_CA": ("the other side does not know the authority of our certificate", ENROL_AGAIN),
    "ALERT_BAD_CERTIFICATE": ("the other side does not take our certificate", ENROL_AGAIN),
    "ALERT_CERTIFICATE_UNKNOWN": ("the other side does not take our certificate", ENROL_AGAIN),
    "ALERT_UNSUPPORTED_CERTIFICATE": ("the other side does not take our certificate", ENROL_AGAIN),
    "CERTIFICATE_REQUIRED": ("the other side wants a certificate", ENROL_AGAIN),
}
"""What the alerts of TLS (RFC 8446 section 6.2) about our own certificate mean here."""
