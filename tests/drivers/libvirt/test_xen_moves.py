"""What is asked of libvirt when a VM leaves a Xen host: memory goes through the passage or nowhere."""

import asyncio
from dataclasses import replace
from typing import Any

import libvirt
import pytest

from tests.drivers.libvirt.xenhost import XenConnection, XenDomain, XenLink, error, recorded
from yamori.drivers.libvirt.absence import Absences
from yamori.drivers.libvirt.changes import LibvirtChanges
from yamori.drivers.libvirt.families import family_of
from yamori.drivers.libvirt.following import Moves
from yamori.drivers.libvirt.migration import LibvirtMigration, LibvirtMigrationWatch
from yamori.drivers.libvirt.settings import LibvirtSettings
from yamori.drivers.libvirt.xenmoves import XenMoves
from yamori.model.errors import Conflict, Invalid, Rejected, Unsupported
from yamori.model.ids import HostId, VMId
from yamori.model.migration import Landing, MigrationPhase, StorageMode

LANDING = Landing(
    host=HostId("xen-b"),
    family="xen",
    uri="xen+tls://xen-b/system",
    address="127.0.9.2:49401",
    tls_name=None,
)
SHARED = {"shared_paths": ("/dev",)}
JOB = {"type": libvirt.VIR_DOMAIN_JOB_UNBOUNDED, "time_elapsed": 7}


@pytest.fixture
def guest() -> XenDomain:
    return XenDomain(recorded("pvh"))


def _prepare(domain: XenDomain, landing: Landing = LANDING, **more: Any) -> Any:
    way = XenMoves(LibvirtSettings(uri="xen+tls://xen-a/system", **SHARED))
    asked = {"storage": StorageMode.SHARED, "bandwidth_bytes_s": None, "key": "xen-a: k", "stopping": False}
    asked |= more
    return way.prepare(XenLink(domain), VMId(domain.uuid), landing, **asked)


def test_memory_goes_to_our_own_loopback_and_the_daemons_talk_by_tls(guest: XenDomain) -> None:
    request = _prepare(guest)
    assert request.uri == "xen+tls://xen-b/system"
    assert request.parameters == {"migrate_uri": "tcp://127.0.9.2:49401"}
    for flag in ("LIVE", "PEER2PEER", "PERSIST_DEST", "UNDEFINE_SOURCE"):
        assert request.flags & getattr(libvirt, f"VIR_MIGRATE_{flag}"), flag
    for flag in ("TUNNELLED", "UNSAFE", "OFFLINE", "PAUSED"):
        assert not request.flags & getattr(libvirt, f"VIR_MIGRATE_{flag}"), flag
    assert guest.done == [("metadata", '<move key="xen-a: k"/>')]


@pytest.mark.parametrize(
    "landing",
    [
        replace(LANDING, address=None),
        replace(LANDING, address="10.0.0.2:49401"),
        replace(LANDING, address="127.0.9.2"),
        replace(LANDING, address="127.0.9.2:99999"),
        replace(LANDING, address="127.0.9.2:49401@10.0.0.2:1"),
        replace(LANDING, address="127.0.9.2.example.org:49401"),
        replace(LANDING, address="localhost:49401"),
        replace(LANDING, uri="xen+tcp://xen-b/system"),
        replace(LANDING, uri="xen:///system"),
        replace(LANDING, uri="xen+unix:///system"),
        replace(LANDING, uri="qemu+tls://xen-b/system"),
        replace(LANDING, uri="xen+tls://xen-b/system?no_verify=1"),
        replace(LANDING, uri="xen+ssh://xen-b/system?command=/bin/sh"),
    ],
    ids=range(13),
)
def test_a_landing_in_plaintext_is_refused_before_anything_is_noted(guest: XenDomain, landing: Landing) -> None:
    with pytest.raises(Invalid):
        _prepare(guest, landing)
    assert guest.done == []


def test_a_paravirtual_guest_is_refused_with_how_long_it_would_stand_still() -> None:
    guest = XenDomain(recorded("pv"))
    with pytest.raises(Unsupported, match=r"112 MiB .* about 1 s at 100 MB/s") as refused:
        _prepare(guest)
    assert refused.value.capability == "migration.live"
    assert guest.done == []


