"""Real hosts: what other hands do is seen, and what befalls one host stays with it."""

import asyncio
import contextlib
import gc
import itertools
import signal
import uuid

import libvirt
import numpy as np
import pytest

from tests.by_hand import ByHand
from tests.drivers.libvirt.conftest import AWAY, HOME, Open
from yamori.capabilities.sensing.usage import Column
from yamori.capabilities.session import Session
from yamori.lab.lab import Lab
from yamori.lab.spec import GuestPlan
from yamori.model.change import ChangeKind
from yamori.model.errors import Conflict, NotFound, TimedOut, Unreachable, YamoriError
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind
from yamori.model.vm import PowerState
from yamori.testing.conformance.changes import Listener
from yamori.testing.conformance.patience import Eventually

pytestmark = pytest.mark.lab

LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE
IMPATIENT = {"connect_s": 5, "read_s": 2, "act_s": 5}


async def _reads(session: Session) -> bool:
    try:
        return bool((await session.sensing.inventory.read()).vms)
    except YamoriError:
        return False


async def test_a_vm_defined_by_hand_is_seen_told_and_forgotten_when_it_is_gone(
    here: Session, by_hand: ByHand, eventually: Eventually
) -> None:
    name, vm = "by-hand", VMId(str(uuid.uuid4()))
    xml = f"""<domain type='qemu'><name>{name}</name><uuid>{vm}</uuid><memory unit='MiB'>32</memory><vcpu>1</vcpu>
      <metadata><y:vm xmlns:y='https://yamori.dev/xmlns/vm/1' tenant='t' sla='silver'/></metadata>
      <os><type arch='x86_64' machine='pc'>hvm</type></os></domain>"""
    assert here.sensing.changes is not None
    await here.sensing.inventory.read()
    listener = Listener(here.sensing.changes)
    await eventually.moment()
    try:
        await asyncio.to_thread(by_hand.on, HOME, lambda link: link.defineXML(xml) and None)
        found = {v.id: v for v in (await here.sensing.inventory.read()).vms}
        assert found[vm].state is PowerState.STOPPED
        assert found[vm].labels == {"tenant": "t", "sla": "silver"}
    finally:
        await asyncio.to_thread(by_hand.ask, HOME, vm, lambda d: d.undefine())
    assert vm not in {v.id for v in (await here.sensing.inventory.read()).vms}
    with pytest.raises(NotFound):
        await here.sensing.inventory.vm(vm)

    async def told() -> bool:
        return listener.kinds(vm) == [ChangeKind.DEFINED, ChangeKind.UNDEFINED]

    await eventually(told, "its coming and going were told")
    await listener.stop()


async def test_limits_set_by_hand_are_read_as_they_are(here: Session, by_hand: ByHand, vm: VMId) -> None:
    assert here.sensing.limits is not None
    by_hand.ask(HOME, vm, lambda d: d.setSchedulerParametersFlags({"vcpu_quota": 30_000, "cpu_shares": 256}, LIVE))
    by_hand.ask(HOME, vm, lambda d: d.setBlockIoTune("vda", {"total_iops_sec": 77}, LIVE))
    found = (await here.sensing.limits.read(vm)).values
    assert found[LimitKind.CPU_CAP] == pytest.approx(0.3)
    assert found[LimitKind.CPU_WEIGHT] == pytest.approx(0.25)
    assert found[LimitKind.DISK_IOPS] == 77
    assert found[LimitKind.DISK_BANDWIDTH] is None


async def test_a_cap_set_by_hand_on_each_vcpu_comes_back_exactly(here: Session, by_hand: ByHand, vm: VMId) -> None:
    assert here.acting.limits is not None
    by_hand.ask(HOME, vm, lambda d: d.setSchedulerParametersFlags({"vcpu_quota": 50_000}, LIVE))
    before = by_hand.ask(HOME, vm, lambda d: d.schedulerParametersFlags(LIVE))
    await here.acting.limits.set(vm, {LimitKind.CPU_CAP: 0.2})
    assert by_hand.ask(HOME, vm, lambda d: d.schedulerParametersFlags(LIVE))["vcpu_quota"] == 20_000
    await here.acting.limits.set(vm, {LimitKind.CPU_CAP: 0.5})
    assert by_hand.ask(HOME, vm, lambda d: d.schedulerParametersFlags(LIVE)) == before


