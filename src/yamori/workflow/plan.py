"""How a decision becomes a run that is not written down yet."""

import secrets
from datetime import UTC, datetime

from yamori.model.errors import NotPermitted
from yamori.model.ids import RunId, VMId
from yamori.model.proposal import Decision, Proposal, Verdict
from yamori.model.run import Run, RunState


def plan(subject: VMId, proposal: Proposal, decision: Decision, at: datetime) -> Run:
    """Return a new run of an allowed action. Its id begins with the time, so that ids sort as runs do.

    Raises NotPermitted unless the decision allows.
    """
    if decision.verdict is not Verdict.ALLOW:
        raise NotPermitted(f"{decision.verdict}: {decision.reason}", subject=subject)
    return Run(
        id=RunId(f"{at.astimezone(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"),
        subject=subject,
        proposal=proposal,
        decision=decision,
        state=RunState.PLANNED,
        before=None,
        seen=None,
        error=None,
        created_at=at,
        updated_at=at,
    )
