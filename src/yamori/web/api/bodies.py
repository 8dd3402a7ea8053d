"""What a client may send: closed, bounded, checked before anything else sees it."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from yamori.model.limits import LimitKind

WEEK_S = 7 * 86_400.0
NAME = 256
"""Most characters of a name or an id."""


def _one_line(text: str) -> str:
    """Keep control characters out of journals, terminals and logs."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


Reason = Annotated[str, Field(max_length=500), AfterValidator(_one_line)]
Amount = Annotated[float, Field(gt=0, le=1e18, allow_inf_nan=False)]


class Body(BaseModel):
    """Nothing that is not declared is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ThrottleBody(Body):
    """Limits by kind, each in its own unit, and how long they may hold at most (seconds, at most a week)."""

    limits: Annotated[dict[LimitKind, Amount], Field(min_length=1)]
    expires_after_s: Annotated[float, Field(gt=0, le=WEEK_S, allow_inf_nan=False)]
    reason: Annotated[Reason, Field(min_length=1)]
    dry_run: bool = False


class ReleaseBody(Body):
    """Why, and whether only to check."""

    reason: Reason = ""
    dry_run: bool = False


class MigrateBody(Body):
    """Where to (null: control chooses), whether it may stand still meanwhile, why, and whether only to check."""

    to: Annotated[str, Field(min_length=1, max_length=NAME)] | None = None
    stopping: bool = False
    reason: Reason = ""
    dry_run: bool = False


class KillSwitchBody(Body):
    """Whether modules shall be kept from acting, and why."""

    on: bool
    reason: Annotated[Reason, Field(min_length=1)]


class UndoBody(Body):
    """Nothing is needed to undo a run."""


class InviteBody(Body):
    """Nothing more is needed to invite an agent: an empty object."""


class RevokeBody(Body):
    """Why."""

    reason: Annotated[Reason, Field(min_length=1)]


class ErrorWords(Body):
    """Stable code, what happened, to what, and how to mend it."""

    code: str
    message: str
    subject: str | None
    mend: str | None


class ErrorShape(Body):
    """The one shape of every error."""

    error: ErrorWords
