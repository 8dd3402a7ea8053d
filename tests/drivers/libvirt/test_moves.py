"""What libvirt is asked for when a VM moves, and what is left when a move breaks; the kit has ordinary moves."""

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import libvirt
import pytest

from tests.by_hand import ByHand
from tests.drivers.libvirt.conftest import AWAY, HOME, Open
from yamori.capabilities.session import Session
from yamori.drivers.libvirt.qemumoves import QemuMoves
from yamori.drivers.libvirt.settings import LibvirtSettings
from yamori.lab.lab import Lab
from yamori.lab.spec import GuestPlan
from yamori.model.errors import Conflict, Failed, Invalid, Unreachable
from yamori.model.ids import HostId, VMId
from yamori.model.migration import Landing, MigrationPhase, StorageMode
from yamori.model.vm import PowerState
from yamori.testing.conformance.contract import copies
from yamori.testing.conformance.patience import Eventually

VM_ID = VMId("6695eb01-f6a4-8304-79aa-97f2502e193f")
LANDING = Landing(host=HostId("b"), family="qemu", uri="qemu+tls://b/system", address="10.0.0.2", tls_name="b")
SLOW = 4 << 20


class FakeDomain:
    """A running domain as libvirt's binding shows it, for what is asked before a move."""

    def __init__(self, disks: str, *, job: dict[str, int] | None = None, move_key: str = "") -> None:
        mark = f"<m:move xmlns:m='https://yamori.dev/xmlns/move/1' key='{move_key}'/>"
        self._xml = f"""<domain><name>x</name><uuid>{VM_ID}</uuid><memory>1024</memory>
            <metadata>{mark if move_key else ""}</metadata><devices>{disks}</devices></domain>"""
        self._job = job or {"type": libvirt.VIR_DOMAIN_JOB_NONE}
        self.noted: list[str] = []
        self.aim_ms: int | None = 300

    def XMLDesc(self, _flags: int) -> str:
        return self._xml

    def jobStats(self) -> dict[str, int]:
        return self._job

    def ID(self) -> int:
        return 7

    def state(self) -> list[int]:
        return [libvirt.VIR_DOMAIN_RUNNING, 1]

    def isPersistent(self) -> int:
        return 1

    def migrateGetMaxDowntime(self) -> int:
        if self.aim_ms is None:
            raise libvirt.libvirtError("domain is not running")
        return self.aim_ms

    def setMetadata(self, _kind: int, xml: str, *_more: object) -> None:
        self.noted.append(xml)


class FakeLink:
    def __init__(self, domain: FakeDomain) -> None:
        self._domain = domain

    def lookupByUUIDString(self, _uuid: str) -> FakeDomain:
        return self._domain


LOCAL = "<disk type='file'><source file='/srv/a.img'/><target dev='vda'/></disk>"
SHARED = "<disk type='file'><source file='/nfs/b.img'/><target dev='vdb'/></disk>"
SOCKET = """<disk type='network'><source protocol='nbd' name='c'>
    <host transport='unix' socket='/run/c.sock'/></source><target dev='vdc'/></disk>"""
CD = "<disk type='file' device='cdrom'><target dev='sda'/><readonly/></disk>"


def _prepare(domain: FakeDomain, storage: StorageMode, **more: Any) -> Any:
    asked = {"bandwidth_bytes_s": None, "key": "k", "stopping": False, "landing": LANDING} | more
    landing = asked.pop("landing")
    way = QemuMoves(LibvirtSettings(uri="qemu:///system", shared_paths=("/nfs",)))
    return way.prepare(FakeLink(domain), VM_ID, landing, storage=storage, **asked)


@pytest.mark.parametrize(("disks", "storage"), [(LOCAL, StorageMode.COPIED), (SHARED, StorageMode.SHARED)])
def test_every_move_is_encrypted_and_goes_from_daemon_to_daemon(disks: str, storage: StorageMode) -> None:
    flags = _prepare(FakeDomain(disks), storage).flags
    for flag in ("TLS", "LIVE", "PEER2PEER", "PERSIST_DEST", "UNDEFINE_SOURCE"):
        assert flags & getattr(libvirt, f"VIR_MIGRATE_{flag}"), flag
    for flag in ("UNSAFE", "TUNNELLED", "OFFLINE", "POSTCOPY"):
        assert not flags & getattr(libvirt, f"VIR_MIGRATE_{flag}"), flag


def test_only_the_disks_that_are_not_shared_are_copied() -> None:
    request = _prepare(FakeDomain(LOCAL + SHARED + CD), StorageMode.COPIED)
    assert request.parameters["migrate_disks"] == ["vda"]
    assert request.flags & libvirt.VIR_MIGRATE_NON_SHARED_DISK


