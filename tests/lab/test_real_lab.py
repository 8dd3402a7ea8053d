"""What the lab promises, on real libvirt hosts and guests."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import libvirt
import pytest

from yamori.lab import guest as guests
from yamori.lab import pki, wire
from yamori.lab.attack import AttackKind
from yamori.lab.host import Host
from yamori.lab.lab import Lab
from yamori.lab.processes import ProcessId
from yamori.lab.service import Load, ServiceProbe
from yamori.lab.spec import LabSpec, Storage
from yamori.model.errors import Conflict, NotFound

pytestmark = pytest.mark.lab

FAR = 60.0
MIGRATE = (
    libvirt.VIR_MIGRATE_LIVE
    | libvirt.VIR_MIGRATE_PEER2PEER
    | libvirt.VIR_MIGRATE_TLS
    | libvirt.VIR_MIGRATE_PERSIST_DEST
    | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
)


def wait_until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + FAR
    while not true():
        assert time.monotonic() < deadline, f"not within {FAR} s: {what}"
        time.sleep(0.1)


@contextmanager
def over_tls(lab: Lab, host: Host, folder: Path | None = None) -> Iterator[Any]:
    opened = libvirt.open(f"{host.uri}?pkipath={folder or lab.layout.client_pki}")
    try:
        yield opened
    finally:
        opened.close()


def serves(lab: Lab, name: str) -> bool:
    work = wire.Work(pages=1, blocks=1)
    answer = wire.ask(lab.layout.switch_namespace, lab.guest_address(name), work, timeout_seconds=5)
    return answer is not None and answer.disk_errors == 0


def stats_of(lab: Lab, name: str) -> dict[str, Any]:
    host = lab.host(lab.guest(name).host)
    with guests.connection(host) as opened:
        ((_, values),) = opened.domainListGetStats([opened.lookupByName(name)])
        return dict(values)


def test_the_driver_reaches_every_host_with_mutual_tls_and_finds_its_guests(lab: Lab) -> None:
    for endpoint in lab.fleet_config()["endpoints"]:
        assert {path.name for path in Path(endpoint["pki"]).iterdir()} == {
            "cacert.pem",
            "clientcert.pem",
            "clientkey.pem",
        }
        opened = libvirt.open(f"{endpoint['uri']}?pkipath={endpoint['pki']}")
        expected = {guest.name for guest in lab.guests.values() if guest.host == endpoint["name"]}
        assert {domain.name() for domain in opened.listAllDomains()} == expected
        assert opened.getHostname() == endpoint["name"]
        opened.close()


def test_a_client_with_a_certificate_of_another_authority_is_turned_away(lab: Lab, tmp_path: Path) -> None:
    pki.write_client(pki.Authority("stranger"), tmp_path / "pki")
    (tmp_path / "pki" / "cacert.pem").write_bytes((lab.layout.client_pki / "cacert.pem").read_bytes())
    with pytest.raises(libvirt.libvirtError), over_tls(lab, lab.host("host-a"), tmp_path / "pki"):
        pass


def test_guests_carry_tenant_and_class_in_their_metadata(lab: Lab) -> None:
    plan = lab.guest("vm-a1")
    with over_tls(lab, lab.host("host-a")) as opened:
        domain = opened.lookupByName("vm-a1")
        metadata = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, "https://yamori.dev/xmlns/vm/1")
        assert domain.UUIDString() == plan.uuid
    assert f'tenant="{plan.tenant}"' in metadata
    assert f'sla="{plan.sla}"' in metadata


def test_every_guest_serves_and_its_reads_are_seen_by_the_hypervisor(lab: Lab) -> None:
    for name in lab.guests:
        before = stats_of(lab, name)
        assert serves(lab, name)
        after = stats_of(lab, name)
        assert after["block.0.rd.reqs"] > before["block.0.rd.reqs"]
        assert after["block.0.rd.times"] > before["block.0.rd.times"]


def test_disk_limits_on_the_array_and_on_local_disks_are_read_back(lab: Lab) -> None:
    for name in ("vm-a1", "vm-a2"):
        with over_tls(lab, lab.host("host-a")) as opened:
            domain = opened.lookupByName(name)
            domain.setBlockIoTune("vda", {"total_iops_sec": 50}, libvirt.VIR_DOMAIN_AFFECT_LIVE)
            assert domain.blockIoTune("vda")["total_iops_sec"] == 50
            domain.setBlockIoTune("vda", {"total_iops_sec": 0}, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    assert {lab.guest("vm-a1").storage, lab.guest("vm-a2").storage} == set(Storage)


@pytest.mark.parametrize(("name", "copy"), [("vm-a1", 0), ("vm-a2", libvirt.VIR_MIGRATE_NON_SHARED_DISK)])
def test_a_guest_migrates_encrypted_there_and_back_and_serves(lab: Lab, name: str, copy: int) -> None:
    there, back = lab.host("host-b"), lab.host("host-a")
    for source, target in ((back, there), (there, back)):
        with over_tls(lab, source) as opened:
            uri = f"tcp://{target.address}"
            opened.lookupByName(name).migrateToURI3(
                target.uri, {libvirt.VIR_MIGRATE_PARAM_URI: uri}, MIGRATE | copy
            )
        with over_tls(lab, target) as opened:
            assert opened.lookupByName(name).isActive()
        with over_tls(lab, source) as opened, pytest.raises(libvirt.libvirtError):
            opened.lookupByName(name)
        wait_until(lambda: serves(lab, name), f"{name} serves on {target.name}")


async def test_an_attack_runs_is_seen_and_stops(quiet: Lab) -> None:
    assert await quiet.attack_of("vm-b1") is None
    await quiet.attack("vm-b1", AttackKind.CPU)
    assert await quiet.attack_of("vm-b1") is AttackKind.CPU
    before = stats_of(quiet, "vm-b1")["vcpu.0.time"]
    await asyncio.to_thread(
        wait_until, lambda: stats_of(quiet, "vm-b1")["vcpu.0.time"] > before + 10**9, "a second of CPU burnt"
    )
    await quiet.stop_attack("vm-b1")
    assert await quiet.attack_of("vm-b1") is None


async def test_an_attack_ends_by_itself_when_its_time_is_over(quiet: Lab) -> None:
    await quiet.attack("vm-b1", AttackKind.DISK, seconds=2)
    deadline = time.monotonic() + FAR
    while await quiet.attack_of("vm-b1") is not None:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)


async def test_a_disk_attack_hurts_who_shares_the_array_and_a_limit_helps(quiet: Lab) -> None:
    """Both on counters of requests, not on time: what the flood moves before and after the limit."""

    def moved() -> int:
        return int(stats_of(quiet, "vm-a1")["block.0.rd.bytes"])

    await quiet.attack("vm-a1", AttackKind.DISK)
    begun = moved()
    await asyncio.to_thread(wait_until, lambda: moved() > begun + 20_000_000, "20 MB flooded")
    with over_tls(quiet, quiet.host("host-a")) as opened:
        domain = opened.lookupByName("vm-a1")
        domain.setBlockIoTune("vda", {"total_bytes_sec": 1_000_000}, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        await asyncio.sleep(1)
        first, start = moved(), time.monotonic()
        await asyncio.sleep(4)
        rate = (moved() - first) / (time.monotonic() - start)
        domain.setBlockIoTune("vda", {"total_bytes_sec": 0}, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    assert rate < 2_000_000


async def test_the_probe_reports_every_guest_that_it_asks_and_says_so_when_one_is_dead(quiet: Lab) -> None:
    names = ("vm-b1", "vm-b2")
    with ServiceProbe(quiet, guests=names, load=Load(rate=5, cpu_seconds=0.002)) as probe:
        begun = time.monotonic()
        await asyncio.to_thread(
            wait_until, lambda: all(s.answered >= 5 for s in probe.window(begun).values()), "five answers each"
        )
        with over_tls(quiet, quiet.host("host-b")) as opened:
            opened.lookupByName("vm-b2").suspend()
            silent = time.monotonic() + 1
            await asyncio.to_thread(
                wait_until, lambda: probe.window(silent)["vm-b2"].asked >= 5, "five requests without answer"
            )
            stats = probe.window(silent, time.monotonic())
            opened.lookupByName("vm-b2").resume()
    assert stats["vm-b2"].answered == 0
    assert stats["vm-b2"].latency_p50 == float("inf")
    assert stats["vm-b1"].answered > 0


async def test_a_frozen_host_keeps_connections_open_and_guests_running(quiet: Lab) -> None:
    host = quiet.host("host-b")
    daemon = host.daemon()
    host.freeze()
    wait_until(
        lambda: Path(f"/proc/{daemon.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", "stopped"
    )
    assert serves(quiet, "vm-b1")
    host.thaw()
    with over_tls(quiet, host) as opened:
        assert opened.lookupByName("vm-b1").isActive()
    assert host.daemon() == daemon


@pytest.mark.parametrize("kill", [False, True])
def test_libvirtd_restarts_under_running_guests(lab: Lab, kill: bool) -> None:
    host = lab.host("host-b")
    before = host.daemon()
    host.restart_libvirtd(kill=kill)
    assert host.daemon() != before
    with guests.connection(host) as opened:
        assert opened.lookupByName("vm-b1").isActive()
    assert serves(lab, "vm-b1")


async def test_a_cut_link_separates_the_host_and_not_its_guests(quiet: Lab) -> None:
    host = quiet.host("host-b")
    quiet.cut_link("host-b")
    with pytest.raises(Exception, match="not reachable"):
        await asyncio.to_thread(host.wait_ready, timeout_seconds=2)
    assert serves(quiet, "vm-b1")
    quiet.heal_link("host-b")
    await asyncio.to_thread(host.wait_ready)


async def test_another_process_finds_the_lab_by_its_name(lab: Lab) -> None:
    found = Lab.open(lab.spec.name)
    assert found.fleet_config() == lab.fleet_config()
    assert found.host("host-a").init() == lab.host("host-a").init()
    with pytest.raises(NotFound):
        Lab.open("no-such-lab")
    with pytest.raises(Conflict):
        await Lab.up(LabSpec(name=lab.spec.name))


def test_a_crashed_host_takes_its_guests_along_and_comes_back_with_their_definitions(lab: Lab) -> None:
    host = lab.host("host-b")
    init = host.init()
    with guests.connection(host) as opened:
        emulators = [
            int(path.read_text()) for path in Path(f"/proc/{init.pid}/root/run/libvirt/qemu").glob("vm-*.pid")
        ]
        assert len(emulators) == len(opened.listAllDomains())
    host.crash()
    assert not host.running()
    assert not init.alive()
    assert not serves(lab, "vm-b1")
    assert serves(lab, "vm-a1")
    host.start()
    host.wait_ready()
    with guests.connection(host) as opened:
        assert {domain.name() for domain in opened.listAllDomains()} == {"vm-b1", "vm-b2"}
        assert not any(domain.isActive() for domain in opened.listAllDomains())
        for domain in opened.listAllDomains():
            domain.create()
    for name in ("vm-b1", "vm-b2"):
        wait_until(lambda name=name: serves(lab, name), f"{name} serves again")  # type: ignore[misc]
    assert ProcessId.of(host.init().pid) == host.init()
