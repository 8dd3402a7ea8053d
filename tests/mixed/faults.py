"""What goes wrong in a mixed fleet: each fault is brought about for real, and mended."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.drivers.vsphere.by_hand import VCenterByHand
from yamori.lab.lab import Lab
from yamori.lab.xen.agent import XenAgent

KVM, XEN, VCENTER = "host-a", "xen-a", "vcenter"
CUT_S = 35.0
"""Longer than libvirt's keep-alive needs to notice."""
DEAD_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One fault. ``gap``: it must be seen as a gap; one that is over within a call need not be."""

    name: str
    endpoint: str
    strike: Callable[[], Awaitable[None]]
    gap: bool


def troubles(lab: Lab, agent: XenAgent) -> list[Trouble]:
    """Return all that will go wrong, in turn."""

    def daemon_killed(host: str) -> Callable[[], Awaitable[None]]:
        async def strike() -> None:
            await asyncio.to_thread(lab.host(host).restart_libvirtd, kill=True)

        return strike

    def cut(host: str) -> Callable[[], Awaitable[None]]:
        async def strike() -> None:
            await asyncio.to_thread(lab.cut_link, host)
            try:
                await asyncio.sleep(CUT_S)
            finally:
                await asyncio.to_thread(lab.heal_link, host)

        return strike

    async def agent_killed() -> None:
        await asyncio.to_thread(agent.kill)
        await asyncio.sleep(DEAD_S)
        await asyncio.to_thread(agent.start)

    async def session_ended() -> None:
        await asyncio.to_thread(_end_sessions, lab)

    return [
        Trouble(name="libvirtd killed", endpoint=KVM, strike=daemon_killed(KVM), gap=False),
        Trouble(name="vCenter session ended", endpoint=VCENTER, strike=session_ended, gap=False),
        Trouble(name="agent killed", endpoint=XEN, strike=agent_killed, gap=True),
        Trouble(name="network cut", endpoint=KVM, strike=cut(KVM), gap=True),
        Trouble(name="libvirtd killed", endpoint=XEN, strike=daemon_killed(XEN), gap=False),
        Trouble(name="network cut", endpoint=XEN, strike=cut(XEN), gap=True),
    ]


def _end_sessions(lab: Lab) -> None:
    assert lab.vcenter is not None
    by_hand = VCenterByHand(lab.vcenter)
    try:
        told = by_hand.get(by_hand.content.sessionManager, "sessionList")
        others = [each.key for each in told if each.key != by_hand.session.key]
        assert others, "Yamori has no session to end"
        by_hand.content.sessionManager.TerminateSession(others)
    finally:
        by_hand.close()
