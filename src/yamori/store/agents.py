"""The roll of the agents in the database. What changes it is on the ledger in the same transaction."""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Connection, Row, delete, insert, select, update

from yamori.model.errors import NotFound, NotPermitted
from yamori.model.plain import Json, from_plain, to_plain
from yamori.store.database import Database
from yamori.store.ledger import StoredLedger
from yamori.store.tables import AGENT_CERTIFICATES, AGENT_TOKENS, AGENTS
from yamori.trust.authority import Issued
from yamori.trust.certificates import Certificate
from yamori.trust.enrolment import MOST_WRONG, Enrolled, Grant, same_digest
from yamori.trust.ledger import RecordKind
from yamori.workflow.clock import Clock

ANOTHER = "make a new token with yamori agent token NAME, and enrol the host with it"


class StoredAgents:
    """Fulfils ``trust.enrolment.Roll``."""

    def __init__(self, database: Database, ledger: StoredLedger, clock: Clock) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock

    async def invite(self, grant: Grant, *, by: str) -> None:
        """Keep a new token; an older one for the same name is void."""

        def work(connection: Connection) -> None:
            if _agent(connection, grant.name) is None:
                connection.execute(insert(AGENTS).values(name=grant.name))
            _void(connection, grant.name, "a newer token was made")
            connection.execute(
                insert(AGENT_TOKENS).values(
                    id=grant.id,
                    agent=grant.name,
                    digest=grant.digest,
                    made_at=to_plain(grant.made_at),
                    expires_at=to_plain(grant.expires_at),
                    wrong=0,
                )
            )
            body = {"agent": grant.name, "token": grant.id, "expires_at": to_plain(grant.expires_at), "by": by}
            self._ledger.write(connection, RecordKind.AGENT_INVITED, body)

        await self._database.write(work)

    async def redeem(self, token_id: str, shown_digest: str, issue: Callable[[str], Issued]) -> Issued:
        """Use up a token and put its agent on the roll."""

        def work(connection: Connection) -> Issued | NotPermitted:
            # A refusal is returned, not raised: what is counted against the token must be written.
            found = connection.execute(
                select(AGENT_TOKENS).where(AGENT_TOKENS.c.id == token_id).with_for_update()
            ).first()
            refusal = self._why_not(connection, found, shown_digest)
            if refusal is not None or found is None:
                return refusal or NotPermitted("the token is not known", mend=ANOTHER)
            issued = issue(found.agent)
            now = to_plain(self._clock.now())
            _spend(connection, found.id, f"it was used already, at {now}")
            connection.execute(
                update(AGENTS).where(AGENTS.c.name == found.agent).values(enrolled_at=now, revoked_at=None)
            )
            connection.execute(delete(AGENT_CERTIFICATES).where(AGENT_CERTIFICATES.c.agent == found.agent))
            _add(connection, issued.certificate)
            body = {"agent": found.agent, "token": found.id, **_told(issued.certificate)}
            self._ledger.write(connection, RecordKind.AGENT_ENROLLED, body)
            return issued

        outcome = await self._database.write(work)
        if isinstance(outcome, NotPermitted):
            raise outcome
        return outcome

    def _why_not(
        self, connection: Connection, found: Row[tuple[object, ...]] | None, shown: str
    ) -> NotPermitted | None:
        if found is None:
            return NotPermitted("the token is not known", mend=ANOTHER)
        if not same_digest(found.digest, shown):
            wrong = found.wrong + 1
            connection.execute(update(AGENT_TOKENS).where(AGENT_TOKENS.c.id == found.id).values(wrong=wrong))
            if wrong >= MOST_WRONG and found.spent is None:
                _spend(connection, found.id, f"its secret was given wrongly {wrong} times")
            return NotPermitted("the token is wrong", subject=found.agent, mend=ANOTHER)
        if found.spent is not None:
            return NotPermitted(f"the token is void: {found.spent}", subject=found.agent, mend=ANOTHER)
        if _time(found.expires_at) <= self._clock.now():
            return NotPermitted(f"the token expired at {found.expires_at}", subject=found.agent, mend=ANOTHER)
        return None

    async def renew(self, name: str, shown_serial: str, issued: Issued) -> None:
        """Add a certificate; the shown one stays good until the new one is shown."""

        def work(connection: Connection) -> None:
            _check_good(connection, name, shown_serial)
            certificates = AGENT_CERTIFICATES.c
            connection.execute(
                delete(AGENT_CERTIFICATES).where(certificates.agent == name, certificates.serial != shown_serial)
            )
            _add(connection, issued.certificate)
            body = {"agent": name, **_told(issued.certificate)}
            self._ledger.write(connection, RecordKind.AGENT_RENEWED, body)

        await self._database.write(work)

    async def admit(self, certificate: Certificate) -> None:
        """Check a certificate that was shown; older ones are good no longer."""

        def work(connection: Connection) -> None:
            ordinal = _check_good(connection, certificate.agent, certificate.serial)
            certificates = AGENT_CERTIFICATES.c
            connection.execute(
                delete(AGENT_CERTIFICATES).where(
                    certificates.agent == certificate.agent, certificates.ordinal < ordinal
                )
            )

        await self._database.write(work)

    async def revoke(self, name: str, *, by: str, reason: str) -> Enrolled:
        """Strike an agent off."""

        def work(connection: Connection) -> Enrolled:
            found = _agent(connection, name)
            if found is None:
                raise NotFound("there is no such agent", subject=name, mend="see yamori agent list")
            if found.revoked_at is None:
                now = to_plain(self._clock.now())
                connection.execute(update(AGENTS).where(AGENTS.c.name == name).values(revoked_at=now))
            connection.execute(delete(AGENT_CERTIFICATES).where(AGENT_CERTIFICATES.c.agent == name))
            _void(connection, name, "the agent was revoked")
            self._ledger.write(connection, RecordKind.AGENT_REVOKED, {"agent": name, "by": by, "reason": reason})
            return _read(connection, name)

        return await self._database.write(work)

    async def all(self) -> Sequence[Enrolled]:
        """List the agents by name."""

        def work(connection: Connection) -> list[Enrolled]:
            names = connection.execute(select(AGENTS.c.name).order_by(AGENTS.c.name)).scalars().all()
            return [_read(connection, name) for name in names]

        return await self._database.read(work)

    async def note(self, kind: RecordKind, body: Json) -> None:
        """Put on the ledger what changes nothing here."""
        await self._ledger.append(kind, body)


