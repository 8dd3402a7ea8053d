"""The roll of agents: every change is whole, once, and on the ledger."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from tests.store.conftest import Opener
from tests.store.samples import BEGIN, SteppedClock
from yamori.model.errors import NotFound, NotPermitted
from yamori.store import Store
from yamori.trust.authority import Authority, Issued, keep_authority
from yamori.trust.certificates import new_key, request_pem
from yamori.trust.enrolment import Token, digest, new_token
from yamori.trust.ledger import RecordKind

HOUR = timedelta(hours=1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return keep_authority(tmp_path, BEGIN)


def certificate(authority: Authority, name: str = "rack-a") -> Issued:
    return authority.issue_agent(name, request_pem(new_key()), BEGIN, HOUR)


async def invited(store: Store, name: str = "rack-a") -> Token:
    token, grant = new_token(name, "0" * 64, now=BEGIN, expires_at=BEGIN + HOUR)
    await store.agents.invite(grant, by="operator:mi")
    return token


async def enrolled(store: Store, authority: Authority) -> Issued:
    token = await invited(store)
    return await store.agents.redeem(token.id, digest(token.secret), lambda name: certificate(authority, name))


async def kinds(store: Store) -> list[RecordKind]:
    return [record.kind for record in await store.ledger.records(after=0, limit=100)]


async def test_an_agent_is_invited_enrolled_renewed_and_revoked_all_on_the_ledger(
    store: Store, authority: Authority
) -> None:
    first = await enrolled(store, authority)
    await store.agents.admit(first.certificate)
    second = certificate(authority)
    await store.agents.renew("rack-a", first.certificate.serial, second)
    await store.agents.admit(first.certificate)  # until the new one was shown
    await store.agents.admit(second.certificate)
    with pytest.raises(NotPermitted, match="replaced"):
        await store.agents.admit(first.certificate)
    told = await store.agents.revoke("rack-a", by="operator:mi", reason="stolen")
    assert told.revoked_at == BEGIN
    with pytest.raises(NotPermitted, match="revoked"):
        await store.agents.admit(second.certificate)
    with pytest.raises(NotPermitted, match="revoked"):
        await store.agents.renew("rack-a", second.certificate.serial, certificate(authority))
    assert await kinds(store) == [
        RecordKind.AGENT_INVITED,
        RecordKind.AGENT_ENROLLED,
        RecordKind.AGENT_RENEWED,
        RecordKind.AGENT_REVOKED,
    ]
    await store.ledger.verify()


async def test_a_token_is_used_once_even_by_many_at_once(store: Store, authority: Authority) -> None:
    token = await invited(store)
    outcomes = await asyncio.gather(
        *(
            store.agents.redeem(token.id, digest(token.secret), lambda name: certificate(authority, name))
            for _ in range(8)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, Issued) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, NotPermitted) for outcome in outcomes) == 7
    (agent,) = await store.agents.all()
    assert len(agent.certificates) == 1


async def test_what_fails_while_a_certificate_is_issued_leaves_the_token_good(
    store: Store, authority: Authority
) -> None:
    token = await invited(store)

    def fails(name: str) -> Issued:
        raise NotFound("no certificate", subject=name)

    with pytest.raises(NotFound):
        await store.agents.redeem(token.id, digest(token.secret), fails)
    await store.agents.redeem(token.id, digest(token.secret), lambda name: certificate(authority, name))


async def test_a_token_is_good_for_its_time(store: Store, authority: Authority, clock: SteppedClock) -> None:
    token = await invited(store)
    clock.passed = HOUR.total_seconds()
    with pytest.raises(NotPermitted, match="expired"):
        await store.agents.redeem(token.id, digest(token.secret), lambda name: certificate(authority, name))


async def test_revoking_voids_the_open_token_and_a_newer_one_lets_in_again(
    store: Store, authority: Authority
) -> None:
    older = await invited(store)
    await store.agents.revoke("rack-a", by="operator:mi", reason="x")
    with pytest.raises(NotPermitted, match="revoked"):
        await store.agents.redeem(older.id, digest(older.secret), lambda name: certificate(authority, name))
    issued = await enrolled(store, authority)
    await store.agents.admit(issued.certificate)
    (agent,) = await store.agents.all()
    assert agent.revoked_at is None


async def test_nobody_is_revoked_or_renewed_who_is_not_on_the_roll(store: Store, authority: Authority) -> None:
    with pytest.raises(NotFound):
        await store.agents.revoke("nobody", by="operator:mi", reason="x")
    with pytest.raises(NotPermitted, match="not on the roll"):
        await store.agents.admit(certificate(authority, "nobody").certificate)
    with pytest.raises(NotPermitted, match="not on the roll"):
        await store.agents.renew("nobody", "00", certificate(authority, "nobody"))


async def test_the_roll_survives_a_restart(opener: Opener, authority: Authority) -> None:
    first = await opener()
    issued = await enrolled(first, authority)
    await first.close()
    second = await opener()
    await second.agents.admit(issued.certificate)
    (agent,) = await second.agents.all()
    assert agent.certificates == (issued.certificate,)
