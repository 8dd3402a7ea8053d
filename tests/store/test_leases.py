import asyncio
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.store.samples import SteppedClock
from yamori.model.errors import Conflict
from yamori.store import Store, open_store
from yamori.workflow.lease import Lease


async def test_one_owner_at_a_time(store: Store, clock: SteppedClock) -> None:
    lease = await store.leases.acquire("v", "a", 10.0)
    with pytest.raises(Conflict, match="a works on it"):
        await store.leases.acquire("v", "b", 10.0)
    assert (await store.leases.acquire("w", "b", 10.0)).subject == "w"
    clock.passed = 9.9
    with pytest.raises(Conflict):
        await store.leases.acquire("v", "b", 10.0)
    clock.passed = 10.0
    taken = await store.leases.acquire("v", "b", 10.0)
    assert taken.token > lease.token


async def test_a_renewed_lease_lasts_longer(store: Store, clock: SteppedClock) -> None:
    lease = await store.leases.acquire("v", "a", 10.0)
    clock.passed = 8.0
    await store.leases.renew(lease, 10.0)
    clock.passed = 17.0
    with pytest.raises(Conflict):
        await store.leases.acquire("v", "b", 10.0)


async def test_the_same_owner_takes_over_at_once_with_a_larger_token(store: Store) -> None:
    old = await store.leases.acquire("v", "a", 10.0)
    new = await store.leases.acquire("v", "a", 10.0)
    assert new.token > old.token
    with pytest.raises(Conflict):
        await store.leases.renew(old, 10.0)
    await store.leases.release(old)
    with pytest.raises(Conflict):
        await store.leases.acquire("v", "b", 10.0)


async def test_a_lease_given_back_is_free_and_its_token_never_comes_again(store: Store) -> None:
    tokens = []
    for owner in ("a", "b", "a"):
        lease = await store.leases.acquire("v", owner, 10.0)
        tokens.append(lease.token)
        await store.leases.release(lease)
        await store.leases.release(lease)
    assert tokens == sorted(set(tokens))
    with pytest.raises(Conflict):
        await store.leases.renew(lease, 10.0)
    with pytest.raises(Conflict):
        await store.leases.renew(replace(lease, subject="never"), 10.0)


async def test_of_many_who_ask_at_once_one_gets_it(store: Store) -> None:
    asked = await asyncio.gather(
        *(store.leases.acquire("v", f"owner {n}", 10.0) for n in range(20)), return_exceptions=True
    )
    assert sum(isinstance(answer, Lease) for answer in asked) == 1
    assert sum(isinstance(answer, Conflict) for answer in asked) == 19


class LeaseMachine(RuleBasedStateMachine):
    """Whatever owners do, at most one holds a lease that has not run out, and tokens only grow."""

    OWNERS = ("a", "b", "c")

    def __init__(self) -> None:
        super().__init__()
        import tempfile
        from pathlib import Path

        self.loop = asyncio.new_event_loop()
        self.place = tempfile.TemporaryDirectory()
        self.clock = SteppedClock()
        self.store = self.run(open_store(Path(self.place.name) / "state", clock=self.clock))
        self.held: dict[str, tuple[Lease, float]] = {}
        self.largest = 0

    def run(self, work):  # type: ignore[no-untyped-def]
        return self.loop.run_until_complete(work)

    def alive(self) -> list[str]:
        return [owner for owner, (_, until) in self.held.items() if until > self.clock.passed]

    @rule(owner=st.sampled_from(OWNERS), ttl=st.floats(1.0, 10.0))
    def acquire(self, owner: str, ttl: float) -> None:
        free = not [other for other in self.alive() if other != owner]
        try:
            lease = self.run(self.store.leases.acquire("v", owner, ttl))
        except Conflict:
            assert not free
            return
        assert free
        assert lease.token > self.largest
        self.largest = lease.token
        self.held = {owner: (lease, self.clock.passed + ttl)}

    @rule(owner=st.sampled_from(OWNERS), ttl=st.floats(1.0, 10.0))
    def renew(self, owner: str, ttl: float) -> None:
        if owner in self.held:
            lease, _ = self.held[owner]
            self.run(self.store.leases.renew(lease, ttl))
            self.held[owner] = (lease, self.clock.passed + ttl)

    @rule(owner=st.sampled_from(OWNERS))
    def release(self, owner: str) -> None:
        if owner in self.held:
            self.run(self.store.leases.release(self.held.pop(owner)[0]))

    @rule(seconds=st.floats(0.0, 15.0))
    def wait(self, seconds: float) -> None:
        self.clock.passed += seconds

    @invariant()
    def one_at_most(self) -> None:
        assert len(self.alive()) <= 1

    def teardown(self) -> None:
        self.run(self.store.close())
        self.loop.close()
        self.place.cleanup()


TestLeaseMachine = LeaseMachine.TestCase
TestLeaseMachine.settings = settings(
    max_examples=15, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
