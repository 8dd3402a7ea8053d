"""Ledger records as events of the Open Cybersecurity Schema Framework (OCSF 1.8.0), for a SIEM.

Which record becomes which class is told in docs/reference/ledger.md. The record itself travels along whole
under ``unmapped``, with its number and hash, so that an exported line can be checked against the ledger.
"""

from collections.abc import Callable, Mapping
from typing import Any

from yamori import __version__
from yamori.model.plain import Json, to_plain
from yamori.trust.ledger import Record, RecordKind

VERSION = "1.8.0"
DETECTION_FINDING = 2004
AUTHENTICATION = 3002
ENTITY_MANAGEMENT = 3004
APPLICATION_LIFECYCLE = 6002
API_ACTIVITY = 6003
REMEDIATION_ACTIVITY = 7001

SEVERITIES: Mapping[str, int] = {"info": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}
OTHER = 99
SUCCESS, FAILURE = 1, 2
RESTORE = 3
"""Activity of Remediation Activity: d3f:Restore. Our other verbs limit or move, which D3FEND has no tactic for."""


def to_ocsf(record: Record) -> Json:
    """Return the OCSF event of a ledger record, as plain JSON."""
    return {
        "time": round(record.at.timestamp() * 1000),
        "metadata": {
            "version": VERSION,
            "uid": f"{record.number}",
            "product": {"name": "Yamori", "vendor_name": "Yamori", "version": __version__},
            "log_name": "ledger",
        },
        "unmapped": {"ledger": to_plain(record)},
        **_CLASSES[record.kind](record),
    }


def _event(class_uid: int, activity: int, name: str, *, severity: int = 1, message: str = "") -> Json:
    event: Json = {
        "category_uid": class_uid // 1000,
        "class_uid": class_uid,
        "activity_id": activity,
        "activity_name": name,
        "type_uid": class_uid * 100 + activity,
        "severity_id": severity,
    }
    return {**event, "message": message} if message else event


def _resources(body: Json, *members: str) -> Json:
    """Name the VMs and hosts of a record as resources, each once."""
    named: dict[str, str] = {}
    for member in members:
        value = body.get(member)
        for uid in value if isinstance(value, list) else [value]:
            if isinstance(uid, str):
                named.setdefault(uid, "host" if member == "host" else "vm")
    return {"resources": [{"uid": uid, "type": kind} for uid, kind in named.items()]} if named else {}


def _finding(record: Record) -> Json:
    body = record.body
    activity, name = _FINDING_ACTIVITIES[record.kind]
    closed = record.kind is RecordKind.FINDING_CLOSED
    info: Json = {
        "uid": _text(body, "id"),
        "title": _text(body, "kind"),
        "desc": _text(body, "summary"),
        "analytic": {"type_id": 1, "name": _text(body, "module")},
    }
    if techniques := [t for t in body.get("techniques", []) if isinstance(t, str)]:
        info["attacks"] = [{"technique": {"uid": technique}} for technique in techniques]
    confidence = body.get("confidence")
    scored = {"confidence_score": round(confidence * 100)} if isinstance(confidence, int | float) else {}
    return {
        **_event(
            DETECTION_FINDING,
            activity,
            name,
            severity=SEVERITIES.get(_text(body, "severity"), 0),
            message=_text(body, "summary"),
        ),
        "finding_info": info,
        "is_alert": not closed,
        "status_id": 4 if closed else 1 if record.kind is RecordKind.FINDING_RAISED else 2,
        **scored,
        **_resources(body, "cause", "victims", "host"),
    }


def _observed(record: Record) -> Json:
    """Turn drift and duplicates, which control itself observes, into findings."""
    duplicate = record.kind is RecordKind.DUPLICATE
    title = "two running copies of one VM" if duplicate else "limits changed by somebody else"
    return {
        **_event(DETECTION_FINDING, 1, "Create", severity=5 if duplicate else 3, message=title),
        "finding_info": {"uid": f"ledger-{record.number}", "title": title},
        "is_alert": True,
        "status_id": 1,
        **_resources(record.body, "subject", "host", "hosts"),
    }


def _asked(record: Record) -> Json:
    """Turn proposals, rulings and operators' requests into calls of our own interface."""
    body = record.body
    action = body.get("action")
    action = action if isinstance(action, dict) else {}
    verb = _text(action, "verb") or _text(body, "verb")
    if record.kind is RecordKind.DECIDED:
        verdict = _text(body, "verdict")
        actor: Json = {"app_name": "policy", "app_uid": _text(body, "rule")}
        status = {"status_id": _VERDICTS.get(verdict, OTHER), "status": verdict}
    else:
        by = _text(body, "by")
        operator = by.removeprefix("operator:")
        actor = {"user": {"name": operator}} if by != operator else {"app_name": by}
        status = {"status_id": 0}
    return {
        **_event(API_ACTIVITY, OTHER, record.kind.value.capitalize(), message=_text(body, "reason")),
        "actor": actor,
        "api": {"operation": verb, "service": {"name": "yamori"}},
        "src_endpoint": {"svc_name": "yamori"},
        **status,
        **_resources({**body, **action}, "subject", "vm"),
    }


