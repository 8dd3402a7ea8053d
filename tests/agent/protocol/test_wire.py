"""The protocol's core: greetings, versions, calls, time-outs, keep-alive, and garbage."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agent.ends import hello, pair, pump
from yamori.agent.protocol.events import Answered, Called, Cancelled, Closed, Event, Faulted, Offered
from yamori.agent.protocol.frames import LARGEST, LARGEST_UNKNOWN, PROGRESS, Garbled, frame
from yamori.agent.protocol.messages import HIGHEST, LOWEST, agreed
from yamori.agent.protocol.wire import DEAD_AFTER_S, MOST_CALLS, PING_AFTER_S, Role, Wire
from yamori.model.errors import Busy, Conflict, Defect, Failed, NotFound, TimedOut, Unreachable, Unsupported


def send(wire: Wire, plain: object, now: float = 0.0) -> list[Event]:
    return wire.receive(frame(json.dumps(plain).encode()), now)


def closing(events: list[Event]) -> Closed:
    assert events
    assert isinstance(events[-1], Closed)
    return events[-1]


def test_a_call_is_answered_by_its_number_both_ways() -> None:
    agent, controller = pair()
    for source, target in ((controller, agent), (agent, controller)):
        first = source.call("one", {"a": 1}, timeout_s=5, now=0)
        second = source.call("two", None, timeout_s=5, now=0)
        called = pump(source, target)
        assert [(c.id, c.name) for c in called if isinstance(c, Called)] == [(first, "one"), (second, "two")]
        target.answer(second, [1, None, "x"])
        target.fault(first, NotFound("gone", subject="v", mend="look again"))
        answered, faulted = pump(target, source)
        assert answered == Answered(id=second, untrusted_value=[1, None, "x"])
        assert isinstance(faulted, Faulted)
        assert type(faulted.error) is NotFound
        assert (faulted.error.subject, faulted.error.mend) == ("v", "look again")
        assert source.in_flight == 0


def test_errors_keep_their_kind_and_what_is_not_known_is_a_failure() -> None:
    agent, controller = pair()
    number = controller.call("x", None, timeout_s=5, now=0)
    pump(controller, agent)
    agent.fault(number, Unsupported("limits.net_in", "no such card"))
    (told,) = pump(agent, controller)
    assert isinstance(told, Faulted)
    assert isinstance(told.error, Unsupported)
    assert (told.error.capability, told.error.why) == ("limits.net_in", "no such card")
    for code in ("of_the_future", "defect", "error", "garbled"):
        number = controller.call("x", None, timeout_s=5, now=0)
        controller.out()
        words = {"code": code, "message": "m\x1b[2J", "subject": None, "mend": None}
        (told,) = send(controller, {"kind": "fault", "id": number, "error": words})
        assert isinstance(told, Faulted)
        assert type(told.error) is Failed
        assert "\x1b" not in told.error.message


def test_a_defect_of_the_agent_does_not_carry_its_text_and_is_no_defect_of_ours() -> None:
    agent, controller = pair()
    number = controller.call("x", None, timeout_s=5, now=0)
    pump(controller, agent)
    agent.fault(number, Defect("a path, a secret"))
    (told,) = pump(agent, controller)
    assert isinstance(told, Faulted)
    assert type(told.error) is Failed
    assert "secret" not in told.error.message


@pytest.mark.parametrize(
    ("lowest", "highest", "mend"),
    [(0, LOWEST - 1, "on the host"), (HIGHEST + 1, HIGHEST + 3, "on the controller")],
)
def test_without_a_common_version_both_sides_are_told_which_to_update(
    lowest: int, highest: int, mend: str
) -> None:
    agent = Wire(Role.AGENT, now=0, hello=hello(lowest, highest))
    controller = Wire(Role.CONTROLLER, now=0)
    ours = closing(controller.receive(agent.out(), 0))
    theirs = closing(agent.receive(controller.out(), 0))
    assert isinstance(ours.error, Conflict)
    assert isinstance(theirs.error, Conflict)
    assert not ours.told
    assert theirs.told
    assert f"{lowest} to {highest}" in theirs.error.message
    assert theirs.error.mend is not None
    assert mend in theirs.error.mend
    assert ours.error.mend == theirs.error.mend


def test_the_highest_common_version_is_agreed_upon() -> None:
    assert agreed(LOWEST, HIGHEST + 5) == HIGHEST
    assert agreed(HIGHEST + 1, HIGHEST + 5) is None


def test_a_controller_that_chooses_a_version_nobody_offered_is_left() -> None:
    agent = Wire(Role.AGENT, now=0, hello=hello())
    chosen = {"kind": "welcome", "version": HIGHEST + 1, "software": "9.9", "wall": "2026-01-01T00:00:00Z"}
    assert isinstance(closing(send(agent, chosen)).error, Conflict)


def test_a_greeting_of_a_later_version_may_have_members_that_are_not_known_here() -> None:
    plain = json.loads(hello(LOWEST, HIGHEST + 7).model_dump_json()) | {"colour": "green"}
    (offered,) = send(Wire(Role.CONTROLLER, now=0), plain)
    assert isinstance(offered, Offered)


def test_a_call_that_takes_too_long_times_out_and_its_late_answer_is_dropped() -> None:
    agent, controller = pair()
    number = controller.call("slow", None, timeout_s=2, now=0)
    pump(controller, agent)
    assert controller.tick(1.9) == []
    (late,) = controller.tick(2.0)
    assert isinstance(late, Faulted)
    assert late.id == number
    assert isinstance(late.error, TimedOut)
    agent.answer(number, "at last")  # crosses the cancellation
    answer = agent.out()
    assert pump(controller, agent) == [Cancelled(id=number)]
    assert controller.receive(answer, 2.1) == []
    assert controller.is_open


def test_a_cancelled_call_gets_no_answer() -> None:
    agent, controller = pair()
    number = controller.call("slow", None, timeout_s=2, now=0)
    pump(controller, agent)
    controller.cancel(number)
    pump(controller, agent)
    agent.answer(number, 1)
    assert agent.out() == b""


def test_calls_in_flight_are_bounded_on_both_sides() -> None:
    agent, controller = pair()
    for _ in range(MOST_CALLS):
        controller.call("x", None, timeout_s=5, now=0)
    with pytest.raises(Busy):
        controller.call("x", None, timeout_s=5, now=0)
    assert len(pump(controller, agent)) == MOST_CALLS
    one_more = {"kind": "call", "id": MOST_CALLS + 1, "name": "x", "timeout_s": 1, "arguments": None}
    assert isinstance(closing(send(agent, one_more)).error, Garbled)


def test_silence_is_asked_about_and_ends_the_connection() -> None:
    agent, controller = pair()
    for wire in (agent, controller):
        assert wire.tick(PING_AFTER_S - 0.1) == []
        assert wire.out() == b""
        wire.tick(PING_AFTER_S)
        assert b"ping" in wire.out()
        wire.tick(PING_AFTER_S + 1)
        assert wire.out() == b""
        assert isinstance(closing(wire.tick(DEAD_AFTER_S)).error, Unreachable)


def test_whoever_answers_pings_is_alive() -> None:
    agent, controller = pair()
    now = 0.0
    for _ in range(20):
        now += PING_AFTER_S
        controller.tick(now)
        pump(controller, agent, now)
        pump(agent, controller, now)
        assert agent.tick(now) == []
        pump(agent, controller, now)
        pump(controller, agent, now)
    assert controller.is_open
    assert agent.is_open


def test_a_large_frame_that_makes_progress_is_a_sign_of_life_and_a_dribble_is_not() -> None:
    for portion, lives in ((PROGRESS, True), (10, False)):
        _, controller = pair()
        controller.receive((LARGEST).to_bytes(4, "big"), 0)
        now = 0.0
        for _ in range(10):
            now += DEAD_AFTER_S / 2
            controller.receive(b" " * portion, now)
            controller.tick(now)
        assert controller.is_open is lives


def test_a_greeting_must_come_in_time_and_is_small() -> None:
    waiting = Wire(Role.CONTROLLER, now=0)
    assert waiting.tick(DEAD_AFTER_S - 0.1) == []
    assert isinstance(closing(waiting.tick(DEAD_AFTER_S)).error, TimedOut)
    greedy = Wire(Role.CONTROLLER, now=0)
    assert isinstance(closing(greedy.receive((LARGEST_UNKNOWN + 1).to_bytes(4, "big"), 0)).error, Garbled)


def test_what_waits_when_the_connection_ends_is_told_so() -> None:
    _, controller = pair()
    number = controller.call("x", None, timeout_s=5, now=0)
    faulted, closed = controller.lost(Unreachable("reset"))
    assert isinstance(faulted, Faulted)
    assert faulted.id == number
    assert isinstance(faulted.error, Unreachable)
    assert isinstance(closed, Closed)
    assert controller.tick(100) == []
    assert controller.lost(Unreachable("again")) == []
    with pytest.raises(Unreachable):
        controller.call("x", None, timeout_s=5, now=0)


def test_an_answer_that_is_too_large_becomes_a_fault() -> None:
    agent, controller = pair()
    number = controller.call("x", None, timeout_s=5, now=0)
    pump(controller, agent)
    agent.answer(number, "x" * LARGEST)
    (told,) = pump(agent, controller)
    assert isinstance(told, Faulted)
    assert type(told.error) is Failed


GARBAGE = (
    {},
    [],
    None,
    "hello",
    {"kind": "nothing"},
    {"kind": "hello"},
    {"kind": "ping", "extra": 1},
    {"kind": "answer", "id": 999, "value": 1},
    {"kind": "fault", "id": 1, "error": {"code": "failed", "message": "m"}},
    {"kind": "call", "id": 0, "name": "x", "timeout_s": 1, "arguments": None},
    {"kind": "call", "id": "1", "name": "x", "timeout_s": 1, "arguments": None},
    {"kind": "call", "id": 1, "name": "x" * 65, "timeout_s": 1, "arguments": None},
    {"kind": "call", "id": 1, "name": "x", "timeout_s": 1e9, "arguments": None},
    {"kind": "call", "id": 1, "name": "x", "timeout_s": "NaN", "arguments": None},
    {"kind": "welcome", "version": 1, "software": "x", "wall": "2026-01-01T00:00:00Z"},
    {"kind": "enrol", "lowest": 1, "highest": 1},
)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("plain", GARBAGE, ids=str)
def test_what_is_no_message_ends_the_connection_and_is_not_repeated(role: Role, plain: object) -> None:
    wire = pair()[0 if role is Role.AGENT else 1]
    closed = closing(send(wire, plain))
    assert isinstance(closed.error, Garbled)
    assert wire.receive(frame(b"{}"), 0) == []
    assert json.loads(wire.out()[4:])["kind"] == "refusal"


def test_a_number_of_a_call_is_used_once() -> None:
    agent, _ = pair()
    call = {"kind": "call", "id": 5, "name": "x", "timeout_s": 1, "arguments": None}
    assert len(send(agent, call)) == 1
    assert isinstance(closing(send(agent, call)).error, Garbled)


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b"\0" * 64, b'{"kind":"\\ud800"}']
)
def test_deep_or_broken_json_is_refused(body: bytes) -> None:
    _, controller = pair()
    assert isinstance(closing(controller.receive(frame(body), 0)).error, Garbled)


def test_ten_thousand_garbage_frames_end_ten_thousand_connections_and_nothing_else() -> None:
    chance = random.Random(7)  # the same garbage each time
    template = frame(json.dumps({"kind": "call", "id": 1, "name": "x", "timeout_s": 1, "arguments": {}}).encode())
    ended = survived = 0
    for number in range(10_000):
        wire = pair()[number % 2]
        if number % 3 == 0:
            garbage = frame(chance.randbytes(chance.randint(1, 60)))
        else:
            changed = bytearray(template)
            for _ in range(chance.randint(1, 6)):
                changed[chance.randrange(4, len(changed))] = chance.randrange(256)
            garbage = bytes(changed)
        events = wire.receive(garbage, 0)
        if events and isinstance(events[-1], Closed):
            ended += 1
        else:
            survived += 1  # still a call: a letter of its name was changed
            assert all(isinstance(event, Called) for event in events)
    assert ended > 8_000
    assert ended + survived == 10_000


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=100), max_size=10), st.sampled_from(Role), st.booleans())
def test_no_bytes_whatever_raise(pieces: list[bytes], role: Role, greeted: bool) -> None:
    fresh = Wire(role, now=0, hello=hello() if role is Role.AGENT else None)
    wire = pair()[0 if role is Role.AGENT else 1] if greeted else fresh
    for number, piece in enumerate(pieces):
        wire.receive(piece, float(number))
        wire.tick(float(number))
        wire.out()


@settings(max_examples=300)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=12,
    ),
    st.sampled_from(("hello", "welcome", "refusal", "call", "cancel", "answer", "fault", "ping", "pong", "enrol")),
    st.sampled_from(Role),
)
def test_no_json_whatever_raises(value: object, kind: str, role: Role) -> None:
    wire = pair()[0 if role is Role.AGENT else 1]
    plain = value | {"kind": kind} if isinstance(value, dict) else {"kind": kind, "id": value, "value": value}
    try:
        body = json.dumps(plain).encode("utf-8")
    except (UnicodeEncodeError, RecursionError):
        return
    wire.receive(frame(body), 0)
    wire.tick(1)
