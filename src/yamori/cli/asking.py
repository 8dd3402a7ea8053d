"""What throttle, release and migrate share: tell policy's answer, follow the run, end with its code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import typer

from yamori.cli import wording
from yamori.cli.exits import ExitCode
from yamori.cli.progress import follow
from yamori.cli.terminal import clean, emit, say
from yamori.model.errors import Invalid
from yamori.model.run import RunState

Answer = dict[str, Any]
LONGEST = 700
"""Characters of a question."""
_ENDS = {
    RunState.VERIFIED: ExitCode.OK,
    RunState.REFUSED: ExitCode.REFUSED,
    RunState.UNDONE: ExitCode.FAILED,
    RunState.FAILED: ExitCode.FAILED,
    RunState.ABANDONED: ExitCode.FAILED,
}


def confirm(question: str | Callable[[], str], *, yes: bool, dry_run: bool = False) -> None:
    """Ask back before what disrupts. Raises Invalid where nobody can answer, Exit when the answer is no.

    A question that costs something to put is made only where somebody is asked.
    """
    if yes or dry_run:
        return
    if not sys.stdin.isatty():
        raise Invalid("this needs a yes, and nobody can be asked here", mend="add --yes")
    if not typer.confirm(clean(question if isinstance(question, str) else question(), LONGEST), err=True):
        raise typer.Exit(ExitCode.REFUSED)


def settle(
    client: Any, answer: Answer, *, title: str, dry_run: bool, wait: bool, as_json: bool, timeout_s: float = 120.0
) -> None:
    """Tell policy's answer, follow the run, tell its end. Ends the command unless all is well."""
    decision, run = answer["decision"], answer["run"]
    if run is not None and wait and not dry_run:
        run = follow(client, run["id"], title=title, timeout_s=timeout_s, quiet=as_json)
    code = ExitCode.REFUSED if run is None else _code(run, dry_run=dry_run, wait=wait)
    if as_json:
        emit({"decision": decision, "run": run})
    else:
        _tell(decision, run, dry_run=dry_run)
    if code is not ExitCode.OK:
        raise typer.Exit(code)


def forecast_of(run: Answer | None) -> str | None:
    """Return in words how a move would go, as its check has noted it; None for what is no move."""
    before = None if run is None else run.get("before")
    found = before.get("forecast") if isinstance(before, dict) else None
    return wording.forecast(found) if isinstance(found, dict) else None


def tell_end(run: Answer) -> None:
    """Tell how a run ended and what was read back."""
    say(f"run {clean(run['id'])}: {clean(run['state'])}")
    seen = run.get("seen")
    if seen and run["state"] == RunState.VERIFIED:
        say(f"read back: {clean(_seen(seen))}")
    if run.get("error"):
        say(f"because: {clean(run['error'], 500)}")


def end_code(run: Answer, *, good: RunState) -> ExitCode:
    """Return the exit code of an ended run; ``good`` is the end that was wanted."""
    state = RunState(run["state"])
    return ExitCode.OK if state is good else _ENDS.get(state, ExitCode.FAILED)


def _code(run: Answer, *, dry_run: bool, wait: bool) -> ExitCode:
    if (dry_run or not wait) and run["state"] not in {RunState.REFUSED, RunState.FAILED, RunState.ABANDONED}:
        return ExitCode.OK
    return ExitCode.REFUSED if dry_run else end_code(run, good=RunState.VERIFIED)


def _tell(decision: Answer, run: Answer | None, *, dry_run: bool) -> None:
    verdict = str(decision["verdict"]).replace("_", " ")
    say(f"policy: {clean(verdict)} by {clean(decision['rule'])}: {clean(decision['reason'], 500)}")
    action = decision["action"]
    if action.get("verb") == "throttle":
        say(f"limits: {wording.limits(action['limits'])}, for {wording.span(action['expires_after_s'])} at most")
    forecast = forecast_of(run)
    if forecast is not None:
        say(f"forecast: {forecast}")
    if run is None:
        say("nothing was changed")
    elif dry_run:
        say("dry run: nothing was changed")
        if run.get("error"):
            say(f"it would be refused: {clean(run['error'], 500)}")
    else:
        tell_end(run)


def _seen(seen: Answer) -> str:
    kinds = {key: value for key, value in seen.items() if value is None or isinstance(value, int | float)}
    rest = {key: value for key, value in seen.items() if key not in kinds}
    words = [
        wording.limit(key, value) if value is not None else f"{key} unlimited" for key, value in kinds.items()
    ]
    for key, value in rest.items():
        words.append(f"{key} {wording.limits(value)}" if _numbers(value) else f"{key} {value}")
    return ", ".join(words)


def _numbers(value: object) -> bool:
    return isinstance(value, dict) and all(v is None or isinstance(v, int | float) for v in value.values())
