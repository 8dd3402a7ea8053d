"""The token by which a local client proves that it may talk to the API: it could read the operator's file."""

import hmac
import secrets
from pathlib import Path

from yamori.model.errors import NotPermitted
from yamori.model.secret import Secret
from yamori.trust.private_file import keep_private, read_private

FILE = "api-token"
"""Name of the file in the state directory."""
BYTES = 32
"""Random bytes in a token: 256 bits."""


def keep_token(state_dir: Path) -> Secret:
    """Return the token of a state directory, making it (mode 0600) when there is none.

    Raises Untrusted when others could read the file, Failed when it cannot be written.
    """
    return Secret(keep_private(state_dir / FILE, lambda: secrets.token_urlsafe(BYTES)))


def read_token(state_dir: Path) -> Secret:
    """Return the token of a state directory, for a client. Raises NotFound, Untrusted."""
    return Secret(read_private(state_dir / FILE))


def check_token(untrusted_token: str, token: Secret) -> None:
    """Compare in a time that tells nothing of how much was right. Raises NotPermitted."""
    if not hmac.compare_digest(untrusted_token.encode("utf-8", "replace"), token.reveal().encode()):
        raise NotPermitted("the token is wrong", mend=f"use the one in the file {FILE} of the state directory")