@pytest.mark.parametrize(
    ("disks", "storage"),
    [(LOCAL, StorageMode.SHARED), (LOCAL + SHARED, StorageMode.SHARED), (SHARED, StorageMode.COPIED)]
    + [(SOCKET, storage) for storage in StorageMode],
)
def test_a_mode_that_does_not_fit_the_disks_is_refused_before_anything_is_noted(
    disks: str, storage: StorageMode
) -> None:
    domain = FakeDomain(disks)
    with pytest.raises(Invalid):
        _prepare(domain, storage)
    assert domain.noted == []


def test_where_the_vm_lands_is_told_in_libvirt_s_words() -> None:
    parameters = _prepare(FakeDomain(SHARED), StorageMode.SHARED, bandwidth_bytes_s=5 << 20).parameters
    assert parameters == {"migrate_uri": "tcp://10.0.0.2", "tls.destination": "b", "bandwidth": 5}
    six = _prepare(
        FakeDomain(SHARED), StorageMode.SHARED, landing=replace(LANDING, address="fd00::2", tls_name=None)
    )
    assert six.parameters == {"migrate_uri": "tcp://[fd00::2]"}


def test_a_bandwidth_below_libvirt_s_unit_is_not_unlimited() -> None:
    assert _prepare(FakeDomain(SHARED), StorageMode.SHARED, bandwidth_bytes_s=1).parameters["bandwidth"] == 1


def test_a_key_is_noted_as_data_whatever_it_contains() -> None:
    domain = FakeDomain(SHARED)
    _prepare(domain, StorageMode.SHARED, key="a'\"<b>&")
    assert "<b>" not in domain.noted[0]


def test_a_move_under_way_is_found_by_its_key_and_another_one_is_a_conflict() -> None:
    out = {"type": libvirt.VIR_DOMAIN_JOB_UNBOUNDED, "operation": libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT}
    domain = FakeDomain(SHARED, job=out, move_key="run-7")
    assert _prepare(domain, StorageMode.SHARED, key="run-7") is None
    with pytest.raises(Conflict):
        _prepare(domain, StorageMode.SHARED, key="run-8")
    backup = {"type": libvirt.VIR_DOMAIN_JOB_UNBOUNDED, "operation": libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP}
    with pytest.raises(Conflict):
        _prepare(FakeDomain(SHARED, job=backup, move_key="run-7"), StorageMode.SHARED, key="run-7")
    assert domain.noted == []


def test_a_move_is_forecast_to_be_live_with_the_pause_that_qemu_aims_at() -> None:
    domain = FakeDomain(SHARED)
    way = QemuMoves(LibvirtSettings(uri="qemu:///system"))
    forecast = way.forecast(FakeLink(domain), VM_ID, bandwidth_bytes_s=None)
    assert (forecast.live, forecast.downtime_s) == (True, 0.3)
    domain.aim_ms = None
    forecast = way.forecast(FakeLink(domain), VM_ID, bandwidth_bytes_s=None)
    assert (forecast.live, forecast.downtime_s) == (True, None), "what is not told is not known"
    assert domain.noted == []


def test_leave_to_stop_a_vm_changes_nothing_where_it_moves_live() -> None:
    assert _prepare(FakeDomain(SHARED), StorageMode.SHARED, stopping=True).flags & libvirt.VIR_MIGRATE_LIVE


async def _landing(there: Session, vm: VMId) -> Landing:
    assert there.acting.migration is not None
    hosts = (await there.sensing.inventory.read()).hosts
    return await there.acting.migration.landing(vm, hosts[0].id)


async def _begin(here: Session, vm: VMId, landing: Landing, key: str) -> None:
    assert here.acting.migration is not None
    await here.acting.migration.start(vm, landing, storage=StorageMode.SHARED, bandwidth_bytes_s=SLOW, key=key)


@pytest.mark.lab
async def test_a_link_cut_in_the_middle_leaves_exactly_one_running_copy(
    here: Session, there: Session, lab: Lab, by_hand: ByHand, plan: GuestPlan, vm: VMId, eventually: Eventually
) -> None:
    await _begin(here, vm, await _landing(there, vm), "cut")
    await eventually.moment()
    assert len(by_hand.qemus(plan.name)) == 2, "the move is under way"
    lab.cut_link(AWAY)
    try:
        assert here.acting.migration is not None
        status = await asyncio.wait_for(here.acting.migration.wait(vm), 120)
        assert status.phase is MigrationPhase.FAILED
        assert status.error
        assert (await here.sensing.inventory.vm(vm)).state is PowerState.RUNNING
    finally:
        lab.heal_link(AWAY)

    async def one() -> bool:
        return len(await asyncio.to_thread(by_hand.qemus, plan.name)) == 1

    await eventually(one, "one QEMU of the VM is left on all hosts together")
    assert vm in await asyncio.to_thread(by_hand.active, HOME)

    async def agreed() -> bool:
        try:
            return [c.host for c in await copies(vm, here, there)] == [HOME]
        except Failed:
            return False  # the other endpoint is on its way back

    await eventually(agreed, "both endpoints tell of the one copy")
    assert by_hand.ask(HOME, vm, lambda d: d.state()[0]) == libvirt.VIR_DOMAIN_RUNNING


