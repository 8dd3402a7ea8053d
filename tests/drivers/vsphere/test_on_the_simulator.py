"""What the kit does not ask: reservations, other hands, templates, clusters, hostile names, counted calls."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyVmomi import vim

from tests.drivers.vsphere.by_hand import VCenterByHand
from tests.drivers.vsphere.conftest import Connect, settings_of
from tests.drivers.vsphere.simulated import make
from yamori.drivers.vsphere.privileges import ROLE
from yamori.drivers.vsphere.session import VSphereSession
from yamori.lab.vsphere import Shape, VCenter
from yamori.model.errors import Conflict, Invalid, NotFound, Unsupported
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind
from yamori.model.migration import StorageMode
from yamori.model.support import Level
from yamori.model.vm import PowerState


@pytest.fixture
def vm(by_hand: VCenterByHand) -> Iterator[VMId]:
    made = by_hand.create()
    yield made
    by_hand.destroy(made)


def calls(session: VSphereSession, method: str) -> int:
    link = session.connection.link
    assert link is not None
    return link.wire.calls[method]


async def put(session: VSphereSession, vm: VMId, limits: dict[LimitKind, float | None]) -> None:
    assert session.acting.limits is not None
    await session.acting.limits.set(vm, limits)


async def holds(session: VSphereSession, vm: VMId) -> dict[LimitKind, float | None]:
    assert session.sensing.limits is not None
    return dict((await session.sensing.limits.read(vm)).values)


def reconfigure(by_hand: VCenterByHand, vm: VMId, **spec: Any) -> None:
    by_hand.wait(by_hand.find(vm).ReconfigVM_Task(vim.vm.ConfigSpec(**spec)))


async def test_a_limit_below_the_reservation_is_refused_before_anything_is_changed(
    session: VSphereSession, by_hand: VCenterByHand, vm: VMId
) -> None:
    await session.sensing.inventory.read()
    shares = vim.SharesInfo(level="normal", shares=2000)
    reserved = vim.ResourceAllocationInfo(reservation=1500, limit=-1, shares=shares)
    reconfigure(by_hand, vm, cpuAllocation=reserved)
    before = await holds(session, vm)
    asked = calls(session, "ReconfigVM_Task")
    with pytest.raises(Conflict, match="1500 MHz of CPU are reserved"):
        await put(session, vm, {LimitKind.CPU_CAP: 0.25, LimitKind.MEMORY: 512.0 * (1 << 20)})
    assert calls(session, "ReconfigVM_Task") == asked
    assert await holds(session, vm) == before
    assert by_hand.get(by_hand.find(vm), "config.cpuAllocation").reservation == 1500


async def test_all_limits_are_set_in_one_reconfiguration_and_none_when_they_hold(
    session: VSphereSession, vm: VMId
) -> None:
    await session.sensing.inventory.read()
    limits: dict[LimitKind, float | None] = {
        LimitKind.CPU_CAP: 0.5,
        LimitKind.CPU_WEIGHT: 0.5,
        LimitKind.MEMORY: 512.0 * (1 << 20),
        LimitKind.DISK_IOPS: 100.0,
    }
    for _ in range(3):
        await put(session, vm, limits)
    assert calls(session, "ReconfigVM_Task") == 1
    assert await holds(session, vm) == {kind: pytest.approx(value, rel=0.01) for kind, value in limits.items()}
    await put(session, vm, dict.fromkeys(limits))
    assert await holds(session, vm) == dict.fromkeys(limits)
    assert calls(session, "ReconfigVM_Task") == 2


async def test_what_another_hand_has_set_of_the_same_allocation_is_kept(
    session: VSphereSession, by_hand: VCenterByHand, vm: VMId
) -> None:
    shares = vim.SharesInfo(level="high", shares=4000)
    reconfigure(by_hand, vm, cpuAllocation=vim.ResourceAllocationInfo(reservation=100, limit=-1, shares=shares))
    await put(session, vm, {LimitKind.CPU_CAP: 0.5})
    kept = by_hand.get(by_hand.find(vm), "config.cpuAllocation")
    assert (kept.reservation, kept.shares.level) == (100, "high")
    assert (await holds(session, vm))[LimitKind.CPU_WEIGHT] == 2.0


async def test_a_limit_with_a_lapse_is_set_and_stays(session: VSphereSession, vm: VMId) -> None:
    assert session.acting.limits is not None
    await session.acting.limits.set(vm, {LimitKind.CPU_CAP: 0.5}, lapse_s=0.01)
    await asyncio.sleep(0.1)
    assert (await holds(session, vm))[LimitKind.CPU_CAP] == pytest.approx(0.5, rel=0.01)
    with pytest.raises(Invalid):
        await session.acting.limits.set(vm, {LimitKind.CPU_CAP: 0.5}, lapse_s=0)


async def test_a_vm_in_a_cluster_that_moves_vms_by_itself_cannot_be_pinned(session: VSphereSession) -> None:
    listing = await session.sensing.inventory.read()
    inside = next(vm for vm in listing.vms if vm.host is not None and "DC0_C0" in vm.host)
    assert session.acting.limits is not None
    with pytest.raises(Unsupported, match="DRS"):
        await session.acting.limits.pin(inside.id, frozenset({0}))


async def test_a_template_is_not_listed_and_not_found(
    session: VSphereSession, by_hand: VCenterByHand, vm: VMId
) -> None:
    ref = by_hand.find(vm)
    by_hand.wait(ref.PowerOffVM_Task())
    ref.MarkAsTemplate()
    try:
        assert vm not in {each.id for each in (await session.sensing.inventory.read()).vms}
        assert session.acting.power is not None
        with pytest.raises(NotFound):
            await session.sensing.inventory.vm(vm)
        with pytest.raises(NotFound):
            await session.acting.power.start(vm)
        with pytest.raises(NotFound):
            await put(session, vm, {LimitKind.CPU_CAP: 0.5})
    finally:
        host = by_hand.named(vim.HostSystem, "DC0_H0")
        ref.MarkAsVirtualMachine(by_hand.get(by_hand.get(host, "parent"), "resourcePool"), host)


async def test_of_two_vms_with_one_id_neither_is_touched(
    session: VSphereSession, by_hand: VCenterByHand, vm: VMId
) -> None:
    other = by_hand.create()
    ref = by_hand.find(other)
    try:
        by_hand.wait(ref.ReconfigVM_Task(vim.vm.ConfigSpec(instanceUuid=vm)))
        listing = await session.sensing.inventory.read()
        assert len([each for each in listing.vms if each.id == vm]) == 2
        assert any(vm in gap for gap in listing.incomplete)
        assert session.acting.power is not None
        with pytest.raises(Conflict, match="two VMs"):
            await session.acting.power.stop(vm, force=True)
        with pytest.raises(Conflict, match="two VMs"):
            await put(session, vm, {LimitKind.CPU_CAP: 0.5})
    finally:
        by_hand.wait(ref.PowerOffVM_Task())
        by_hand.wait(ref.Destroy_Task())


NAMES = (
    "<b>&amp;</b>]]>",
    "a'; DROP TABLE vms; --",
    "\u202egnp.exe",
    "tab\tnew\nline",
    "%2f..%2f",
    "x" * 10_000,
    "{0}%s",
)


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
async def test_a_hostile_name_is_shown_bounded_and_harms_nothing(
    session: VSphereSession, by_hand: VCenterByHand, name: str
) -> None:
    vm = by_hand.create()
    ref = by_hand.find(vm)
    reconfigure(by_hand, vm, name=name)
    try:
        shown = await session.sensing.inventory.vm(vm)
        assert shown.name.isprintable()
        assert 0 < len(shown.name) <= 255
        assert shown in (await session.sensing.inventory.read()).vms
        await put(session, vm, {LimitKind.CPU_CAP: 0.5})
    finally:
        by_hand.wait(ref.PowerOffVM_Task())
        by_hand.wait(ref.Destroy_Task())


async def test_labels_come_from_the_configuration_by_pattern_and_id(
    connect: Connect, vcenter: VCenter, vm: VMId
) -> None:
    labels = {"*": {"tenant": "all", "sla": "bronze"}, "DC0_H0_*": {"sla": "silver"}, vm: {"sla": "gold"}}
    session = connect(settings_of(vcenter, labels=labels, site="cellar"))
    listing = await session.sensing.inventory.read()
    found = {each.name: dict(each.labels) for each in listing.vms}
    assert found["DC0_H0_VM0"] == {"tenant": "all", "sla": "silver"}
    assert found["DC0_C0_RP0_VM0"] == {"tenant": "all", "sla": "bronze"}
    assert dict((await session.sensing.inventory.vm(vm)).labels) == {"tenant": "all", "sla": "gold"}
    assert {host.site for host in listing.hosts} == {"cellar"}


async def test_read_only_offers_nothing_that_changes_anything(connect: Connect, vcenter: VCenter) -> None:
    session = connect(settings_of(vcenter, read_only=True))
    support = await session.probe()
    assert (session.acting.power, session.acting.limits, session.acting.migration) == (None, None, None)
    acting = [name for name in support.cells if name.startswith(("power", "limits.", "migration."))]
    assert all(support.cells[name].level is Level.NONE for name in acting)


async def test_what_is_switched_off_is_not_there_and_says_why(connect: Connect, vcenter: VCenter) -> None:
    without = {"usage": "dear", "changes": "noisy", "limits.memory": "never", "power": "never"}
    session = connect(settings_of(vcenter, without=without))
    support = await session.probe()
    assert (session.sensing.usage, session.sensing.changes, session.acting.power) == (None, None, None)
    for feature, reason in without.items():
        assert support.cells[feature].level is Level.NONE
        assert support.cells[feature].reason == f"switched off: {reason}"
    vm = (await session.sensing.inventory.read()).vms[0].id
    with pytest.raises(Unsupported):
        await put(session, vm, {LimitKind.MEMORY: 20.0 * (1 << 20)})


async def test_the_simulator_cannot_prove_encryption_so_no_move_is_offered(session: VSphereSession) -> None:
    support = await session.probe()
    assert support.cells["migration.encrypted"].level is Level.UNKNOWN
    assert support.cells["migration.live"].level is Level.NONE
    assert session.acting.migration is None
    assert session.sensing.migration is None


async def test_a_move_is_forecast_to_be_live_and_is_never_begun_with_a_bandwidth(session: VSphereSession) -> None:
    """The simulator offers no moves; what is asked here needs none: all of it comes before the first change."""
    listing = await session.sensing.inventory.read()
    session._absences.saw({})  # as on a server that can prove encryption
    watch, mover = session.sensing.migration, session.acting.migration
    assert watch is not None
    assert mover is not None
    vm = next(each for each in listing.vms if each.state is PowerState.RUNNING)
    there = next(host.id for host in listing.hosts if host.id != vm.host)
    landing = await mover.landing(vm.id, there)
    forecast = await watch.forecast(vm.id, landing, storage=StorageMode.SHARED, bandwidth_bytes_s=1 << 20)
    assert (forecast.live, forecast.downtime_s) == (True, None)
    assert forecast.why
    for wrong in (replace(landing, family="another"), replace(landing, uri="vsphere://elsewhere/host-1")):
        with pytest.raises(Invalid):
            await watch.forecast(vm.id, wrong, storage=StorageMode.SHARED, bandwidth_bytes_s=None)
    with pytest.raises(Unsupported) as refused:
        await mover.start(vm.id, landing, storage=StorageMode.SHARED, bandwidth_bytes_s=1 << 20, key="k")
    assert refused.value.capability == "migration.bandwidth"
    assert await watch.status(vm.id) is None
    await mover.cancel(vm.id)


def test_every_privilege_of_the_role_is_one_that_the_server_knows(by_hand: VCenterByHand) -> None:
    roles = by_hand.get(by_hand.content.authorizationManager, "roleList")
    known = next(set(role.privilege) for role in roles if role.name == "Admin")
    wanted = {*ROLE["read"], *(each for needed in ROLE["features"].values() for each in needed)}
    assert wanted <= known


async def test_a_single_esxi_is_one_host_without_moves(
    connect: Connect, vcenter_program: Path, tmp_path: Path
) -> None:
    esx = make(tmp_path, vcenter_program, Shape(esx=True, vms=3))
    esx.start()
    try:
        session = connect(settings_of(esx))
        listing = await session.sensing.inventory.read()
        assert len(listing.hosts) == 1
        assert len(listing.vms) == 3
        assert {vm.host for vm in listing.vms} == {listing.hosts[0].id}
        support = await session.probe()
        assert "ESX" in support.hypervisor
        assert support.cells["migration.live"].level is Level.NONE
        assert "single ESXi" in support.cells["migration.live"].reason
        await put(session, listing.vms[0].id, {LimitKind.CPU_CAP: 0.5})
        assert (await holds(session, listing.vms[0].id))[LimitKind.CPU_CAP] == pytest.approx(0.5, rel=0.01)
        assert session.sensing.usage is not None
        assert set((await session.sensing.usage.read()).vms) == {vm.id for vm in listing.vms}
    finally:
        esx.stop()