async def test_a_limit_on_reads_alone_is_told_as_such_and_left_alone(
    here: Session, by_hand: ByHand, vm: VMId
) -> None:
    assert here.acting.limits is not None
    assert here.sensing.limits is not None
    by_hand.ask(HOME, vm, lambda d: d.setBlockIoTune("vda", {"read_iops_sec": 50}, LIVE))
    try:
        assert "reads are limited to 50" in (await here.sensing.limits.read(vm)).unknown[LimitKind.DISK_IOPS]
        before = by_hand.ask(HOME, vm, lambda d: d.blockIoTune("vda", LIVE))
        with pytest.raises(Conflict, match="vda"):
            await here.acting.limits.set(vm, {LimitKind.CPU_CAP: 0.5, LimitKind.DISK_IOPS: 10})
        assert by_hand.ask(HOME, vm, lambda d: d.blockIoTune("vda", LIVE)) == before
        assert (await here.sensing.limits.read(vm)).values[LimitKind.CPU_CAP] is None
        await here.acting.limits.set(vm, {LimitKind.DISK_BANDWIDTH: 1e6})
        assert by_hand.ask(HOME, vm, lambda d: d.blockIoTune("vda", LIVE))["read_iops_sec"] == 50
    finally:
        by_hand.ask(HOME, vm, lambda d: d.setBlockIoTune("vda", {"read_iops_sec": 0}, LIVE))


async def test_a_burst_allowance_goes_when_a_limit_is_set(here: Session, by_hand: ByHand, vm: VMId) -> None:
    assert here.acting.limits is not None
    burst = {"total_iops_sec": 100, "total_iops_sec_max": 500, "total_iops_sec_max_length": 30}
    by_hand.ask(HOME, vm, lambda d: d.setBlockIoTune("vda", burst, LIVE))
    await here.acting.limits.set(vm, {LimitKind.DISK_IOPS: 50})
    tuning = by_hand.ask(HOME, vm, lambda d: d.blockIoTune("vda", LIVE))
    assert (tuning["total_iops_sec"], tuning["total_iops_sec_max"]) == (50, 0)


async def test_limits_are_live_only_so_that_a_restart_forgets_them(
    here: Session, by_hand: ByHand, vm: VMId
) -> None:
    assert here.acting.limits is not None
    before = by_hand.ask(HOME, vm, lambda d: d.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    wanted = {LimitKind.CPU_CAP: 0.5, LimitKind.DISK_IOPS: 100.0, LimitKind.CPU_WEIGHT: 0.5}
    await here.acting.limits.set(vm, wanted)
    assert by_hand.ask(HOME, vm, lambda d: d.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)) == before


