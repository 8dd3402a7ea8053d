"""Turn libvirt's errors into ours: who must act decides, not which function failed."""

import libvirt

from yamori.drivers.libvirt.words import clean
from yamori.model.errors import (
    BadCertificate,
    Busy,
    Conflict,
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

_CLASSES: dict[int, type[YamoriError]] = {
    libvirt.VIR_ERR_NO_DOMAIN: NotFound,
    libvirt.VIR_ERR_OPERATION_INVALID: Conflict,
    libvirt.VIR_ERR_DOM_EXIST: Conflict,
    libvirt.VIR_ERR_MIGRATE_UNSAFE: Conflict,
    libvirt.VIR_ERR_OPERATION_DENIED: NotPermitted,
    libvirt.VIR_ERR_AUTH_FAILED: NotPermitted,
    libvirt.VIR_ERR_AUTH_CANCELLED: NotPermitted,
    libvirt.VIR_ERR_AUTH_UNAVAILABLE: NotPermitted,
    libvirt.VIR_ERR_ACCESS_DENIED: NotPermitted,
    libvirt.VIR_ERR_INVALID_ARG: Invalid,
    libvirt.VIR_ERR_XML_ERROR: Invalid,
    libvirt.VIR_ERR_XML_DETAIL: Invalid,
    libvirt.VIR_ERR_OPERATION_TIMEOUT: Busy,
    libvirt.VIR_ERR_RESOURCE_BUSY: Busy,
    libvirt.VIR_ERR_AGENT_UNRESPONSIVE: TimedOut,
    libvirt.VIR_ERR_OPERATION_ABORTED: Interrupted,
}
_UNSUPPORTED = frozenset(
    {
        libvirt.VIR_ERR_NO_SUPPORT,
        libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
        libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
        libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED,
    }
)
_LINK = frozenset({libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE, libvirt.VIR_FROM_STREAMS})


def of_link(error: libvirt.libvirtError) -> bool:
    """Whether the error came from the wire, rather than from the hypervisor at its other end."""
    return error.get_error_domain() in _LINK or error.get_error_code() in {
        libvirt.VIR_ERR_INVALID_CONN,
        libvirt.VIR_ERR_NO_CONNECT,
        libvirt.VIR_ERR_RPC,
    }


def text_of(error: libvirt.libvirtError) -> str:
    """What libvirt says, in one bounded line."""
    untrusted_text = error.get_error_message() or str(error)
    return clean(untrusted_text, 400)


def translate(error: libvirt.libvirtError, *, capability: str, subject: str | None) -> YamoriError:
    """Return our error for one that the hypervisor answered with; the cause is for the caller to chain."""
    code, text = error.get_error_code(), text_of(error)
    if code in _UNSUPPORTED:
        return Unsupported(capability, text, subject=subject)
    return _CLASSES.get(code, Rejected)(text, subject=subject)


def of_dialling(error: libvirt.libvirtError, *, subject: str) -> YamoriError:
    """Return our error for one met while connecting."""
    text = text_of(error)
    if error.get_error_code() in {
        libvirt.VIR_ERR_AUTH_FAILED,
        libvirt.VIR_ERR_AUTH_CANCELLED,
        libvirt.VIR_ERR_AUTH_UNAVAILABLE,
    }:
        return NotPermitted(text, subject=subject)
    if "ertificate" in text:
        return BadCertificate(text, subject=subject)
    return Unreachable(text, subject=subject)
