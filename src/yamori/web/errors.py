"""How an error of the model looks over HTTP, and how a client turns it back into the same error.

The only place that knows HTTP statuses. The shape is {"error": {"code", "message", "subject", "mend"}}.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from yamori.model.errors import (
    Busy,
    Conflict,
    Defect,
    Failed,
    Invalid,
    NotFound,
    NotPermitted,
    Refused,
    TimedOut,
    Unreachable,
    Unsupported,
    Untrusted,
    YamoriError,
)

LONGEST = 1000
"""Characters of a text that an error may carry outwards; the rest is cut off."""


class Unauthenticated(NotPermitted):
    """The token is missing or wrong."""

    code = "unauthenticated"


class TooMany(Refused):
    """Too many requests at once."""

    code = "too_many"


class TooLarge(Invalid):
    """The request is larger than it may be."""

    code = "too_large"


class WrongHost(Invalid):
    """This service does not go by that name."""

    code = "wrong_host"


class ForeignOrigin(NotPermitted):
    """A page of another origin may not ask here."""

    code = "foreign_origin"


class WrongMethod(Invalid):
    """The path exists, but not with this method."""

    code = "wrong_method"


STATUSES: Mapping[type[YamoriError], int] = {
    Unauthenticated: 401,
    TooMany: 429,
    TooLarge: 413,
    WrongHost: 421,
    ForeignOrigin: 403,
    WrongMethod: 405,
    NotFound: 404,
    Conflict: 409,
    Invalid: 422,
    NotPermitted: 403,
    Unsupported: 422,
    Refused: 400,
    Unreachable: 503,
    Busy: 503,
    TimedOut: 504,
    Failed: 502,
    Untrusted: 403,
    Defect: 500,
    YamoriError: 500,
}
"""HTTP status by class; a class that is not named has that of the nearest class above it."""


def status_of(kind: type[YamoriError]) -> int:
    """Return the HTTP status of a class of errors."""
    return next(STATUSES[c] for c in kind.__mro__ if c in STATUSES)


def shape(error: YamoriError) -> dict[str, Any]:
    """Put an error into the one shape that every route answers with."""
    return {
        "error": {
            "code": error.code,
            "message": error.message[:LONGEST],
            "subject": None if error.subject is None else error.subject[:LONGEST],
            "mend": None if error.mend is None else error.mend[:LONGEST],
        }
    }


def kinds(kind: type[YamoriError] = YamoriError) -> Iterator[type[YamoriError]]:
    """Walk the tree of errors from the top; what a package refines for itself crosses the wire as its parent."""
    yield kind
    for below in kind.__subclasses__():
        if below.code != kind.code:
            yield from kinds(below)


def rebuilt(status: int, untrusted_body: Any) -> YamoriError:
    """Turn an answer in the error shape back into the error; an answer in any other shape is judged by status."""
    untrusted_error = untrusted_body.get("error") if isinstance(untrusted_body, dict) else None
    if not isinstance(untrusted_error, dict):
        return _by_status(status)(f"the service answered with status {status} and without a reason")
    words = {k: v[:LONGEST] for k, v in untrusted_error.items() if isinstance(v, str)}
    message, subject = words.get("message", ""), words.get("subject")
    kind = {k.code: k for k in kinds()}.get(words.get("code", ""), _by_status(status))
    if issubclass(kind, Unsupported):
        capability, _, why = message.partition(": ")
        return kind(capability, why, subject=subject, mend=words.get("mend"))
    return kind(message, subject=subject, mend=words.get("mend"))


def _by_status(status: int) -> type[YamoriError]:
    if 400 <= status < 500:
        return {404: NotFound, 409: Conflict, 422: Invalid}.get(status, Refused)
    return {500: Defect, 503: Unreachable, 504: TimedOut}.get(status, Failed)
