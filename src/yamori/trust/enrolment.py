"""How a host becomes an agent: by a one-time token, which also tells it whom to trust before it says a word.

A token is ``ya1:NAME:AUTHORITY:ID:SECRET``. The controller keeps a hash of the secret only.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from yamori.model.errors import Invalid
from yamori.model.plain import Json
from yamori.model.secret import Secret
from yamori.trust.authority import Issued
from yamori.trust.certificates import Certificate, agent_name
from yamori.trust.ledger import RecordKind

PREFIX = "ya1"
LONGEST = 300
"""Characters of a token."""
MOST_WRONG = 5
"""So many wrong secrets make a token void: whoever shows its id has seen a part of it."""
_ID = re.compile(r"[0-9a-f]{16}")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What the operator carries to the host. ``authority`` is the fingerprint of the controller's authority."""

    name: str
    authority: str
    id: str
    secret: Secret = field(repr=False)

    def text(self) -> Secret:
        """Write it as one word that no shell touches."""
        return Secret(f"{PREFIX}:{self.name}:{self.authority}:{self.id}:{self.secret.reveal()}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What the controller keeps of a token."""

    id: str
    name: str
    digest: str
    made_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """One agent as it is on the roll. ``certificates`` are those that are good, newest last."""

    name: str
    enrolled_at: datetime | None
    revoked_at: datetime | None
    certificates: tuple[Certificate, ...]
    token_expires_at: datetime | None = None


def new_token(name: str, authority: str, *, now: datetime, expires_at: datetime) -> tuple[Token, Grant]:
    """Make a token with 256 random bits, and what is kept of it. Raises Invalid for a malformed name."""
    token = Token(
        name=agent_name(name),
        authority=authority,
        id=secrets.token_hex(8),
        secret=Secret(secrets.token_urlsafe(32)),
    )
    grant = Grant(id=token.id, name=token.name, digest=digest(token.secret), made_at=now, expires_at=expires_at)
    return token, grant


def read_token_text(untrusted_text: str) -> Token:
    """Read a token. Raises Invalid, and never repeats what was given: most of it may be the secret."""
    parts = untrusted_text.strip().split(":") if len(untrusted_text) <= LONGEST else []
    fits = (
        len(parts) == 5
        and parts[0] == PREFIX
        and _FINGERPRINT.fullmatch(parts[2])
        and _ID.fullmatch(parts[3])
        and _SECRET.fullmatch(parts[4])
    )
    if not fits:
        raise Invalid("this is not a token", mend="copy it whole from what yamori agent token NAME printed")
    return Token(name=agent_name(parts[1]), authority=parts[2], id=parts[3], secret=Secret(parts[4]))


def digest(secret: Secret) -> str:
    """Return the hash that is kept. The secret is random and long: it needs no slow hash."""
    return hashlib.sha256(secret.reveal().encode("ascii", "replace")).hexdigest()


def same_digest(kept: str, shown: str) -> bool:
    """Compare in a time that tells nothing of how much was right."""
    return hmac.compare_digest(kept, shown)


class Roll(Protocol):
    """Who is an agent. Promises: each change is on disk, and on the ledger, when the call returns."""

    async def invite(self, grant: Grant, *, by: str) -> None:
        """Keep a new token; an older one for the same name that was not used is void from now on."""
        ...

    async def redeem(self, token_id: str, shown_digest: str, issue: Callable[[str], Issued]) -> Issued:
        """Use up a token and put its agent on the roll with the certificate that ``issue`` makes for its name.

        All or nothing, once: of two at the same moment one succeeds. Certificates that the agent had before are
        good no longer. Raises NotPermitted for a token that is unknown, used, expired, void or wrong.
        """
        ...

    async def renew(self, name: str, shown_serial: str, issued: Issued) -> None:
        """Add a certificate. The one that was shown stays good until the new one is. Raises NotPermitted."""
        ...

    async def admit(self, certificate: Certificate) -> None:
        """Check a certificate that was shown; older ones of this agent are good no longer. Raises NotPermitted."""
        ...

    async def revoke(self, name: str, *, by: str, reason: str) -> Enrolled:
        """Strike an agent off: no certificate or token of it is good any more. Raises NotFound."""
        ...

    async def all(self) -> Sequence[Enrolled]:
        """List the agents by name, those too that were only invited."""
        ...

    async def note(self, kind: RecordKind, body: Json) -> None:
        """Put on the ledger what changes nothing here: a refusal, a connection made or lost."""
        ...
