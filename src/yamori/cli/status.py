"""`yamori status`: the whole in a few lines."""

from __future__ import annotations

from collections import Counter
from typing import Any

import typer

from yamori.cli import kill_switch, wording
from yamori.cli.connection import connect
from yamori.cli.options import Json, StateDir
from yamori.cli.terminal import clean, emit, say, show

EXAMPLE = """Examples:

\b
  yamori status
  yamori status --json | jq .standing

JSON: {"url", "service", "endpoints": [...], "vms", "standing": {word: count}, "held", "drifted", "open_findings",
"kill_switch"}.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(status)


def status(state_dir: StateDir = None, as_json: Json = False) -> None:
    """Show the service, its endpoints, how the fleet is served, and what is going on."""
    with connect(state_dir) as client:
        service, endpoints = client.service(), client.endpoints()
        standing: Counter[str] = Counter()
        vms = held = drifted = 0
        for vm in client.each_vm():
            vms += 1
            standing[vm["standing"]] += 1
            held += vm["hold"] is not None
            drifted += bool(vm["drift"])
        findings = client.findings(open_only=True, limit=1000)
        switch = client.kill_switch()
        url = client.url
    told = {
        "url": url,
        "service": service,
        "endpoints": endpoints,
        "vms": vms,
        "standing": dict(standing),
        "held": held,
        "drifted": drifted,
        "open_findings": len(findings),
        "kill_switch": switch,
    }
    if as_json:
        emit(told)
    else:
        _tell(told)


def _tell(told: dict[str, Any]) -> None:
    say(f"Yamori {clean(told['service']['version'])} at {clean(told['url'])}")
    show(
        ("ENDPOINT", "DRIVER", "CONTACT", "SINCE", "HOSTS", "READING", "ERROR"),
        [
            (
                e["name"],
                e["driver"],
                e["contact"],
                wording.ago(e["since"]),
                len(e["hosts"]),
                wording.span(e["tick_s"]),
                e["error"] or (f"usage unknown: {e['gap']}" if e.get("gap") else wording.NONE),
            )
            for e in told["endpoints"]
        ],
        right=("SINCE", "HOSTS", "READING"),
    )
    words = ", ".join(
        f"{count} {clean(name).replace('_', ' ')}" for name, count in sorted(told["standing"].items())
    )
    say(f"VMs: {told['vms']}{f' ({words})' if words else ''}")
    say(f"held: {told['held']}, changed by hand: {told['drifted']}, open findings: {told['open_findings']}")
    if told["kill_switch"]["on"]:
        say(kill_switch.words(told["kill_switch"]))
