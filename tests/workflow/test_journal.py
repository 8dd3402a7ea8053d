from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workflow.memory import BEGIN, new_run
from yamori.model.errors import Defect
from yamori.model.ids import RunId
from yamori.model.run import ENDED, JournalEntry, Run, RunState
from yamori.workflow.clock import SystemClock
from yamori.workflow.journal import NEXT, fold


def entry(run: Run, state: RunState, number: int | None = None, **note: Any) -> JournalEntry:
    return JournalEntry(
        run=run.id,
        number=len(run.entries) if number is None else number,
        state=state,
        step="s",
        note=note,
        token=1,
        at=BEGIN,
    )


def test_every_state_has_its_successors_and_only_ends_have_none_without_request() -> None:
    assert set(NEXT) == set(RunState)
    assert {state for state in RunState if not NEXT[state]} <= ENDED


def test_a_run_begins_planned() -> None:
    with pytest.raises(Defect):
        fold(new_run(), entry(new_run(), RunState.APPLYING))


def test_an_entry_follows_the_one_before_it() -> None:
    run = new_run()
    with pytest.raises(Defect, match="cannot follow"):
        fold(run, entry(run, RunState.PLANNED, number=1))


@given(st.lists(st.sampled_from(RunState), max_size=12))
def test_a_run_goes_only_where_the_table_allows(wanted: list[RunState]) -> None:
    run = new_run()
    run = fold(run, entry(run, RunState.PLANNED))
    for state in wanted:
        if state in NEXT[run.state]:
            run = fold(run, entry(run, state))
            assert run.state is state
        else:
            with pytest.raises(Defect, match="cannot go"):
                fold(run, entry(run, state))


def test_an_error_that_was_tried_again_is_not_the_error_of_the_run() -> None:
    run = new_run()
    for state in (RunState.PLANNED, RunState.APPLYING):
        run = fold(run, entry(run, state, error="tried again"))
    assert run.error is None
    assert fold(run, entry(run, RunState.FAILED, error="for good")).error == "for good"


def test_run_ids_are_different_and_sort_by_time() -> None:
    first, second = new_run(), new_run()
    assert first.id != second.id
    assert first.id.startswith("20260101-000000-")
    assert replace(first, id=RunId("x")) != first


async def test_the_clock_of_the_machine_is_aware_and_never_falls() -> None:
    clock = SystemClock()
    begin = clock.monotonic()
    await clock.sleep(0)
    assert clock.monotonic() >= begin
    assert clock.now().tzinfo is not None
