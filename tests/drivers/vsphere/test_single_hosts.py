"""Hosts of one vCenter differ: what one lacks is told of it alone, and of the endpoint only if all lack it."""

from typing import Any

import pytest
from pyVmomi import vim

from tests.drivers.vsphere.by_hand import VCenterByHand
from yamori.drivers.vsphere.collector import Found
from yamori.drivers.vsphere.session import VSphereSession
from yamori.drivers.vsphere.single import Around, differing, everywhere, in_contact, lacks
from yamori.drivers.vsphere.surroundings import DRS_MOVES
from yamori.model.ids import HostId
from yamori.model.support import FEATURES, Cell, Level

ABLE = {
    "name": "esx",
    "runtime.connectionState": "connected",
    "summary.config.product.fullName": "VMware ESXi 8.0.2 build-22380479",
    "summary.config.vmotionEnabled": True,
    "summary.hardware.cpuMhz": 2400,
    "summary.hardware.numCpuThreads": 16,
    "capability.cpuMemoryResourceConfigurationSupported": True,
    "capability.storageIORMSupported": True,
    "capability.vmotionSupported": True,
    "capability.vmotionWithStorageVMotionSupported": True,
    "capability.encryptedVMotionSupported": True,
}
AROUND = Around(switched=frozenset({"host-1", "host-2"}))
MIGRATION = {feature for feature in FEATURES if feature.startswith("migration.")}


def host(key: str = "host-1", /, **changes: Any) -> Found:
    """A host that can do everything, but for what is named; None leaves a property out."""
    values = {**ABLE, **{name.replace("__", "."): value for name, value in changes.items()}}
    return Found(ref=vim.HostSystem(key), values={name: v for name, v in values.items() if v is not None})


def levels(found: Found, around: Around = AROUND) -> dict[str, Level]:
    told = lacks(found, around)
    assert all(cell.reason for cell in told.values())
    return {feature: cell.level for feature, cell in told.items()}


def test_a_host_that_says_it_can_lacks_nothing() -> None:
    assert levels(host()) == {}


@pytest.mark.parametrize(
    ("flag", "features"),
    [
        ("cpuMemoryResourceConfigurationSupported", {"limits.cpu_cap", "limits.cpu_weight", "limits.memory"}),
        ("storageIORMSupported", {"limits.disk_iops"}),
        ("vmotionWithStorageVMotionSupported", {"migration.copied_storage"}),
        ("vmotionSupported", MIGRATION),
        ("encryptedVMotionSupported", MIGRATION),
    ],
)
def test_a_flag_that_is_down_takes_what_depends_on_it_and_nothing_else(flag: str, features: set[str]) -> None:
    assert levels(host(**{f"capability__{flag}": False})) == dict.fromkeys(features, Level.NONE)


def test_a_host_too_old_to_speak_of_encryption_moves_nothing_and_is_not_said_to_be_able_to_encrypt() -> None:
    told = levels(host(capability__encryptedVMotionSupported=None))
    assert told.pop("migration.encrypted") is Level.UNKNOWN
    assert told == dict.fromkeys(MIGRATION - {"migration.encrypted"}, Level.NONE)


def test_other_flags_that_are_not_told_take_nothing_away() -> None:
    assert levels(host(capability__storageIORMSupported=None, capability__vmotionSupported=None)) == {}


def test_settings_and_surroundings_of_a_host_count() -> None:
    assert set(levels(host(summary__config__vmotionEnabled=False))) == MIGRATION
    assert levels(host(summary__hardware__cpuMhz=None)) == {"limits.cpu_cap": Level.NONE}
    assert levels(host(summary__hardware__numCpuThreads=None)) == {"limits.cpu_pinning": Level.NONE}
    assert levels(host("host-9")) == {"limits.net_out": Level.NONE}
    assert levels(host(), Around(switched=None)) == {"limits.net_out": Level.UNKNOWN}
    inside = host(parent=vim.ClusterComputeResource("domain-c7"))
    assert levels(inside) == {}
    automated = Around(automated=["domain-c7"], switched=AROUND.switched)
    assert lacks(inside, automated) == {"limits.cpu_pinning": Cell(level=Level.NONE, reason=DRS_MOVES)}


def test_of_a_host_out_of_contact_nothing_is_known_but_that_it_is_there() -> None:
    gone = host(runtime__connectionState="notResponding\x1b[2J")
    told = lacks(gone, AROUND)
    assert not in_contact(gone)
    assert set(told) == set(FEATURES) - {"inventory", "changes"}
    assert {cell.level for cell in told.values()} == {Level.UNKNOWN}
    assert all(cell.reason.isprintable() for cell in told.values())


def test_what_all_hosts_lack_the_endpoint_lacks_and_no_host_differs_by_it() -> None:
    old = host(capability__storageIORMSupported=False, capability__encryptedVMotionSupported=None)
    new = host("host-2", capability__storageIORMSupported=False, summary__config__product__fullName="E\x1b[2J")
    lacking = [lacks(each, AROUND) for each in (old, new)]
    common = everywhere(lacking)
    assert set(common) == {"limits.disk_iops"}
    assert everywhere([]) == {}
    cells = {feature: common.get(feature, Cell(level=Level.NATIVE)) for feature in FEATURES}
    told = differing(cells, {HostId("v/a"): (old, lacking[0]), HostId("v/b"): (new, lacking[1])})
    assert set(told[HostId("v/a")].cells) == MIGRATION
    assert told[HostId("v/a")].hypervisor == "VMware ESXi 8.0.2 build-22380479"
    assert told[HostId("v/b")].cells == {}
    assert told[HostId("v/b")].hypervisor == "E [2J"


async def test_hosts_in_an_automated_cluster_differ_from_the_one_outside(
    session: VSphereSession, by_hand: VCenterByHand
) -> None:
    """The simulator's hosts: one alone, two in a cluster that DRS rules. Its product is told of each."""
    support = await session.probe()
    listing = await session.sensing.inventory.read()
    assert set(support.hosts) == {each.id for each in listing.hosts}
    assert support.cells["limits.cpu_pinning"].level is Level.NATIVE
    differ = {name for name, told in support.hosts.items() if "limits.cpu_pinning" in told.cells}
    assert differ == {each.id for each in listing.hosts if each.name.startswith("DC0_C0_")}
    for name, told in support.hosts.items():
        assert told.hypervisor.startswith("VMware ESXi 6.5.0 build-")
        assert support.at(name)["limits.cpu_cap"].level is Level.NATIVE
    (inside, *_) = differ
    assert support.at(inside)["limits.cpu_pinning"] == Cell(level=Level.NONE, reason=DRS_MOVES)
