"""A lab as a whole: bring it up, use it, clear it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

from yamori.lab import build, clearing, network, shaping, slot, wire
from yamori.lab.attack import DEFAULT_SECONDS, AttackKind, attack_line
from yamori.lab.clearing import Cleared
from yamori.lab.host import Host
from yamori.lab.layout import STATE_ROOT, Layout
from yamori.lab.registry import Registry
from yamori.lab.spec import GuestPlan, LabSpec
from yamori.lab.vsphere import VCenter
from yamori.lab.xen.domain import SLICES
from yamori.lab.xen.host import XenHost
from yamori.model.errors import Conflict, NotFound

Progress = Callable[[str], None]


def _silent(_: str) -> None:
    """No progress wanted."""


class Lab:
    """A running lab. Make one with ``Lab.up``, find one that another process made with ``Lab.open``."""

    def __init__(self, spec: LabSpec, layout: Layout, registry: Registry) -> None:
        self.spec = spec
        self.layout = layout
        self.registry = registry
        self.hosts: dict[str, Host | XenHost] = {
            name: XenHost(spec, layout, registry, name=name, index=index)
            if name in spec.xen_host_names()
            else Host(layout, registry, name=name, index=index)
            for index, name in enumerate(spec.all_host_names())
        }
        self.vcenter = _vcenter(layout, registry) if spec.vcenter else None
        self.guests = {plan.name: plan for plan in spec.guests()}

    @classmethod
    async def up(cls, spec: LabSpec, *, progress: Progress = _silent) -> Lab:
        """Make the lab and wait until every guest serves; on any error all that was made is cleared again.

        ``progress`` gets one short line a step, in the event loop's thread.

        Raises Conflict when the name is taken, Unsupported when the machine lacks something, Failed otherwise.
        """
        stop, loop = threading.Event(), asyncio.get_running_loop()

        def tell(text: str) -> None:
            loop.call_soon_threadsafe(progress, text)

        work = asyncio.create_task(asyncio.to_thread(cls._make, spec, tell, stop))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([work])
            if not work.cancelled() and work.exception() is None:
                await work.result().down()
            raise

    @classmethod
    def _make(cls, spec: LabSpec, progress: Progress, stop: threading.Event) -> Lab:
        with slot.locked(spec.name):
            if (STATE_ROOT / spec.name).exists():
                raise Conflict(f"lab {spec.name!r} exists", mend=f"yamori lab down {spec.name}")
            layout = Layout(name=spec.name, slot=slot.take(spec.name))
            lab = cls(spec, layout, Registry(layout.registry))
            try:
                build.build(
                    spec, layout, lab.registry, list(lab.hosts.values()), lab.vcenter, progress=progress, stop=stop
                )
            except BaseException:
                clearing.clear(spec.name)
                raise
        return lab

    @classmethod
    def open(cls, name: str) -> Lab:
        """A lab that exists; raises NotFound when there is none of this name or it is not (yet) up."""
        registry = Registry(STATE_ROOT / name / "registry.jsonl")
        if not registry.path.exists() or registry.state() != "up":
            raise NotFound(f"no lab {name!r} is up")
        head = registry.lab()
        layout = Layout(name=name, slot=int(head.details["slot"]))
        return cls(LabSpec.from_record(head.details["spec"]), layout, registry)

    async def down(self) -> Cleared:
        """Clear this lab; see ``clear_lab``."""
        return await clear_lab(self.spec.name)

    def guest(self, name: str) -> GuestPlan:
        """A guest by name; raises NotFound."""
        try:
            return self.guests[name]
        except KeyError:
            raise NotFound(f"lab {self.spec.name} has no guest {name!r}") from None

    def host(self, name: str) -> Host | XenHost:
        """A host by name; raises NotFound."""
        try:
            return self.hosts[name]
        except KeyError:
            raise NotFound(f"lab {self.spec.name} has no host {name!r}") from None

    def xen_host(self, name: str) -> XenHost:
        """A Xen host by name; raises NotFound, also when the host is another kind."""
        found = self.host(name)
        if not isinstance(found, XenHost):
            raise NotFound(f"{name} is no Xen host")
        return found

    def guest_address(self, name: str) -> str:
        """Address of a guest in the guests' network."""
        return self.layout.guest_address(self.guest(name).number)

    async def attack(
        self, guest: str, kind: AttackKind, *, threads: int | None = None, seconds: int = DEFAULT_SECONDS
    ) -> None:
        """Let a guest turn on its neighbours; it stops by itself after ``seconds`` whatever happens outside."""
        await self._command(guest, attack_line(kind, threads=threads, seconds=seconds))

    async def stop_attack(self, guest: str) -> None:
        """End the guest's attack; no error when none runs."""
        await self._command(guest, "stop")

    async def attack_of(self, guest: str) -> AttackKind | None:
        """The attack that runs in the guest at this moment."""
        reply = await self._command(guest, "status")
        return AttackKind(reply.split()[1]) if reply.startswith("attacking ") else None

    async def _command(self, guest: str, line: str) -> str:
        space, address = self.layout.switch_namespace, self.guest_address(guest)
        return await asyncio.to_thread(wire.command, space, address, line)

    def cut_link(self, host: str) -> None:
        """Cut a host's management and migration wire; guests' traffic and storage stay."""
        network.set_management_link(self.layout, self.host(host).name, up=False)

    def heal_link(self, host: str) -> None:
        """Join the wire again."""
        network.set_management_link(self.layout, self.host(host).name, up=True)

    def fleet_config(self) -> dict[str, Any]:
        """Configuration of this fleet for ``yamori up --config``."""
        endpoints = [self._endpoint(host) for host in self.hosts.values()]
        if self.vcenter is not None:
            endpoints.append(self.vcenter.endpoint())
        return {"endpoints": endpoints}

    def _endpoint(self, host: Host | XenHost) -> dict[str, Any]:
        found: dict[str, Any] = {
            "name": host.name,
            "driver": "libvirt",
            "uri": host.uri,
            "pki": str(self.layout.client_pki),
            "migrate_to": {"address": host.address},
            "shared_paths": [SLICES if isinstance(host, XenHost) else str(self.layout.fabric)],
            "site": "lab",
        }
        budget = self.registry.fact(f"memory {host.name}")
        if budget is not None:
            memory = int(budget["budget_mib"]) << 20
            found["capacity"] = {"cpus": self.spec.host_cpus, "memory_bytes": memory}
        if isinstance(host, Host) and (lacking := shaping.without()):
            found["without"] = lacking
        return found


def _vcenter(layout: Layout, registry: Registry) -> VCenter:
    return VCenter(
        directory=layout.host_directory("vcenter"),
        registry=registry,
        address=layout.vcenter_address,
        namespace=layout.switch_namespace,
    )


async def clear_lab(name: str, *, patience_seconds: float = 30.0) -> Cleared:
    """Clear a lab by its record, whoever made it and however far it came; nothing to clear is no error.

    Raises Conflict when another process makes or clears it for longer than the patience, Failed when
    something resists.
    """
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            return await asyncio.to_thread(_clear_locked, name)
        except Conflict:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)


def _clear_locked(name: str) -> Cleared:
    with slot.locked(name):
        return clearing.clear(name)