def _run(record: Record) -> Json:
    body = record.body
    state, verb = _text(body, "state"), _text(body, "verb")
    restoring = verb == "release" or state in ("undoing", "undone")
    activity = (RESTORE, "Restore") if restoring else (OTHER, verb)
    status, severity = _STATES.get(state, (OTHER, 1))
    note = body.get("note")
    error = note.get("error") if isinstance(note, dict) else None
    return {
        **_event(REMEDIATION_ACTIVITY, *activity, severity=severity, message=f"{verb}: {state}"),
        "command_uid": _text(body, "run"),
        "status_id": status,
        "status": state,
        **({"status_detail": error} if isinstance(error, str) else {}),
        **_resources(body, "subject"),
    }


def _service(record: Record) -> Json:
    activity = (3, "Start") if record.kind is RecordKind.STARTED else (4, "Stop")
    return {
        **_event(APPLICATION_LIFECYCLE, *activity),
        "app": {"name": "yamori", "version": __version__},
        "status_id": SUCCESS,
    }


def _switch(record: Record) -> Json:
    on = record.body.get("on") is True
    return {
        **_event(
            APPLICATION_LIFECYCLE, *((7, "Disable") if on else (6, "Enable")), message=_text(record.body, "reason")
        ),
        "app": {"name": "yamori modules", "version": __version__},
        "actor": {"user": {"name": _text(record.body, "by")}},
        "status_id": SUCCESS,
    }


def _agent(record: Record) -> Json:
    """Turn what became of an agent's standing into changes of a managed entity."""
    body = record.body
    activity = _AGENT_ACTIVITIES[record.kind]
    by = _text(body, "by").removeprefix("operator:")
    return {
        **_event(ENTITY_MANAGEMENT, *activity, message=_text(body, "reason")),
        "entity": {"name": _text(body, "agent") or "unknown", "type": "host agent"},
        "status_id": SUCCESS,
        **({"actor": {"user": {"name": by}}} if by else {}),
    }


def _agent_shown(record: Record) -> Json:
    """Turn agents that came, went or were refused into logons and logoffs."""
    body = record.body
    lost = body.get("contact") == "down"
    refused = record.kind is RecordKind.AGENT_REFUSED
    address = _text(body, "address")
    return {
        **_event(
            AUTHENTICATION,
            *((2, "Logoff") if lost else (1, "Logon")),
            severity=3 if refused else 1,
            message=_text(body, "reason"),
        ),
        "user": {"name": _text(body, "agent") or "unknown", "type": "host agent", "type_id": OTHER},
        "service": {"name": "yamori"},
        "status_id": FAILURE if refused else SUCCESS,
        **({"src_endpoint": {"ip": address}} if address else {}),
    }


def _text(body: Mapping[str, Any], member: str) -> str:
    value = body.get(member)
    return value if isinstance(value, str) else ""


_VERDICTS: Mapping[str, int] = {"allow": SUCCESS, "deny": FAILURE}
_STATES: Mapping[str, tuple[int, int]] = {
    "verified": (SUCCESS, 1),
    "undone": (SUCCESS, 1),
    "refused": (FAILURE, 2),
    "failed": (FAILURE, 3),
    "abandoned": (FAILURE, 4),
}
_FINDING_ACTIVITIES: Mapping[RecordKind, tuple[int, str]] = {
    RecordKind.FINDING_RAISED: (1, "Create"),
    RecordKind.FINDING_CHANGED: (2, "Update"),
    RecordKind.FINDING_CLOSED: (3, "Close"),
}
_AGENT_ACTIVITIES: Mapping[RecordKind, tuple[int, str]] = {
    RecordKind.AGENT_INVITED: (1, "Create"),
    RecordKind.AGENT_ENROLLED: (6, "Enroll"),
    RecordKind.AGENT_RENEWED: (3, "Update"),
    RecordKind.AGENT_REVOKED: (7, "Unenroll"),
}
_CLASSES: Mapping[RecordKind, Callable[[Record], Json]] = {
    RecordKind.STARTED: _service,
    RecordKind.STOPPED: _service,
    RecordKind.FINDING_RAISED: _finding,
    RecordKind.FINDING_CHANGED: _finding,
    RecordKind.FINDING_CLOSED: _finding,
    RecordKind.PROPOSED: _asked,
    RecordKind.DECIDED: _asked,
    RecordKind.REQUESTED: _asked,
    RecordKind.RUN: _run,
    RecordKind.DRIFT: _observed,
    RecordKind.DUPLICATE: _observed,
    RecordKind.KILL_SWITCH: _switch,
    RecordKind.AGENT_INVITED: _agent,
    RecordKind.AGENT_ENROLLED: _agent,
    RecordKind.AGENT_RENEWED: _agent,
    RecordKind.AGENT_REVOKED: _agent,
    RecordKind.AGENT_REFUSED: _agent_shown,
    RecordKind.AGENT_CONTACT: _agent_shown,
}
