"""How an agent stands: what the roll says of it, and what its post does."""

from datetime import datetime

from yamori.agent.gateway.post import Post
from yamori.control.agents import AgentState, AgentView
from yamori.model.ids import EndpointName
from yamori.trust.enrolment import Enrolled


def view_of(found: Enrolled, post: Post | None, now: datetime) -> AgentView:
    """Put both together. A token that nobody used in time is not shown."""
    token = found.token_expires_at
    return AgentView(
        name=EndpointName(found.name),
        state=_state(found),
        connected=post is not None and post.line is not None,
        since=None if post is None else post.since,
        error=None if post is None else post.error,
        address=None if post is None else post.address,
        software=None if post is None or post.hello is None else post.hello.software,
        skew_s=None if post is None else post.skew_s,
        enrolled_at=found.enrolled_at,
        expires_at=found.certificates[-1].not_after if found.certificates else None,
        token_expires_at=token if token is not None and token > now else None,
    )


def _state(found: Enrolled) -> AgentState:
    if found.revoked_at is not None:
        return AgentState.REVOKED
    return AgentState.INVITED if found.enrolled_at is None else AgentState.ENROLLED