def test_a_paravirtual_guest_that_may_stand_still_moves_but_not_live() -> None:
    guest = XenDomain(recorded("pv"))
    request = _prepare(guest, stopping=True)
    assert not request.flags & libvirt.VIR_MIGRATE_LIVE
    assert request.flags & libvirt.VIR_MIGRATE_PEER2PEER
    assert request.parameters == {"migrate_uri": "tcp://127.0.9.2:49401"}, "its memory takes the same way"
    assert [verb for verb, _ in guest.done] == ["metadata"]


def test_leave_to_stop_a_guest_changes_nothing_where_it_moves_live(guest: XenDomain) -> None:
    assert _prepare(guest, stopping=True).flags & libvirt.VIR_MIGRATE_LIVE


@pytest.mark.parametrize(("bandwidth", "seconds"), [(None, 1.174), (1 << 20, 112.0)])
def test_how_long_a_paravirtual_guest_stands_still_follows_from_its_memory(
    bandwidth: int | None, seconds: float
) -> None:
    guest = XenDomain(recorded("pv"))
    way = XenMoves(LibvirtSettings(uri="xen+tls://xen-a/system", **SHARED))
    forecast = way.forecast(XenLink(guest), VMId(guest.uuid), bandwidth_bytes_s=bandwidth)
    assert forecast.live is False
    assert forecast.downtime_s == pytest.approx(seconds, rel=1e-3)
    assert "shadow paging" in forecast.why
    assert guest.done == []


def test_a_pvh_guest_is_forecast_to_move_live_and_nobody_tells_its_pause(guest: XenDomain) -> None:
    way = XenMoves(LibvirtSettings(uri="xen+tls://xen-a/system", **SHARED))
    forecast = way.forecast(XenLink(guest), VMId(guest.uuid), bandwidth_bytes_s=None)
    assert (forecast.live, forecast.downtime_s) == (True, None)


def test_disks_that_are_not_known_to_be_shared_keep_a_vm_here(guest: XenDomain) -> None:
    way = XenMoves(LibvirtSettings(uri="xen+tls://xen-a/system"))
    with pytest.raises(Invalid, match="xvda"):
        way.prepare(
            XenLink(guest),
            VMId(guest.uuid),
            LANDING,
            storage=StorageMode.SHARED,
            bandwidth_bytes_s=None,
            key="k",
            stopping=False,
        )
    assert guest.done == []


async def test_a_bandwidth_that_cannot_be_kept_is_refused_and_nothing_is_noted(guest: XenDomain) -> None:
    source = Source(guest)
    with pytest.raises(Unsupported, match="passage") as refused:
        await source.start(bandwidth_bytes_s=1 << 20)
    assert refused.value.capability == "migration.bandwidth"
    assert guest.done == []


async def test_a_forecast_takes_the_bandwidth_that_somebody_else_will_keep(guest: XenDomain) -> None:
    pv = XenDomain(recorded("pv"))
    watch, vm = Source(pv).watch, VMId(pv.uuid)
    forecast = await watch.forecast(vm, LANDING, storage=StorageMode.SHARED, bandwidth_bytes_s=1 << 20)
    assert forecast.downtime_s == pytest.approx(112.0)
    with pytest.raises(Invalid):
        await watch.forecast(vm, LANDING, storage=StorageMode.SHARED, bandwidth_bytes_s=0)
    elsewhere = replace(LANDING, family="qemu")
    with pytest.raises(Invalid):
        await watch.forecast(vm, elsewhere, storage=StorageMode.SHARED, bandwidth_bytes_s=None)
    assert pv.done == []


def test_a_guest_that_cannot_answer_is_not_moved(guest: XenDomain) -> None:
    guest.now = (libvirt.VIR_DOMAIN_PAUSED, 1)
    with pytest.raises(Conflict, match="answer"):
        _prepare(guest)
    assert guest.done == []


def test_a_job_is_a_move_of_ours_only_if_our_note_is_on_the_vm(guest: XenDomain) -> None:
    way = XenMoves(LibvirtSettings(uri="xen+tls://xen-a/system"))
    guest.job = dict(JOB)
    assert "operation" not in way.job(guest, "xen-a:")
    noted = "<metadata><m:move xmlns:m='https://yamori.dev/xmlns/move/1' key='{}'/></metadata><memory"
    guest.xml = recorded("pvh").replace("<memory", noted.format("xen-z: 7"), 1)
    assert "operation" not in way.job(guest, "xen-a:"), "it came here by a move of another host"
    guest.xml = recorded("pvh").replace("<memory", noted.format("xen-a: 7"), 1)
    assert way.job(guest, "xen-a:")["operation"] == libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT
    assert _prepare(guest, key="xen-a: 7") is None
    with pytest.raises(Conflict):
        _prepare(guest, key="xen-a: 8")


