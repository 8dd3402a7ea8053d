"""A host of a lab with real guests for a benchmark: one made for it and cleared again, or one that is up."""

import asyncio
import contextlib
import secrets
import signal
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from yamori.bench.result import LabWish, Progress
from yamori.drivers.libvirt.connection import Connection
from yamori.drivers.libvirt.settings import LibvirtSettings
from yamori.lab import guest
from yamori.lab.host import Host
from yamori.lab.lab import Lab, clear_lab
from yamori.lab.leftovers import find_leftovers
from yamori.lab.spec import LabSpec
from yamori.lab.xen.host import XenHost
from yamori.model.errors import Invalid
from yamori.model.ids import EndpointName

T = TypeVar("T")

_PREFIX = "bench-"
_PATIENT = {"connect_s": 60, "read_s": 120, "act_s": 180}
"""An emulated machine that shares its cores answers late; a bound all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabHost:
    """A host to measure. ``ours``: it was made for this, so that its guests may be ended."""

    lab: Lab
    host: Host | XenHost
    ours: bool

    @property
    def guests(self) -> list[str]:
        """Names of its guests."""
        return [plan.name for plan in self.lab.spec.guests() if plan.host == self.host.name]

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        """A connection as a fleet would have it: over TLS, with the lab's certificates."""
        told = next(each for each in self.lab.fleet_config()["endpoints"] if each["name"] == self.host.name)
        given = {key: value for key, value in told.items() if key not in ("name", "driver")}
        settings = LibvirtSettings.model_validate({**given, "timeouts": _PATIENT})
        connection = Connection(EndpointName(self.host.name), settings)
        try:
            yield connection
        finally:
            await connection.close()

    async def end(self, names: Sequence[str]) -> None:
        """End guests, to measure with fewer. Raises Failed."""
        await asyncio.to_thread(self._end, names)

    def _end(self, names: Sequence[str]) -> None:
        with guest.connection(self.host) as opened:
            for name in names:
                opened.lookupByName(name).destroy()


@contextlib.asynccontextmanager
async def lab_host(
    wish: LabWish, progress: Progress, spec: Callable[[str], LabSpec], *, xen: bool
) -> AsyncIterator[LabHost]:
    """The host. A lab of ours is cleared at the end whatever happens, as are those of benchmarks that were killed.

    Raises NotPermitted without root, Unsupported when the machine lacks something, Invalid for a lab without
    such a host, NotFound when the named lab is not up.
    """
    if wish.lab is not None:
        if wish.guests is not None:
            raise Invalid("a lab that is up has the guests that it has", mend="leave --guests or --lab out")
        lab = Lab.open(wish.lab)
        names = lab.spec.xen_host_names() if xen else lab.spec.host_names()
        if not names:
            kind = "Xen" if xen else "QEMU"
            raise Invalid(
                f"lab {wish.lab} has no {kind} host", mend="leave --lab out: the benchmark makes its own"
            )
        yield LabHost(lab=lab, host=lab.host(names[0]), ours=False)
        return
    wanted = spec(f"{_PREFIX}{secrets.token_hex(4)}")
    for left in await asyncio.to_thread(find_leftovers):
        if left.name.startswith(_PREFIX):
            progress(f"collect: clearing {left.name}, which a benchmark that was killed has left")
            await clear_lab(left.name)
    progress(f"collect: lab {wanted.name}")
    try:
        lab = await Lab.up(wanted, progress=lambda text: progress(f"collect: {text}"))
        host = next(iter(lab.hosts.values()))
        yield LabHost(lab=lab, host=host, ours=True)
    finally:
        cleared = await clear_lab(wanted.name)
        if cleared.anything:
            progress(f"collect: lab {wanted.name} is cleared")


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Run; SIGTERM ends it as Ctrl-C does, with everything cleared."""
    with _terminated_in_order():
        return asyncio.run(work)


@contextlib.contextmanager
def _terminated_in_order() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
