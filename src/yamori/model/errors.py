"""The tree of errors, sorted by who must act.

YamoriError
├ Refused     cannot be done as asked; nothing was changed    → the caller changes the request
│   NotFound · Conflict · Invalid · NotPermitted · Unsupported
├ Failed      the world did not obey; something may have changed   → retry, undo or ask a human
│   Unreachable* · Busy* · TimedOut* · Rejected · Interrupted        (* transient)
├ Untrusted   a proof did not hold    → stop, keep the evidence, never retry
└ Defect      our own broken assumption    → crash loudly
"""

from typing import ClassVar


class YamoriError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"
    transient: ClassVar[bool] = False

    def __init__(self, message: str = "", *, subject: str | None = None, mend: str | None = None) -> None:
        """Say what happened, to what, and how an operator can mend it."""
        first_line = (type(self).__doc__ or self.code).strip().splitlines()[0]
        self.message = message or first_line
        self.subject = subject
        self.mend = mend
        super().__init__(self.message)

    def __str__(self) -> str:
        text = self.message
        if self.subject is not None and self.subject not in text:
            text = f"{self.subject}: {text}"
        return f"{text} ({self.mend})" if self.mend else text


class Refused(YamoriError):
    """The request cannot be done as asked; nothing was changed."""

    code = "refused"


class NotFound(Refused):
    """There is no such thing."""

    code = "not_found"


class Conflict(Refused):
    """The present state does not allow this."""

    code = "conflict"


class Invalid(Refused):
    """The request is malformed."""

    code = "invalid"


class NotPermitted(Refused):
    """Policy or rights do not allow this."""

    code = "not_permitted"


class Unsupported(Refused):
    """This host cannot do that."""

    code = "unsupported"

    def __init__(self, capability: str, why: str, *, subject: str | None = None, mend: str | None = None) -> None:
        """Name the capability and the reason that the support matrix gives."""
        self.capability = capability
        self.why = why
        super().__init__(f"{capability}: {why}", subject=subject, mend=mend)


class Failed(YamoriError):
    """The world did not obey; something may have changed."""

    code = "failed"


class Unreachable(Failed):
    """The endpoint does not answer."""

    code = "unreachable"
    transient = True


class Busy(Failed):
    """The endpoint is busy with something that excludes this."""

    code = "busy"
    transient = True


class TimedOut(Failed):
    """No answer in time; the request may still take effect."""

    code = "timed_out"
    transient = True


class Rejected(Failed):
    """The hypervisor refused or failed the request."""

    code = "rejected"


class Interrupted(Failed):
    """The work was stopped before its end."""

    code = "interrupted"


class Untrusted(YamoriError):
    """A proof did not hold."""

    code = "untrusted"


class BadCertificate(Untrusted):
    """The other side's certificate does not prove who it is."""

    code = "bad_certificate"


class Tampered(Untrusted):
    """A record was changed, removed or reordered after it was written."""

    code = "tampered"


class Defect(YamoriError):
    """A broken assumption in Yamori itself."""

    code = "defect"