async def test_one_bulk_call_reads_all_vms(here: Session, vm: VMId, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    real = libvirt.virConnect.getAllDomainStats

    def counted(self: libvirt.virConnect, stats: int = 0, flags: int = 0) -> object:
        calls.append(stats)
        return real(self, stats, flags)

    monkeypatch.setattr(libvirt.virConnect, "getAllDomainStats", counted)
    assert here.sensing.usage is not None
    frame = await here.sensing.usage.read()
    assert len(calls) == 1
    assert len(frame.vms) >= 2


async def test_libvirtd_may_be_killed_in_mid_run(
    here: Session, lab: Lab, vm: VMId, eventually: Eventually
) -> None:
    assert here.sensing.changes is not None
    assert here.sensing.usage is not None
    before = await here.sensing.usage.read()
    listener = Listener(here.sensing.changes)
    await eventually.moment()
    await asyncio.to_thread(lab.hosts[HOME].restart_libvirtd, kill=True)

    async def over() -> bool:
        return listener.task.done()

    await eventually(over, "the watch ended")
    with pytest.raises(Unreachable):
        await listener.task

    async def back() -> bool:
        return await _reads(here)

    await eventually(back, "the host is read again")
    after = await here.sensing.usage.read()
    row, old = after.values[after.vms.index(vm)], before.values[before.vms.index(vm)]
    assert row[Column.RUNNING] == 1.0
    assert row[Column.CPU_TIME] >= old[Column.CPU_TIME]


async def test_a_frozen_libvirtd_stalls_its_own_endpoint_only(
    open_session: Open, lab: Lab, eventually: Eventually
) -> None:
    good, bad = await open_session(HOME), await open_session(AWAY, timeouts=IMPATIENT)
    assert await _reads(good)
    assert await _reads(bad)
    lab.hosts[AWAY].freeze()
    try:
        hanging = [asyncio.create_task(bad.sensing.inventory.read()) for _ in range(20)]
        read = 0
        while not all(task.done() for task in hanging):
            await asyncio.wait_for(good.sensing.inventory.read(), 60)
            read += 1
        assert read >= 3, "the other endpoint was read all the while"
        for task in hanging:
            with pytest.raises((TimedOut, Unreachable)) as failure:
                await task
            assert failure.value.transient

        async def given_up() -> bool:
            with contextlib.suppress(TimedOut):
                try:
                    await bad.sensing.inventory.read()
                except Unreachable:
                    return True
            return False

        await eventually(given_up, "the frozen endpoint is unreachable")
        assert await _reads(good)
    finally:
        lab.hosts[AWAY].thaw()

    async def back() -> bool:
        return await _reads(bad)

    await eventually(back, "the thawed host is read again")


async def test_one_hanging_qemu_does_not_blind_the_host(
    open_session: Open, lab: Lab, by_hand: ByHand, plan: GuestPlan, vm: VMId, eventually: Eventually
) -> None:
    session = await open_session(HOME, timeouts=IMPATIENT)
    other = next(VMId(p.uuid) for p in lab.spec.guests() if p.host == HOME and p.uuid != vm)
    assert session.sensing.usage is not None
    await session.sensing.usage.read()
    (qemu,) = by_hand.qemus(plan.name)
    qemu.send(signal.SIGSTOP)
    try:

        async def others_are_read() -> bool:
            assert session.sensing.usage is not None
            try:
                frame = await session.sensing.usage.read()
            except (TimedOut, Unreachable):
                return False
            return bool(np.isfinite(frame.values[frame.vms.index(other), Column.DISK_READ_OPS]))

        for _ in range(5):
            await eventually(others_are_read, "the other VMs of the host are read in full")
    finally:
        qemu.send(signal.SIGCONT)

    async def whole() -> bool:
        assert session.sensing.usage is not None
        frame = await session.sensing.usage.read()
        return bool(np.isfinite(frame.values[frame.vms.index(vm), Column.DISK_READ_OPS]))

    await eventually(whole, "the VM is read in full again")


async def test_a_wrong_client_certificate_is_unreachable_and_says_so(
    open_session: Open, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from yamori.lab.pki import Authority, write_client

    folder = tmp_path_factory.mktemp("stranger")
    write_client(Authority("stranger"), folder)
    session = await open_session(HOME, pki=str(folder))
    with pytest.raises(Unreachable, match="certificate"):
        await session.sensing.inventory.read()


async def test_many_sessions_come_and_go_without_leaving_links(open_session: Open, by_hand: ByHand) -> None:
    before = _tls_links()
    for _ in itertools.repeat(None, 10):
        session = await open_session(HOME)
        await session.sensing.inventory.read()
        await session.close()
    assert _tls_links() <= before


def _tls_links() -> int:
    """Count the living links of this process. Earlier tests may have hung some on purpose."""
    gc.collect()
    return sum(isinstance(o, libvirt.virConnect) and "tls" in (_uri(o) or "") for o in gc.get_objects())


def _uri(link: libvirt.virConnect) -> str | None:
    try:
        return str(link.getURI())
    except libvirt.libvirtError:
        return None
