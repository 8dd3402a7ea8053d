"""Leases in the database. A row stays when its lease is given back, so that its token never falls."""

from sqlalchemy import Connection, insert, select, update

from yamori.model.errors import Conflict
from yamori.store.database import Database
from yamori.store.tables import LEASES
from yamori.workflow.clock import Clock
from yamori.workflow.lease import Lease


class StoredLeases:
    """Fulfils ``workflow.lease.Leases``. Time is the wall clock, since a lease outlives the process."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def acquire(self, subject: str, owner: str, ttl_s: float) -> Lease:
        """Take the lease. Raises Conflict while another owner holds it."""

        def work(connection: Connection) -> Lease:
            now = self._clock.now().timestamp()
            row = connection.execute(select(LEASES).where(LEASES.c.subject == subject).with_for_update()).first()
            if row is None:
                values = {"subject": subject, "owner": owner, "token": 1, "expires_at": now + ttl_s}
                connection.execute(insert(LEASES).values(**values))
                return Lease(subject=subject, owner=owner, token=1)
            if row.owner not in (None, owner) and row.expires_at > now:
                left = row.expires_at - now
                raise Conflict(f"{row.owner} works on it, with a lease for {left:.1f} s more", subject=subject)
            lease = Lease(subject=subject, owner=owner, token=row.token + 1)
            connection.execute(
                update(LEASES)
                .where(LEASES.c.subject == subject)
                .values(owner=owner, token=lease.token, expires_at=now + ttl_s)
            )
            return lease

        return await self._database.write(work)

    async def renew(self, lease: Lease, ttl_s: float) -> None:
        """Hold the lease longer. Raises Conflict when it was lost."""

        def work(connection: Connection) -> None:
            check_token(connection, lease.subject, lease.token)
            until = self._clock.now().timestamp() + ttl_s
            connection.execute(update(LEASES).where(LEASES.c.subject == lease.subject).values(expires_at=until))

        await self._database.write(work)

    async def release(self, lease: Lease) -> None:
        """Give the lease back, unless it is another's already."""

        def work(connection: Connection) -> None:
            connection.execute(
                update(LEASES)
                .where(LEASES.c.subject == lease.subject, LEASES.c.token == lease.token)
                .values(owner=None)
            )

        await self._database.write(work)


def check_token(connection: Connection, subject: str, token: int) -> None:
    """Check that a token is that of the newest lease on the subject, not given back. Raises Conflict.

    A lease that ran out but was not taken over still counts: nobody else can have done anything.
    """
    row = connection.execute(select(LEASES).where(LEASES.c.subject == subject).with_for_update()).first()
    if row is None or row.token != token or row.owner is None:
        raise Conflict(f"the lease with token {token} is no longer the newest", subject=subject)
