import math
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.store.samples import BEGIN, DECISION, PROPOSAL, finding, new_run
from yamori.model.errors import Invalid, NotFound
from yamori.model.finding import Evidence, Severity
from yamori.model.ids import FindingId, RunId
from yamori.model.plain import to_plain
from yamori.model.proposal import Verdict
from yamori.store import Store
from yamori.trust.ledger import RecordKind

LATER = BEGIN + timedelta(seconds=5)


async def kinds(store: Store) -> list[RecordKind]:
    return [record.kind for record in await store.ledger.records(after=0, limit=100)]


async def test_a_finding_is_read_as_it_was_raised(store: Store) -> None:
    assert await store.findings.upsert([finding()]) == [finding()]
    assert await store.findings.get(FindingId("f1")) == finding()
    assert await store.findings.open() == [finding()]
    assert await kinds(store) == [RecordKind.FINDING_RAISED]
    assert (await store.ledger.records(after=0, limit=1))[0].body == to_plain(finding())
    assert await store.findings.upsert([]) == ()
    with pytest.raises(NotFound):
        await store.findings.get(FindingId("never"))


async def test_the_same_trouble_again_is_the_same_finding(store: Store) -> None:
    """A module that has forgotten, after a restart, raises it anew with another id."""
    await store.findings.upsert([finding()])
    again = finding(id=FindingId("other"), opened_at=LATER, updated_at=LATER)
    (stored,) = await store.findings.upsert([again])
    assert stored == replace(again, id=FindingId("f1"), opened_at=BEGIN)
    assert await store.findings.open() == [stored]
    assert await kinds(store) == [RecordKind.FINDING_RAISED]


async def test_new_measurements_are_stored_and_only_a_new_judgement_is_on_the_ledger(store: Store) -> None:
    await store.findings.upsert([finding()])
    measured = finding(evidence=(Evidence(what="cpu", subject="v", value=9.0, unit="cores"),), updated_at=LATER)
    await store.findings.upsert([measured])
    assert await store.findings.get(measured.id) == measured
    assert await kinds(store) == [RecordKind.FINDING_RAISED]
    await store.findings.upsert([replace(measured, severity=Severity.CRITICAL)])
    assert await kinds(store) == [RecordKind.FINDING_RAISED, RecordKind.FINDING_CHANGED]


async def test_a_closed_finding_stays_closed(store: Store) -> None:
    await store.findings.upsert([finding()])
    closed = finding(closed_at=LATER)
    assert await store.findings.upsert([closed]) == [closed]
    assert await store.findings.open() == []
    assert await store.findings.upsert([closed]) == [closed]
    # The same trouble comes back, under the id that the module remembers: a new finding, and only one.
    (anew,) = await store.findings.upsert([finding(opened_at=LATER)])
    assert anew == finding(id=anew.id, opened_at=LATER)
    assert anew.id != closed.id
    (same,) = await store.findings.upsert([finding(opened_at=LATER, updated_at=LATER)])
    assert same.id == anew.id
    assert await store.findings.get(closed.id) == closed
    assert await kinds(store) == [RecordKind.FINDING_RAISED, RecordKind.FINDING_CLOSED, RecordKind.FINDING_RAISED]


async def test_a_finding_that_closed_before_it_was_told_is_told_as_both(store: Store) -> None:
    await store.findings.upsert([finding(closed_at=LATER)])
    assert await kinds(store) == [RecordKind.FINDING_RAISED, RecordKind.FINDING_CLOSED]
    assert await store.findings.open() == []


async def test_an_id_belongs_to_one_key(store: Store) -> None:
    """Other trouble under an id that is taken becomes a finding of its own, again and again the same one."""
    await store.findings.upsert([finding()])
    (other,) = await store.findings.upsert([finding(key="another")])
    (again,) = await store.findings.upsert([finding(key="another")])
    assert again.id == other.id != FindingId("f1")
    assert await store.findings.get(FindingId("f1")) == finding()


async def test_findings_are_written_all_or_none(store: Store) -> None:
    with pytest.raises(Invalid):
        await store.findings.upsert([finding(2), finding(1, confidence=math.nan)])
    assert await store.findings.open() == []
    assert await kinds(store) == []


async def test_findings_are_listed_newest_first(store: Store) -> None:
    await store.findings.upsert([finding(n) for n in range(5)])
    await store.findings.upsert([finding(4, closed_at=LATER)])
    assert [f.id for f in await store.findings.list(open_only=False, limit=3)] == ["f4", "f3", "f2"]
    assert [f.id for f in await store.findings.list(open_only=True, limit=3)] == ["f3", "f2", "f1"]
    assert [f.id for f in await store.findings.open()] == ["f0", "f1", "f2", "f3"]


async def test_a_ruling_is_kept_with_its_proposal_and_on_the_ledger_as_both(store: Store) -> None:
    run = new_run()
    first = await store.rulings.add(PROPOSAL, DECISION, run=run.id)
    denied = replace(DECISION, verdict=Verdict.DENY)
    second = await store.rulings.add(PROPOSAL, denied, run=None)
    assert (first.number, second.number) == (1, 2)
    assert await store.rulings.list(limit=10) == [second, first]
    assert await store.rulings.list(limit=1) == [second]
    assert await store.rulings.of_run(run.id) == first
    with pytest.raises(NotFound):
        await store.rulings.of_run(RunId("never"))
    assert await kinds(store) == [RecordKind.PROPOSED, RecordKind.DECIDED] * 2
    decided = (await store.ledger.records(after=3, limit=1))[0].body
    assert (decided["verdict"], decided["ruling"], decided["run"]) == ("deny", 2, None)
