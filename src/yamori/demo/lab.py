"""The stage of real hypervisors and real guests on this machine."""

import asyncio
import math
import time
from collections.abc import Mapping
from importlib import resources
from typing import Any

from yamori.control.facade import Facade
from yamori.demo.settings import Setting
from yamori.demo.stage import Progress, Service
from yamori.lab.attack import AttackKind
from yamori.lab.lab import Lab, clear_lab
from yamori.lab.leftovers import find_leftovers
from yamori.lab.service import ServiceProbe
from yamori.lab.xen.agent import XenAgent
from yamori.model.errors import Conflict, TimedOut, YamoriError

ATTACK_S = 240
"""The guest itself ends an attack after this, whatever becomes of us."""
GIVEN_UP_S = 5.0
"""What a request that was never answered counts as."""
SETTLE_S = 12.0
"""Pages that were touched only while booting are written out first, and working sets come back."""
AGENTS_PORT = 8471
AGENT_LIMIT_S = 120.0
"""An agent in an emulated dom0 takes long to load its libraries."""


class LabStage:
    """Real hosts of one family with their guests, whose disks are on an array of finite speed."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._spec = setting.spec
        self._lab: Lab | None = None
        self._probe: ServiceProbe | None = None
        self._told = 0

    @property
    def title(self) -> str:
        """What this stage is."""
        return f"lab: {self._setting.hosts}, {len(self._spec.guests())} guests"

    async def up(self, progress: Progress) -> None:
        """Build hosts and guests; measure the guests' service from then on. Raises Unsupported, Failed."""

        def tell(text: str) -> None:
            self._told += 1
            progress(text, min(0.95, self._told / self._setting.steps))

        if any(left.name == self._spec.name for left in await asyncio.to_thread(find_leftovers)):
            progress("clearing what a story that was killed has left", 0.0)
            await clear_lab(self._spec.name)
        self._lab = await Lab.up(self._spec, progress=tell)
        self._probe = ServiceProbe(self._lab, load=self._setting.load)
        await asyncio.to_thread(self._probe.start)
        progress("the guests' services warm up", 0.97)
        await asyncio.sleep(SETTLE_S)
        progress("the lab is up, every guest serves", 1.0)

    def fleet(self) -> dict[str, Any]:
        """Return the configuration."""
        lab = self._there()
        fleet = lab.fleet_config()
        for endpoint in fleet["endpoints"]:
            if endpoint["name"] in self._spec.xen_host_names():
                endpoint["agent"] = "remote"
        return {
            "tick_s": self._setting.tick_s,
            "recording": {"enabled": False},
            "modules": {"guard": self._setting.guard},
            "agents": {"listen": f"{lab.layout.root_address}:{AGENTS_PORT}"},
            **fleet,
        }

    async def join(self, facade: Facade, progress: Progress) -> None:
        """Bring an agent to each host that wants one; wait until all are connected. Raises TimedOut, Failed."""
        for name in self._spec.xen_host_names():
            progress(f"the agent of {name}", 0.99)
            agent = XenAgent(self._there().xen_host(name))
            await asyncio.to_thread(agent.install)
            invitation = await facade.invite_agent(name, by="demo")
            await asyncio.to_thread(agent.enrol, invitation.controller, invitation.token)
            await asyncio.to_thread(agent.start)
        deadline = self.now() + AGENT_LIMIT_S
        while not all(view.connected for view in await facade.agents()):
            if self.now() > deadline:
                raise TimedOut(f"not all agents connected within {AGENT_LIMIT_S:.0f} s")
            await self.sleep(0.5)

    def policy(self) -> str:
        """Return the lab's policy: what such guests can be promised, and that their offenders are held."""
        return resources.files("yamori.demo").joinpath(self._setting.policy).read_text(encoding="utf-8")

    def offenders(self) -> Mapping[str, str]:
        """Return who turns noisy."""
        return self._setting.offenders

    async def attack(self, vm: str, kind: str) -> None:
        """Let a guest turn on its neighbours."""
        await self._there().attack(vm, AttackKind(kind), seconds=ATTACK_S)

    async def stop_attack(self, vm: str) -> None:
        """Let it be quiet again."""
        await self._there().stop_attack(vm)

    def service(self, vm: str, since: float, until: float) -> Service:
        """Return how a guest answered, as measured from the lab's switch."""
        if self._probe is None:
            return Service(asked=0, answered=0, p50_s=None, p95_s=None)
        stats = self._probe.window(since, until)[vm]
        return Service(
            asked=stats.asked,
            answered=stats.answered,
            p50_s=_seconds(stats.latency_p50),
            p95_s=_seconds(stats.latency_p95),
        )

    def now(self) -> float:
        """Return the machine's monotonic clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def down(self) -> tuple[str, ...]:
        """Take everything away; return what could not be."""
        if self._probe is not None:
            await asyncio.to_thread(self._probe.stop)
            self._probe = None
        if self._lab is None:
            return ()
        try:
            await clear_lab(self._spec.name)
        except YamoriError as error:
            return (str(error),)
        self._lab = None
        return ()

    def _there(self) -> Lab:
        if self._lab is None:
            raise Conflict("the lab is not up")
        return self._lab


def _seconds(value: float) -> float | None:
    if math.isnan(value):
        return None
    return min(value, GIVEN_UP_S)
