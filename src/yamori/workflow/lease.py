"""The exclusive right to work on one subject, for a bounded time, with a number that only grows."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A lease as granted. ``token`` is larger than that of any earlier lease on the subject (fencing token)."""

    subject: str
    owner: str
    token: int


class Leases(Protocol):
    """Promises: at most one owner holds a subject at a time; the journal takes no word under an older token."""

    async def acquire(self, subject: str, owner: str, ttl_s: float) -> Lease:
        """Take the lease for ``ttl_s`` seconds from now.

        A lease that ran out is taken over. So is, at once, one of the same owner: an owner is an identity that
        at most one living process has, hence the former holder is a process that died. Raises Conflict while
        another owner holds it.
        """
        ...

    async def renew(self, lease: Lease, ttl_s: float) -> None:
        """Hold the lease for ``ttl_s`` seconds from now. Raises Conflict when it was lost."""
        ...

    async def release(self, lease: Lease) -> None:
        """Give the lease back. A lease that was lost already is left to its holder."""
        ...
