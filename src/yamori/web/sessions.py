"""Who is logged in at the console. In memory only: a restart logs everybody out."""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from yamori.web.errors import Unauthenticated

COOKIE = "yamori_session"
KEY_HEADER = "x-yamori-key"
LIFE_S = 12 * 3600.0
MOST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A new session: the cookie's value, and the key that pages send along in a header."""

    cookie: str
    key: str


class Sessions:
    """A session needs two halves: a cookie, and a key that the page keeps in its origin's own storage.

    Cookies do not tell ports apart, so that another service of the same machine, once visited, is sent ours; the
    storage does tell them apart. A page elsewhere has neither: it cannot send the header either.
    """

    def __init__(self, clock_s: Callable[[], float]) -> None:
        """Begin with nobody logged in. ``clock_s`` is monotonic seconds."""
        self._clock_s = clock_s
        self._open: dict[bytes, tuple[float, bytes]] = {}

    def open(self) -> Opened:
        """Log somebody in whose token has been checked. The oldest session gives way when there are too many."""
        while len(self._open) >= MOST:
            del self._open[next(iter(self._open))]
        opened = Opened(cookie=secrets.token_urlsafe(32), key=secrets.token_urlsafe(32))
        self._open[_digest(opened.cookie)] = (self._clock_s() + LIFE_S, _digest(opened.key))
        return opened

    def page(self, untrusted_cookie: str | None) -> None:
        """Check the cookie alone, which is enough to be shown the empty pages. Raises Unauthenticated."""
        self._find(untrusted_cookie)

    def both(self, untrusted_cookie: str | None, untrusted_key: str | None) -> None:
        """Check both halves, which it takes for any data. Raises Unauthenticated."""
        key = self._find(untrusted_cookie)
        if untrusted_key is None or not hmac.compare_digest(_digest(untrusted_key), key):
            raise Unauthenticated("log in again", mend="open the console's login page")

    def close(self, untrusted_cookie: str | None) -> None:
        """Log out. Idempotent."""
        if untrusted_cookie is not None:
            self._open.pop(_digest(untrusted_cookie), None)

    def _find(self, untrusted_cookie: str | None) -> bytes:
        digest = b"" if untrusted_cookie is None else _digest(untrusted_cookie)
        ends_s, key = self._open.get(digest, (0.0, b""))
        if not key or self._clock_s() >= ends_s:
            self._open.pop(digest, None)
            raise Unauthenticated("log in again", mend="open the console's login page")
        return key


def _digest(text: str) -> bytes:
    """Look up by digest: how long a look-up takes then tells nothing of the secret."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
