"""One logged-in session with the server: what was found when it was opened, and how it is opened and ended."""

import contextlib
import re
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyVmomi import vim
from pyVmomi.VmomiSupport import versionMap

from yamori.drivers.vsphere.failure import FAULTS, TRANSPORT
from yamori.drivers.vsphere.wire import Garbled, Wire
from yamori.drivers.vsphere.words import clean
from yamori.model.errors import Unsupported

OLDEST = (6, 5)
_FIRST = "vim25/6.5"
_GOODBYE_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A session. ``view`` holds all VMs and hosts that the account may see; it dies with the session.

    ``product`` is bounded text to show, ``server_id`` the server's own id, ``vcenter`` False for a single ESXi.
    """

    wire: Wire
    content: Any
    view: Any
    product: str
    server_id: str
    vcenter: bool

    def here(self, ref: Any) -> Any:
        """The same object of the server, for calls over this link: references outlive the link they came by."""
        kind: Any = type(ref)
        return kind(ref._moId, self.wire)


def open_link(wire: Wire, user: str, password: str) -> Link:
    """Choose the newest API version that both sides know, and log in; blocks.

    Raises faults, failures of the transport, and Unsupported for a server that is too old. Closes the wire then.
    """
    try:
        content = vim.ServiceInstance("ServiceInstance", wire).RetrieveContent()
        about = content.about
        wire.ComputeVersionInfo(versionMap[_version(str(about.apiVersion))])
        content.sessionManager.Login(user, password)
        view = content.viewManager.CreateContainerView(
            container=content.rootFolder, type=[vim.VirtualMachine, vim.HostSystem], recursive=True
        )
        return Link(
            wire=wire,
            content=content,
            view=view,
            product=clean(f"{about.name} {about.version}", 80),
            server_id=clean(about.instanceUuid or "", 64),
            vcenter=about.apiType == "VirtualCenter",
        )
    except AttributeError as error:  # a part of the content that the API promises is not there
        wire.close()
        raise Garbled(f"the server does not tell what it is: {error}"[:200]) from None
    except BaseException:
        wire.close()
        raise


def log_out(link: Link, before: Sequence[Callable[[Link], None]] = ()) -> None:
    """End the session on the server, so that it does not count until it idles out; blocks a moment."""
    for last in (*before, _say_goodbye):
        with contextlib.suppress(*FAULTS, *TRANSPORT), link.wire.within(_GOODBYE_SECONDS):
            last(link)
    link.wire.close()


def new_wire(host: str, port: int, tls: ssl.SSLContext) -> Wire:
    """A way to the server, not connected yet, with the oldest API version that is spoken here."""
    return Wire(host, port, tls, versionMap[_FIRST])


def _say_goodbye(link: Link) -> None:
    link.content.sessionManager.Logout()


def time_of(link: Link) -> float:
    """The server's clock, in seconds since 1970: also a sign of life that costs it nothing. Raises faults."""
    now = vim.ServiceInstance("ServiceInstance", link.wire).CurrentTime()
    if not isinstance(now, datetime) or now.tzinfo is None:
        raise Garbled("the server does not know what time it is")
    return now.timestamp()


def _version(untrusted_version: str) -> str:
    """The newest version that pyVmomi knows and that is not above the server's. Raises Unsupported."""
    told = _numbers(untrusted_version)
    if told is None:
        raise Garbled("the server tells no API version")
    if told[:2] < OLDEST:
        raise Unsupported("vsphere", f"the server speaks API {'.'.join(map(str, told))}, 6.5 is the oldest known")
    known = {numbers: name for name in versionMap if (numbers := _numbers(name.removeprefix("vim25/")))}
    return str(known[max(numbers for numbers in known if numbers <= told)])


def _numbers(version: str) -> tuple[int, ...] | None:
    if not re.fullmatch(r"\d{1,4}(\.\d{1,6}){0,4}", version):
        return None
    return tuple(int(part) for part in version.split("."))
