"""Turn what the server or the way to it answered into our errors: who must act decides."""

import http.client
import ssl
from typing import Any

from pyVmomi import vim, vmodl

from yamori.drivers.vsphere.wire import Garbled
from yamori.drivers.vsphere.words import clean
from yamori.model.errors import (
    Busy,
    Conflict,
    Failed,
    Interrupted,
    Invalid,
    NotFound,
    NotPermitted,
    Rejected,
    TimedOut,
    Unreachable,
    Unsupported,
    YamoriError,
)

FAULTS: tuple[type[Exception], ...] = (vmodl.MethodFault, vmodl.RuntimeFault)
TRANSPORT: tuple[type[Exception], ...] = (OSError, http.client.HTTPException, Garbled)
SESSION_OVER = vim.fault.NotAuthenticated

# The first that fits counts: the more special before the more general.
_CLASSES: tuple[tuple[Any, type[YamoriError]], ...] = (
    (vmodl.fault.ManagedObjectNotFound, NotFound),
    (vim.fault.NotFound, NotFound),
    (vim.fault.InvalidPowerState, Conflict),
    (vim.fault.ToolsUnavailable, Conflict),
    (vim.fault.ConcurrentAccess, Conflict),
    (vim.fault.TaskInProgress, Busy),
    (vim.fault.ResourceInUse, Busy),
    (vmodl.fault.HostCommunication, Unreachable),
    (vmodl.fault.RequestCanceled, Interrupted),
    (vim.fault.Timedout, TimedOut),
    (vim.fault.InvalidState, Conflict),
    (vim.fault.InsufficientResourcesFault, Failed),
    (vmodl.fault.InvalidArgument, Invalid),
)
_LACKING: tuple[Any, ...] = (vmodl.fault.MethodNotFound, vmodl.fault.NotSupported, vmodl.fault.NotImplemented)


def text_of(error: BaseException) -> str:
    """What the fault says, in one bounded line, with its type, since many faults say nothing else."""
    kind = clean(type(error).__name__.rpartition(".")[2], 60)
    untrusted_text = getattr(error, "msg", None) if isinstance(error, FAULTS) else str(error)
    said = clean(untrusted_text or "", 300)
    return f"{kind}: {said}" if said and said != kind else kind


def translate(error: BaseException, *, capability: str, subject: str | None, endpoint: str) -> YamoriError:
    """Return our error for a fault or a failure of the transport; the cause is for the caller to chain."""
    if isinstance(error, TimeoutError):
        return TimedOut(f"no answer to {capability}", subject=subject or endpoint)
    if isinstance(error, ssl.SSLError | OSError | http.client.HTTPException):
        return Unreachable(text_of(error), subject=endpoint)
    if isinstance(error, Garbled):
        return Rejected(f"{capability}: {text_of(error)}", subject=endpoint)
    if isinstance(error, vmodl.fault.SecurityError):
        return not_permitted(error, subject=subject or endpoint)
    if isinstance(error, _LACKING):
        return Unsupported(capability, text_of(error), subject=subject)
    for fault, ours in _CLASSES:
        if isinstance(error, fault):
            return ours(text_of(error), subject=subject)
    return Rejected(text_of(error), subject=subject)


def not_permitted(error: BaseException, *, subject: str) -> NotPermitted:
    """Name the privilege that the account lacks, as the server says."""
    privilege = clean(getattr(error, "privilegeId", None) or "", 80)
    if not privilege:
        return NotPermitted(text_of(error), subject=subject)
    return NotPermitted(
        f"the account lacks {privilege}", subject=subject, mend=f"add {privilege} to the account's role"
    )
