"""The members that OCSF 1.8.0 requires of each class, from its published schema."""

import json
from typing import Any

import pytest

from tests.trust.chain import BEGIN, KEY
from yamori.trust.ledger import NOTHING, Record, RecordKind, extend, seal_head
from yamori.trust.ocsf import to_ocsf

BASE = {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"}
REQUIRED = {
    2004: BASE | {"finding_info"},
    3002: BASE | {"user"},
    3004: BASE | {"entity"},
    6002: BASE | {"app"},
    6003: BASE | {"actor", "api", "src_endpoint"},
    7001: BASE | {"command_uid"},
}
FINDING = {
    "id": "f1",
    "kind": "noisy",
    "module": "guard",
    "summary": "burns",
    "severity": "high",
    "confidence": 0.75,
    "cause": "v",
    "victims": ["a", "b", "v"],
    "host": "h",
    "techniques": ["T1496", 3],
}
ACTION = {"verb": "throttle", "vm": "v"}
BODIES: dict[RecordKind, dict[str, Any]] = {
    RecordKind.STARTED: {},
    RecordKind.STOPPED: {},
    RecordKind.FINDING_RAISED: FINDING,
    RecordKind.FINDING_CHANGED: FINDING,
    RecordKind.FINDING_CLOSED: FINDING,
    RecordKind.PROPOSED: {"by": "guard", "reason": "because", "action": ACTION},
    RecordKind.DECIDED: {"verdict": "allow", "rule": "r1", "reason": "rule", "action": ACTION},
    RecordKind.REQUESTED: {"by": "operator:mi", "verb": "undo", "subject": "v", "reason": "wish"},
    RecordKind.KILL_SWITCH: {"on": True, "by": "operator:mi", "reason": "rack 4"},
    RecordKind.RUN: {"run": "r", "state": "verified", "verb": "throttle", "subject": "v", "note": {}},
    RecordKind.DRIFT: {"subject": "v"},
    RecordKind.DUPLICATE: {"subject": "v", "hosts": ["h1", "h2"]},
    RecordKind.AGENT_INVITED: {"agent": "rack-a", "by": "operator:mi", "token": "00"},
    RecordKind.AGENT_ENROLLED: {"agent": "rack-a", "serial": "7"},
    RecordKind.AGENT_RENEWED: {"agent": "rack-a", "serial": "8"},
    RecordKind.AGENT_REVOKED: {"agent": "rack-a", "by": "operator:mi", "reason": "stolen"},
    RecordKind.AGENT_REFUSED: {"agent": "rack-a", "address": "10.0.0.9", "reason": "the token was used"},
    RecordKind.AGENT_CONTACT: {"agent": "rack-a", "contact": "down", "reason": "no word for 10 s"},
}


def record(kind: RecordKind, body: dict[str, Any]) -> Record:
    return extend(seal_head(0, NOTHING, KEY), KEY, at=BEGIN, kind=kind, body=body)[0]


@pytest.mark.parametrize("kind", RecordKind)
@pytest.mark.parametrize("full", [True, False])
def test_an_event_has_all_that_its_class_requires(kind: RecordKind, full: bool) -> None:
    """Also of a record whose body is not as expected: the export never fails on one line."""
    event = to_ocsf(record(kind, BODIES[kind] if full else {"severity": 3, "note": [], "techniques": []}))
    assert REQUIRED[event["class_uid"]] <= event.keys()
    assert event["category_uid"] == event["class_uid"] // 1000
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
    assert event["time"] == int(BEGIN.timestamp() * 1000)
    assert {"product", "version"} <= event["metadata"].keys()
    assert json.loads(json.dumps(event, allow_nan=False)) == event
    for resource in event.get("resources", []):
        assert resource["uid"]
    match event["class_uid"]:
        case 2004:
            assert "uid" in event["finding_info"]
        case 6002:
            assert event["app"]["name"]
        case 6003:
            assert {"user", "app_name"} & event["actor"].keys()
            assert "operation" in event["api"]
            assert event["src_endpoint"]


def test_every_kind_of_record_has_its_class() -> None:
    classes = {kind: to_ocsf(record(kind, BODIES[kind]))["class_uid"] for kind in RecordKind}
    assert classes == {
        RecordKind.STARTED: 6002,
        RecordKind.STOPPED: 6002,
        RecordKind.AGENT_INVITED: 3004,
        RecordKind.AGENT_ENROLLED: 3004,
        RecordKind.AGENT_RENEWED: 3004,
        RecordKind.AGENT_REVOKED: 3004,
        RecordKind.AGENT_REFUSED: 3002,
        RecordKind.AGENT_CONTACT: 3002,
        RecordKind.FINDING_RAISED: 2004,
        RecordKind.FINDING_CHANGED: 2004,
        RecordKind.FINDING_CLOSED: 2004,
        RecordKind.PROPOSED: 6003,
        RecordKind.DECIDED: 6003,
        RecordKind.REQUESTED: 6003,
        RecordKind.RUN: 7001,
        RecordKind.KILL_SWITCH: 6002,
        RecordKind.DRIFT: 2004,
        RecordKind.DUPLICATE: 2004,
    }


def test_a_finding_carries_severity_techniques_and_those_concerned() -> None:
    event = to_ocsf(record(RecordKind.FINDING_RAISED, FINDING))
    assert (event["severity_id"], event["activity_id"], event["status_id"], event["is_alert"]) == (4, 1, 1, True)
    assert event["confidence_score"] == 75
    assert event["finding_info"]["attacks"] == [{"technique": {"uid": "T1496"}}]
    assert [(r["uid"], r["type"]) for r in event["resources"]] == [
        ("v", "vm"),
        ("a", "vm"),
        ("b", "vm"),
        ("h", "host"),
    ]
    closed = to_ocsf(record(RecordKind.FINDING_CLOSED, FINDING))
    assert (closed["activity_id"], closed["status_id"], closed["is_alert"]) == (3, 4, False)


@pytest.mark.parametrize(
    ("state", "verb", "status", "activity"),
    [
        ("verified", "throttle", 1, 99),
        ("verified", "release", 1, 3),
        ("undone", "throttle", 1, 3),
        ("refused", "throttle", 2, 99),
        ("abandoned", "throttle", 2, 99),
        ("applying", "throttle", 99, 99),
    ],
)
def test_a_run_tells_how_it_stands(state: str, verb: str, status: int, activity: int) -> None:
    body = {"run": "r", "state": state, "verb": verb, "subject": "v", "note": {"error": "why"}}
    event = to_ocsf(record(RecordKind.RUN, body))
    assert (event["status_id"], event["activity_id"], event["command_uid"]) == (status, activity, "r")
    assert event["status_detail"] == "why"


def test_it_is_told_who_asked() -> None:
    assert to_ocsf(record(RecordKind.REQUESTED, BODIES[RecordKind.REQUESTED]))["actor"] == {"user": {"name": "mi"}}
    assert to_ocsf(record(RecordKind.PROPOSED, BODIES[RecordKind.PROPOSED]))["actor"] == {"app_name": "guard"}
    decided = to_ocsf(record(RecordKind.DECIDED, {"verdict": "deny", "rule": "r1"}))
    assert decided["actor"]["app_uid"] == "r1"
    assert decided["status_id"] == 2


def test_an_exported_line_can_be_checked_against_the_ledger() -> None:
    kept = record(RecordKind.DRIFT, {"subject": "v"})
    told = to_ocsf(kept)["unmapped"]["ledger"]
    assert (told["number"], told["hash"]) == (kept.number, kept.hash)
