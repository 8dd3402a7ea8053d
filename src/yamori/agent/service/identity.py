"""Who this agent is: name, controller, certificate and key, in one private file that changes as a whole."""

import asyncio
import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from yamori.model.errors import BadCertificate, Invalid, NotFound, Untrusted
from yamori.model.plain import from_plain
from yamori.model.secret import Secret
from yamori.trust.authority import BACKDATED
from yamori.trust.certificates import Certificate, key_pem, new_key, read_certificate_pem, request_pem
from yamori.trust.issued import check_issued
from yamori.trust.private_file import read_private, replace_private

FILE = "identity.json"
RENEW_AFTER = 2 / 3
"""Of its life a certificate is used before the next is asked for."""
NOT_ENROLLED = "on the controller: yamori agent token NAME; here: yamori agent enrol with what it prints"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What the file holds."""

    name: str
    controller: str
    authority: str
    certificate: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One agent's identity. ``authority_pem`` is the only authority that it trusts."""

    controller: str
    authority_pem: str
    certificate_pem: str
    key: Secret = field(repr=False)
    certificate: Certificate

    @property
    def name(self) -> str:
        """The agent's name, as the controller gave it."""
        return self.certificate.agent

    def renew_at(self) -> datetime:
        """Return when it is time for the next certificate."""
        return self.certificate.passed(RENEW_AFTER, backdated=BACKDATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applicant:
    """A fresh key, and the request for a certificate of it."""

    key: Secret = field(repr=False)
    request: str

    def accept(self, *, controller: str, authority_pem: str, untrusted_certificate: str, name: str) -> Identity:
        """Make an identity of the certificate that came. Raises BadCertificate unless it is for us, by them."""
        certificate = read_certificate_pem(untrusted_certificate)
        check_issued(untrusted_certificate, authority_pem, self.key)
        if certificate.agent != name:
            raise BadCertificate(f"the certificate is for {certificate.agent}, not for {name}")
        return Identity(
            controller=controller,
            authority_pem=authority_pem,
            certificate_pem=untrusted_certificate,
            key=self.key,
            certificate=certificate,
        )


def apply() -> Applicant:
    """Make a key and a request."""
    key = new_key()
    return Applicant(key=key_pem(key), request=request_pem(key))


class IdentityFile:
    """The identity on disk."""

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / FILE

    def read(self) -> Identity:
        """Read it. Raises NotFound before the first enrolment, Untrusted when it is not ours or not sound."""
        try:
            text = read_private(self.path)
        except NotFound:
            raise NotFound("this host is not enrolled", subject=str(self.path), mend=NOT_ENROLLED) from None
        try:
            kept = from_plain(_Kept, json.loads(text))
            certificate = read_certificate_pem(kept.certificate)
        except (ValueError, Invalid, BadCertificate) as error:
            raise Untrusted(
                "does not hold an agent's identity", subject=str(self.path), mend=NOT_ENROLLED
            ) from error
        return Identity(
            controller=kept.controller,
            authority_pem=kept.authority,
            certificate_pem=kept.certificate,
            key=Secret(kept.key),
            certificate=certificate,
        )

    def write(self, identity: Identity) -> None:
        """Put an identity in place of what was there. Raises Failed."""
        kept = {
            "name": identity.name,
            "controller": identity.controller,
            "authority": identity.authority_pem,
            "certificate": identity.certificate_pem,
            "key": identity.key.reveal(),
        }
        replace_private(self.path, json.dumps(kept))

    def stamp(self) -> tuple[int, int] | None:
        """Return what changes when the file is replaced; None while there is none."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    async def changed(self, since: tuple[int, int] | None, *, look_s: float = 1.0) -> None:
        """Wait until the file is another than when it had that stamp."""
        while self.stamp() == since:  # noqa: ASYNC110  another process writes it
            await asyncio.sleep(look_s)

    def renewed(self, identity: Identity, applicant: Applicant, untrusted_certificate: str) -> Identity:
        """Keep the next certificate of the same agent. Raises BadCertificate, Failed."""
        fresh = applicant.accept(
            controller=identity.controller,
            authority_pem=identity.authority_pem,
            untrusted_certificate=untrusted_certificate,
            name=identity.name,
        )
        self.write(fresh)
        return fresh


def with_controller(identity: Identity, controller: str | None) -> Identity:
    """Return an identity that dials another address, where the operator's file names one."""
    return identity if controller is None else replace(identity, controller=controller)
