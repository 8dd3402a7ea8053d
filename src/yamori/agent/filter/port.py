"""Where a Filter holds: the interface on this host that is a VM's card."""

import re
import socket
from dataclasses import dataclass

from yamori.model.errors import Invalid
from yamori.model.filter import Filter

_INTERFACE = re.compile(r"[A-Za-z0-9_.:-]{1,15}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A Filter, and the interface whose packets it decides. The interface need not be there yet."""

    interface: str
    filter: Filter


def check_interface(untrusted_name: str) -> None:
    """Raise Invalid unless this can be an interface of a VM: no wildcard, no path, not too long."""
    if _INTERFACE.fullmatch(untrusted_name) is None or untrusted_name in (".", ".."):
        raise Invalid("an interface's name is up to 15 of letters, digits and _ . : -")


def is_here(interface: str) -> bool:
    """Say whether an interface of this name is in the calling thread's network namespace."""
    try:
        socket.if_nametoindex(interface)
    except OSError:
        return False
    return True
