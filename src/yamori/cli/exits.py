"""Which exit code says what. The only place that knows exit codes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from yamori.model.errors import (
    Conflict,
    Defect,
    Failed,
    Invalid,
    NotFound,
    Refused,
    TimedOut,
    Unreachable,
    Untrusted,
    YamoriError,
)


class ExitCode(IntEnum):
    """How a command ended, for scripts."""

    OK = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    UNREACHABLE = 4
    UNTRUSTED = 5
    INTERRUPTED = 130


MEANINGS: Mapping[ExitCode, str] = {
    ExitCode.OK: "done; every effect that was asked for was verified",
    ExitCode.FAILED: "failed: the world did not obey, or something that was checked does not hold",
    ExitCode.USAGE: "the command line or an input file is wrong, or there is no such thing",
    ExitCode.REFUSED: "policy or the present state refused; nothing was changed",
    ExitCode.UNREACHABLE: "Yamori or a hypervisor does not answer",
    ExitCode.UNTRUSTED: "a proof did not hold: a changed ledger, a key or token that others could have read",
    ExitCode.INTERRUPTED: "interrupted from the keyboard",
}

_CODES: Mapping[type[YamoriError], ExitCode] = {
    NotFound: ExitCode.USAGE,
    Invalid: ExitCode.USAGE,
    Conflict: ExitCode.REFUSED,
    Refused: ExitCode.REFUSED,
    Unreachable: ExitCode.UNREACHABLE,
    TimedOut: ExitCode.UNREACHABLE,
    Failed: ExitCode.FAILED,
    Untrusted: ExitCode.UNTRUSTED,
    Defect: ExitCode.FAILED,
    YamoriError: ExitCode.FAILED,
}


def exit_code(error: YamoriError) -> ExitCode:
    """Return the exit code for an error of the model."""
    return next(_CODES[kind] for kind in type(error).__mro__ if kind in _CODES)
