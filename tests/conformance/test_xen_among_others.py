"""A real Xen host in a real world: other hands at work, strangers at the door, management that dies under load."""

import asyncio
import contextlib
import time
import uuid

import libvirt
import pytest

from tests.gate import Gate
from tests.lab_session import settings_of
from tests.xen_session import HOST, PATIENT, Whole, XenLoad, share
from yamori.capabilities.session import Session
from yamori.drivers.libvirt import DRIVER
from yamori.lab.lab import Lab
from yamori.lab.pki import Authority, write_client
from yamori.lab.xen.host import XenHost
from yamori.model.change import ChangeKind
from yamori.model.errors import NotFound, Unreachable, YamoriError
from yamori.model.ids import EndpointName, VMId
from yamori.model.limits import LimitKind
from yamori.model.vm import PowerState
from yamori.testing.conformance.changes import Listener
from yamori.testing.conformance.patience import Eventually

pytestmark = [pytest.mark.lab, pytest.mark.xen, pytest.mark.full, pytest.mark.timeout(1200)]
HELD = 0.25
LAPSE_S, AWAY_S = 45.0, 300.0


class TestHands(Whole):
    async def test_limits_set_by_hand_are_read_as_they_are(
        self, host: XenHost, session: Session, vm: VMId
    ) -> None:
        assert session.sensing.limits is not None
        host.run(["xl", "sched-credit2", "-d", self.guest, "-w", "512", "-c", "40"])
        try:
            found = (await session.sensing.limits.read(vm)).values
        finally:
            host.run(["xl", "sched-credit2", "-d", self.guest, "-w", "256", "-c", "0"])
        assert found[LimitKind.CPU_CAP] == pytest.approx(0.4)
        assert found[LimitKind.CPU_WEIGHT] == pytest.approx(2.0)

    async def test_a_vm_defined_by_hand_is_seen_told_and_forgotten_when_it_is_gone(
        self, host: XenHost, session: Session, eventually: Eventually
    ) -> None:
        name, vm = "by-hand", VMId(str(uuid.uuid4()))
        xml = f"""<domain type='xen'><name>{name}</name><uuid>{vm}</uuid><memory unit='MiB'>32</memory>
          <vcpu>1</vcpu><os><type>linux</type><kernel>/nowhere</kernel></os></domain>"""
        assert session.sensing.changes is not None
        await session.sensing.inventory.read()
        listener = Listener(session.sensing.changes)
        await eventually.moment()
        link = await asyncio.to_thread(libvirt.open, host.local_uri)
        try:
            await asyncio.to_thread(link.defineXML, xml)
            found = {v.id: v for v in (await session.sensing.inventory.read()).vms}
            assert found[vm].state is PowerState.STOPPED
            await asyncio.to_thread(lambda: link.lookupByUUIDString(vm).undefine())
        finally:
            link.close()
        assert vm not in {v.id for v in (await session.sensing.inventory.read()).vms}
        with pytest.raises(NotFound):
            await session.sensing.inventory.vm(vm)

        async def told() -> bool:
            return listener.kinds(vm) == [ChangeKind.DEFINED, ChangeKind.UNDEFINED]

        await eventually(told, "its coming and going were told")
        await listener.stop()


async def test_a_wrong_client_certificate_is_unreachable_and_says_so(
    xen: Lab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("stranger")
    write_client(Authority("stranger"), folder)
    session = await DRIVER.connect(EndpointName(HOST), settings_of(xen, HOST, **PATIENT | {"pki": str(folder)}))
    try:
        with pytest.raises(Unreachable, match="certificate"):
            await session.sensing.inventory.read()
    finally:
        await session.close()


class TestManagementKilled(Whole):
    async def test_a_held_guest_stays_held_while_libvirtd_and_the_agent_die_under_it(
        self,
        xen: Lab,
        host: XenHost,
        door: Gate,
        session: Session,
        vm: VMId,
        load: XenLoad,
        eventually: Eventually,
    ) -> None:
        assert session.acting.limits is not None
        assert session.sensing.limits is not None
        reader = session.sensing.limits
        await load.burn(vm, "cpu")
        try:
            await session.acting.limits.set(vm, {LimitKind.CPU_CAP: HELD}, lapse_s=600)
            await asyncio.to_thread(door.kill, HOST)
            await asyncio.to_thread(host.restart_libvirtd, kill=True)
            told = await _limits(session, vm)
            assert told is None or told[LimitKind.CPU_CAP] == pytest.approx(HELD), "it was read wrongly in the gap"
            assert LimitKind.DISK_IOPS not in (told or {}), "what only the agent knows was made up"
            assert await share(host, self.guest) <= HELD * 1.2
            await asyncio.to_thread(door.start, HOST)

            async def whole() -> bool:
                limits = await _limits(session, vm)
                return limits is not None and LimitKind.DISK_IOPS in limits

            await eventually(whole, "all limits can be read again")
            assert (await reader.read(vm)).values[LimitKind.CPU_CAP] == pytest.approx(HELD)
            assert {v.id for v in (await session.sensing.inventory.read()).vms} >= {vm}
            await session.acting.limits.set(vm, {LimitKind.CPU_CAP: None})
            assert await share(host, self.guest) >= HELD * 1.6
        finally:
            await load.rest(vm)


class TestControllerGone(Whole):
    async def test_five_minutes_without_a_controller_end_what_was_to_end_and_nothing_else(
        self, host: XenHost, door: Gate, session: Session, vm: VMId
    ) -> None:
        assert session.acting.limits is not None
        assert session.sensing.limits is not None
        await session.acting.limits.set(vm, {LimitKind.CPU_CAP: HELD}, lapse_s=LAPSE_S)
        await session.acting.limits.set(vm, {LimitKind.CPU_WEIGHT: 2.0})
        pid = await asyncio.to_thread(host.run, ["pgrep", "-f", "yamori.agent run"])
        began = time.monotonic()
        await asyncio.to_thread(door.leave)
        try:
            assert credit(host, self.guest) == (512, 25)
            await asyncio.sleep(LAPSE_S + 15)
            assert credit(host, self.guest) == (512, 0), "only what was to end has ended, and it has"
            await asyncio.sleep(max(0.0, AWAY_S - (time.monotonic() - began)))
        finally:
            await asyncio.to_thread(door.come_back, HOST)
        assert await asyncio.to_thread(host.run, ["pgrep", "-f", "yamori.agent run"]) == pid, "it was restarted"
        found = (await session.sensing.limits.read(vm)).values
        assert found[LimitKind.CPU_CAP] is None
        assert found[LimitKind.CPU_WEIGHT] == pytest.approx(2.0)
        await session.acting.limits.set(vm, {LimitKind.CPU_WEIGHT: None})


def credit(host: XenHost, name: str) -> tuple[int, int]:
    """A guest's weight and cap, as Xen says."""
    for line in host.run(["xl", "sched-credit2", "-d", name]).splitlines():
        told = line.split()
        if told[:1] == [name]:
            return int(told[2]), int(told[3])
    raise AssertionError(f"Xen has no domain {name}")


async def _limits(session: Session, vm: VMId) -> dict[LimitKind, float | None] | None:
    """All limits that can be read at this moment, None while none can."""
    assert session.sensing.limits is not None
    with contextlib.suppress(YamoriError):
        return dict((await session.sensing.limits.read(vm)).values)
    return None