@pytest.mark.lab
async def test_our_own_link_cut_in_the_middle_does_not_stop_the_move(
    open_session: Open, there: Session, by_hand: ByHand, plan: GuestPlan, vm: VMId, eventually: Eventually
) -> None:
    first = await open_session(HOME)
    await _begin(first, vm, await _landing(there, vm), "orphan")
    await first.close()
    again = await open_session(HOME)
    assert again.sensing.migration is not None
    assert again.acting.migration is not None
    found = await again.sensing.migration.status(vm)
    assert found is not None
    assert found.phase is MigrationPhase.RUNNING
    landing = await _landing(there, vm)
    await _begin(again, vm, landing, "orphan")
    with pytest.raises(Conflict):
        await _begin(again, vm, landing, "another")
    status = await asyncio.wait_for(again.acting.migration.wait(vm), 120)
    assert status.phase is MigrationPhase.SUCCEEDED
    assert status.encrypted is True

    async def moved() -> bool:
        return [c.host for c in await copies(vm, again, there)] == [AWAY]

    await eventually(moved, "one copy runs, at the destination")

    async def one() -> bool:
        return len(by_hand.qemus(plan.name)) == 1

    await eventually(one, "one QEMU is left")


@pytest.mark.lab
async def test_libvirtd_killed_at_the_source_leaves_the_vm_there(
    here: Session, there: Session, lab: Lab, by_hand: ByHand, plan: GuestPlan, vm: VMId, eventually: Eventually
) -> None:
    await _begin(here, vm, await _landing(there, vm), "killed")
    await eventually.moment()
    await asyncio.to_thread(lab.hosts[HOME].restart_libvirtd, kill=True)
    assert here.acting.migration is not None

    async def ended() -> bool:
        assert here.acting.migration is not None
        try:
            return (await asyncio.wait_for(here.acting.migration.wait(vm), 60)).phase is MigrationPhase.FAILED
        except Unreachable:
            return False

    await eventually(ended, "the move is known to have failed")

    async def one() -> bool:
        return len(await asyncio.to_thread(by_hand.qemus, plan.name)) == 1

    await eventually(one, "one QEMU of the VM is left")
    assert (await here.sensing.inventory.vm(vm)).state is PowerState.RUNNING
    assert [c.host for c in await copies(vm, here, there)] == [HOME]


@pytest.mark.lab
async def test_a_destination_that_cannot_prove_its_name_gets_nothing(
    here: Session, there: Session, by_hand: ByHand, plan: GuestPlan, vm: VMId, eventually: Eventually
) -> None:
    landing = replace(await _landing(there, vm), tls_name="somebody-else")
    assert here.acting.migration is not None
    with contextlib.suppress(Failed):  # it may fail before it is under way, or while it is
        await _begin(here, vm, landing, "wrong-name")
        status = await asyncio.wait_for(here.acting.migration.wait(vm), 120)
        assert status.phase is MigrationPhase.FAILED
        assert status.error

    async def one() -> bool:
        return len(await asyncio.to_thread(by_hand.qemus, plan.name)) == 1

    await eventually(one, "one QEMU of the VM is left")
    assert (await here.sensing.inventory.vm(vm)).state is PowerState.RUNNING


@pytest.mark.lab
async def test_a_destination_that_cannot_be_reached_fails_before_the_move(
    here: Session, there: Session, vm: VMId
) -> None:
    landing = replace(await _landing(there, vm), uri="qemu+tls://127.0.0.1:1/system")
    with pytest.raises(Failed):
        await _begin(here, vm, landing, "nowhere")
    assert (await here.sensing.inventory.vm(vm)).state is PowerState.RUNNING


def test_the_flag_for_encryption_is_a_constant_that_nothing_can_take_away() -> None:
    source = Path(QemuMoves.prepare.__code__.co_filename).read_text()
    assert "& ~" not in source
    assert source.count("VIR_MIGRATE_TLS\n") == 1