def _agent(connection: Connection, name: str) -> Row[tuple[object, ...]] | None:
    return connection.execute(select(AGENTS).where(AGENTS.c.name == name).with_for_update()).first()


def _read(connection: Connection, name: str) -> Enrolled:
    agent = connection.execute(select(AGENTS).where(AGENTS.c.name == name)).one()
    rows = connection.execute(
        select(AGENT_CERTIFICATES).where(AGENT_CERTIFICATES.c.agent == name).order_by(AGENT_CERTIFICATES.c.ordinal)
    )
    open_token = connection.execute(
        select(AGENT_TOKENS.c.expires_at).where(AGENT_TOKENS.c.agent == name, AGENT_TOKENS.c.spent.is_(None))
    ).scalar()
    return Enrolled(
        name=name,
        enrolled_at=None if agent.enrolled_at is None else _time(agent.enrolled_at),
        revoked_at=None if agent.revoked_at is None else _time(agent.revoked_at),
        certificates=tuple(
            Certificate(agent=name, serial=r.serial, not_before=_time(r.not_before), not_after=_time(r.not_after))
            for r in rows
        ),
        token_expires_at=None if open_token is None else _time(open_token),
    )


def _check_good(connection: Connection, name: str, serial: str) -> int:
    """Return the place of a certificate among those of its agent. Raises NotPermitted."""
    agent = _agent(connection, name)
    if agent is None:
        raise NotPermitted("this agent is not on the roll", subject=name, mend=ANOTHER)
    if agent.revoked_at is not None:
        raise NotPermitted(f"this agent was revoked at {agent.revoked_at}", subject=name, mend=ANOTHER)
    found = connection.execute(
        select(AGENT_CERTIFICATES.c.ordinal).where(
            AGENT_CERTIFICATES.c.agent == name, AGENT_CERTIFICATES.c.serial == serial
        )
    ).scalar()
    if found is None:
        raise NotPermitted("this certificate was replaced by a newer one", subject=name, mend=ANOTHER)
    return int(found)


def _add(connection: Connection, certificate: Certificate) -> None:
    connection.execute(
        insert(AGENT_CERTIFICATES).values(
            serial=certificate.serial,
            agent=certificate.agent,
            not_before=to_plain(certificate.not_before),
            not_after=to_plain(certificate.not_after),
        )
    )


def _spend(connection: Connection, token_id: str, why: str) -> None:
    connection.execute(update(AGENT_TOKENS).where(AGENT_TOKENS.c.id == token_id).values(spent=why))


def _void(connection: Connection, name: str, why: str) -> None:
    connection.execute(
        update(AGENT_TOKENS).where(AGENT_TOKENS.c.agent == name, AGENT_TOKENS.c.spent.is_(None)).values(spent=why)
    )


def _told(certificate: Certificate) -> Json:
    return {"serial": certificate.serial, "expires_at": to_plain(certificate.not_after)}


def _time(text: str) -> datetime:
    return from_plain(datetime, text, where="roll of agents")
