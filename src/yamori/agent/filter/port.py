"""Where a Filter holds: the interface on this host that is a VM's card."""

import re
import socket
from dataclasses import dataclass

from yamori.model.errors import Invalid
from yamori.model.filter import Filter

_INTERFACE = re.compile(r"[A-Za-z0-9_.:-]{1,15}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A Filter, and the interface whose packets it decides. The interface need not be there yet.

    ``detoured``: what comes from the guest goes round by another interface (act_mirred to an ifb, which queues it)
    and so misses the hooks at its own. Say so before the detour is made, and until after it is gone: what is not
    said is dropped by the fence.
    """

    interface: str
    filter: Filter
    detoured: bool = False


def check_interface(untrusted_name: str) -> None:
    """Raise Invalid unless this can be an interface of a VM: no wildcard, no path, not too long."""
    if _INTERFACE.fullmatch(untrusted_name) is None or untrusted_name in (".", ".."):
        raise Invalid("an interface's name is up to 15 of letters, digits and _ . : -")


def index_of(interface: str) -> int:
    """Return the number of an interface in the calling thread's network namespace, 0 if there is none."""
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        return 0