def test_by_itself_libvirt_knows_no_way_for_the_memory(guest: XenDomain) -> None:
    way = XenMoves(LibvirtSettings(uri="xen+tls://xen-b/system", migrate_to={"passage": "agent"}))
    with pytest.raises(Invalid, match="plaintext"):
        _prepare(guest, replace(LANDING, address=way.address()))
    assert guest.done == []


def test_without_a_passage_there_are_no_moves() -> None:
    for given in ({}, {"migrate_to": {}}, {"migrate_to": {"address": "10.0.0.2"}}):
        absences = Absences(LibvirtSettings(uri="xen+tls://xen-a/system", **given))  # type: ignore[arg-type]
        assert "plaintext" in (absences.why("migration.live") or "")
        assert "plaintext" in (absences.why("migration.encrypted") or "")
    absences = Absences(LibvirtSettings(uri="xen+tls://xen-a/system", migrate_to={"passage": "agent"}))
    assert absences.why("migration.live") is None
    for row, word in {"copied_storage": "same ones", "cancel": "cannot stop", "bandwidth": "cannot bound"}.items():
        assert word in (absences.why(f"migration.{row}") or "")


class Source:
    """A Xen host that VMs leave."""

    def __init__(self, guest: XenDomain) -> None:
        self.guest = guest
        connection: Any = XenConnection(
            XenLink(guest), migrate_to={"passage": "agent"}, timeouts={"act_s": 0.5}, **SHARED
        )
        way = family_of(connection.settings).moves
        moves = Moves(connection, LibvirtChanges(connection, HostId("xen-a"), lambda _vm: None), way)
        self.migration = LibvirtMigration(connection, HostId("xen-a"), way, moves, Absences(connection.settings))
        self.watch = LibvirtMigrationWatch(connection, HostId("xen-a"), way, moves)
        self.vm = VMId(guest.uuid)

    async def start(self, **more: Any) -> None:
        asked = {"storage": StorageMode.SHARED, "bandwidth_bytes_s": None, "key": "run-1"} | more
        await self.migration.start(self.vm, LANDING, **asked)


async def test_a_move_that_ends_well_has_moved_the_vm_encrypted(guest: XenDomain) -> None:
    asked: list[Any] = []
    guest.migrateToURI3 = lambda *given: asked.append(given)  # type: ignore[attr-defined]
    source = Source(guest)
    await source.start()
    status = await source.migration.wait(source.vm)
    assert (status.phase, status.encrypted) == (MigrationPhase.SUCCEEDED, True)
    assert asked[0][:2] == ("xen+tls://xen-b/system", {"migrate_uri": "tcp://127.0.9.2:49401"})


async def test_a_move_that_fails_leaves_the_vm_here_and_says_why(guest: XenDomain) -> None:
    def fail(*_given: object) -> None:
        raise error(libvirt.VIR_ERR_INTERNAL_ERROR)

    guest.migrateToURI3 = fail  # type: ignore[attr-defined]
    source = Source(guest)
    with pytest.raises(Rejected):
        await source.start()
    assert await source.watch.status(source.vm) is None
    assert guest.done[-1] == ("metadata", None), "the note is taken off again"


async def test_a_move_under_way_cannot_be_stopped_and_is_not_said_to_be(guest: XenDomain) -> None:
    release = asyncio.Event()
    source = Source(guest)
    moves = source.watch._moves
    connection: Any = moves._connection

    async def slow(_job: object, **_named: object) -> None:
        await release.wait()

    connection.call_unlimited = slow
    await source.start()
    with pytest.raises(Unsupported, match="passage") as refused:
        await source.migration.cancel(source.vm)
    assert refused.value.capability == "migration.cancel"
    status = await source.watch.status(source.vm)
    assert status is not None
    assert status.phase is MigrationPhase.RUNNING
    release.set()
    assert (await source.migration.wait(source.vm)).phase is MigrationPhase.SUCCEEDED
    await source.migration.cancel(source.vm)
