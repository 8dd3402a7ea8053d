"""Pure parts: allocations, devices, privileges, DRS, encryption, changes. No server; values are made up."""

from collections.abc import Sequence
from typing import Any

import pytest
from pyVmomi import vim

from yamori.drivers.vsphere import allocation, throttle
from yamori.drivers.vsphere.mirror import Mirror
from yamori.drivers.vsphere.moves import offered, prove
from yamori.drivers.vsphere.privileges import NEEDED, ON_VMS, cell, counted
from yamori.drivers.vsphere.surroundings import moves_by_itself
from yamori.drivers.vsphere.translate import host_ids, label_of, vm_id
from yamori.drivers.vsphere.words import clean
from yamori.model.change import ChangeKind
from yamori.model.errors import Conflict, Invalid, Unsupported
from yamori.model.ids import EndpointName, VMId
from yamori.model.support import FEATURES, Level

MIB = 1 << 20
ID = VMId("b4689bed-97f0-5bcd-8a4c-07477cc8f06f")


def allocated(limit: int | None = -1, reservation: int = 0, level: str = "normal", shares: int = 2000) -> Any:
    return vim.ResourceAllocationInfo(
        limit=limit, reservation=reservation, shares=vim.SharesInfo(level=level, shares=shares)
    )


def test_a_cap_in_cores_is_mhz_by_the_host_s_clock_rate() -> None:
    asked = allocation.with_cap(allocated(), 0.5, 2400)
    assert asked.limit == 1200
    assert allocation.cap_of(asked, 2400) == 0.5
    assert allocation.cap_of(allocation.with_cap(asked, None, 2400), 2400) is None


def test_what_is_not_named_is_asked_for_as_it_is() -> None:
    asked = allocation.with_cap(allocated(reservation=300, level="high", shares=4000), 0.5, 2400)
    assert (asked.reservation, asked.shares.level, asked.shares.shares) == (300, "high", 4000)
    assert allocation.same(asked, allocation.with_cap(asked, 0.5, 2400))
    assert not allocation.same(asked, allocation.with_weight(asked, 0.5, 2))


def test_a_limit_below_the_reservation_is_a_conflict() -> None:
    with pytest.raises(Conflict, match="reserved"):
        allocation.with_cap(allocated(reservation=1300), 0.5, 2400)
    with pytest.raises(Conflict, match="reserved"):
        allocation.with_memory(allocated(reservation=600), 512 * MIB, 1024 * MIB)
    assert allocation.with_cap(allocated(reservation=1300), None, 2400).limit == -1


@pytest.mark.parametrize("cores", [1e-9, 1e300])
def test_a_cap_beyond_what_the_server_takes_is_invalid(cores: float) -> None:
    with pytest.raises(Invalid):
        allocation.with_cap(allocated(), cores, 2400)


def test_what_the_server_does_not_tell_is_unsupported_and_not_unlimited() -> None:
    with pytest.raises(Unsupported):
        allocation.cap_of(allocated(limit=None), 2400)
    with pytest.raises(Unsupported):
        allocation.cap_of(None, 2400)
    with pytest.raises(Unsupported):
        allocation.cap_of(allocated(limit=100), None)
    with pytest.raises(Unsupported):
        allocation.memory_of(None, MIB)
    with pytest.raises(Unsupported):
        allocation.weight_of(None, 2)


@pytest.mark.parametrize(
    ("level", "shares", "weight"),
    [
        ("normal", 2000, None),
        ("high", 4000, 2.0),
        ("low", 1000, 0.5),
        ("custom", 500, 0.25),
        ("custom", 2000, None),
    ],
)
def test_a_weight_is_shares_for_each_vcpu(level: str, shares: int, weight: float | None) -> None:
    assert allocation.weight_of(allocated(level=level, shares=shares), 2) == weight


def test_setting_the_ordinary_weight_gives_the_ordinary_level() -> None:
    for ordinary in (None, 1.0):
        assert allocation.with_weight(allocated(level="custom", shares=7), ordinary, 2).shares.level == "normal"
    with pytest.raises(Invalid):
        allocation.with_weight(allocated(), 1e9, 2)
    with pytest.raises(Invalid):
        allocation.with_weight(allocated(), 1e-9, 2)


def test_memory_is_bounded_in_whole_mib_and_never_above_what_was_asked() -> None:
    assert allocation.with_memory(allocated(), 100.9 * MIB, 1024 * MIB).limit == 100
    assert allocation.memory_of(allocated(limit=512), 1024 * MIB) == 512 * MIB
    assert allocation.memory_of(allocated(limit=2048), 1024 * MIB) is None
    for bad in (1.0, 1025.0 * MIB):
        with pytest.raises(Invalid):
            allocation.with_memory(allocated(), bad, 1024 * MIB)


def disk(limit: int | None, reservation: int | None = None, key: int = 2000) -> Any:
    made = vim.vm.device.VirtualDisk(key=key, deviceInfo=vim.Description(label=f"Hard disk {key}", summary="s"))
    if limit is not None:
        made.storageIOAllocation = vim.StorageResourceManager.IOAllocationInfo(
            limit=limit, reservation=reservation
        )
    return made


def test_every_disk_gets_the_limit_and_those_that_have_it_are_left_alone() -> None:
    found = [disk(None), disk(200, key=2001), disk(-1, key=2002)]
    edits = throttle.edits_for_iops(found, 200.0)
    assert [edit.device.key for edit in edits] == [2000, 2002]
    assert throttle.iops_of(found) == 200.0
    assert throttle.edits_for_iops(found, 200.0) == []
    assert len(throttle.edits_for_iops(found, None)) == 3
    assert throttle.iops_of(found) is None


def test_disks_that_differ_have_no_one_limit() -> None:
    with pytest.raises(Conflict, match="differ"):
        throttle.iops_of([disk(100), disk(200, key=2001)])


@pytest.mark.parametrize("iops", [1.0, 15.0, 1e12])
def test_iops_beyond_what_the_server_takes_are_invalid(iops: float) -> None:
    with pytest.raises(Invalid):
        throttle.edits_for_iops([disk(-1)], iops)


def test_iops_below_the_reservation_are_a_conflict() -> None:
    with pytest.raises(Conflict, match="reserved"):
        throttle.edits_for_iops([disk(-1, reservation=500)], 100.0)


def test_a_vm_without_disks_or_cards_has_nothing_to_limit() -> None:
    with pytest.raises(Unsupported):
        throttle.disks([])
    with pytest.raises(Unsupported):
        throttle.cards([], {})


def card(switch: str | None) -> Any:
    backing: Any = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName="n")
    if switch is not None:
        port = vim.dvs.PortConnection(switchUuid=switch)
        backing = vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo(port=port)
    return vim.vm.device.VirtualVmxnet3(key=4000, backing=backing)


def test_cards_are_limited_only_where_the_switch_enforces_it() -> None:
    for switch, controlled in ((None, {}), ("a", {}), ("a", {"a": False}), ("a", {"b": True})):
        with pytest.raises(Unsupported, match="Network I/O Control"):
            throttle.cards([card(switch)], controlled)
    found = throttle.cards([card("a")], {"a": True})
    assert throttle.out_of(found) is None
    edits = throttle.edits_for_out(found, 2_000_000.0)
    assert edits[0].device.resourceAllocation.limit == 16
    assert throttle.out_of(found) == 2_000_000.0
    assert throttle.edits_for_out(found, 2_000_000.0) == []


def told(refused: Sequence[str], vms: int, *, but: Sequence[str] = ()) -> list[Any]:
    result = vim.AuthorizationManager.EntityPrivilege
    available = vim.AuthorizationManager.PrivilegeAvailability
    return [
        result(
            entity=vim.VirtualMachine(f"vm-{n}", None),
            privAvailability=[
                available(privId=name, isGranted=name not in refused) for name in sorted(ON_VMS) if name not in but
            ],
        )
        for n in range(vms)
    ]


WANTED = sorted(ON_VMS)


def test_a_privilege_that_lacks_everywhere_takes_the_feature_away_and_is_named() -> None:
    found = counted(told(["VirtualMachine.Config.Resource"], 3), WANTED, 3)
    for feature in ("limits.cpu_cap", "limits.cpu_weight", "limits.memory", "limits.disk_iops"):
        absent = cell(feature, found)
        assert absent.level is Level.NONE
        assert "the account lacks VirtualMachine.Config.Resource" in absent.reason
    assert cell("power", found).level is Level.NATIVE
    assert cell("inventory", found).level is Level.NATIVE


def test_a_privilege_that_lacks_on_some_is_told() -> None:
    some = told(["VirtualMachine.Interact.Reset"], 1) + told([], 3)
    shown = cell("power", counted(some, WANTED, 4))
    assert shown.level is Level.NATIVE
    assert "on 1 of 4" in shown.reason


def test_privileges_that_were_not_told_are_not_checked_and_never_fine() -> None:
    for answer in ([], told([], 2), told([], 3, but=["VirtualMachine.Config.Resource"])):
        found = counted(answer, WANTED, 3)
        assert isinstance(found, str)
        assert "could not be checked" in cell("limits.cpu_cap", found).reason


def test_the_role_names_features_that_there_are() -> None:
    assert set(NEEDED) <= set(FEATURES)
    assert all(needed for needed in NEEDED.values())


def cluster(enabled: bool, behaviour: str | None, rules: Sequence[Any] = ()) -> Any:
    return vim.cluster.ConfigInfoEx(
        dasConfig=vim.cluster.DasConfigInfo(),
        drsConfig=vim.cluster.DrsConfigInfo(enabled=enabled, defaultVmBehavior=behaviour),
        drsVmConfig=list(rules),
    )


def test_drs_moves_vms_only_where_it_is_fully_automated_for_them() -> None:
    vm = vim.VirtualMachine("vm-1", None)
    rule = vim.cluster.DrsVmConfigInfo
    assert moves_by_itself(cluster(True, "fullyAutomated"), vm)
    assert moves_by_itself(cluster(True, None), vm)
    assert not moves_by_itself(cluster(False, "fullyAutomated"), vm)
    assert not moves_by_itself(cluster(True, "manual"), vm)
    assert not moves_by_itself(cluster(True, "fullyAutomated", [rule(key=vm, enabled=False)]), vm)
    assert not moves_by_itself(cluster(True, "fullyAutomated", [rule(key=vm, behavior="manual")]), vm)
    assert moves_by_itself(cluster(True, "manual", [rule(key=vm, behavior="fullyAutomated")]), vm)
    assert not moves_by_itself(None, vm)


@pytest.mark.parametrize("said", [None, "", "opportunistic", "disabled", "REQUIRED", 1, True, "x" * 10_000])
def test_a_move_is_refused_unless_the_server_says_that_encryption_is_required(said: Any) -> None:
    """A stand-in for the server's answer: no simulator keeps this setting, so only the decision is proven here."""
    with pytest.raises(Unsupported, match="nothing is moved") as refusal:
        prove(said, ID)
    assert refusal.value.capability == "migration.encrypted"
    assert len(str(refusal.value)) < 400


def test_moves_are_offered_only_where_the_server_tells_how_they_are_encrypted() -> None:
    prove("required", ID)
    assert offered([None, "opportunistic"])
    assert not offered([])
    assert not offered([None, "", 1, True])


def updates(*objects: tuple[str, str, dict[str, Any]]) -> Any:
    from pyVmomi import vmodl

    collector = vmodl.query.PropertyCollector
    return collector.UpdateSet(
        version="-",
        filterSet=[
            collector.FilterUpdate(
                objectSet=[
                    collector.ObjectUpdate(
                        kind=kind,
                        obj=vim.VirtualMachine(key, None),
                        changeSet=[
                            collector.Change(name=name, op="assign", val=value) for name, value in values.items()
                        ],
                    )
                    for key, kind, values in objects
                ]
            )
        ],
    )


FIRST = {
    "config.instanceUuid": ID,
    "name": "a",
    "runtime.powerState": "poweredOn",
    "runtime.host": vim.HostSystem("host-1", None),
    "config.changeVersion": "1",
}


@pytest.fixture
def mirror() -> Mirror:
    made = Mirror()
    made.begin(updates(("vm-1", "enter", FIRST)))
    return made


def kinds(mirror: Mirror, *objects: tuple[str, str, dict[str, Any]]) -> list[ChangeKind]:
    return [each.kind for each in mirror.take(updates(*objects))]


def test_an_update_that_comes_twice_is_told_once(mirror: Mirror) -> None:
    off = ("vm-1", "modify", {"runtime.powerState": "poweredOff"})
    assert kinds(mirror, off, off) == [ChangeKind.STOPPED]
    assert kinds(mirror, off) == []
    assert kinds(mirror, ("vm-1", "enter", FIRST)) == [ChangeKind.STARTED]


def test_power_and_place_and_configuration_are_told_in_their_words(mirror: Mirror) -> None:
    moved = {"runtime.host": vim.HostSystem("host-2", None)}
    assert kinds(mirror, ("vm-1", "modify", {"runtime.powerState": "suspended"})) == [ChangeKind.PAUSED]
    assert kinds(mirror, ("vm-1", "modify", {"runtime.powerState": "poweredOn"})) == [ChangeKind.RESUMED]
    told = mirror.take(updates(("vm-1", "modify", moved)))
    assert [(each.kind, each.host) for each in told] == [
        (ChangeKind.MIGRATED_OUT, "host-1"),
        (ChangeKind.MIGRATED_IN, "host-2"),
    ]
    assert kinds(mirror, ("vm-1", "modify", {"config.changeVersion": "2"})) == [ChangeKind.RECONFIGURED]
    assert kinds(mirror, ("vm-1", "leave", {})) == [ChangeKind.UNDEFINED]
    assert kinds(mirror, ("vm-1", "leave", {})) == []


def test_a_new_vm_is_told_and_one_without_an_id_or_a_template_is_not(mirror: Mirror) -> None:
    other = {**FIRST, "config.instanceUuid": "c4689bed-97f0-5bcd-8a4c-07477cc8f06f"}
    assert kinds(mirror, ("vm-2", "enter", other)) == [ChangeKind.DEFINED]
    assert kinds(mirror, ("vm-3", "enter", {"name": "x"})) == []
    assert kinds(mirror, ("vm-4", "enter", {**other, "config.template": True})) == []


@pytest.mark.parametrize(
    "text", [None, 1, "", "x", "../../etc", ID.upper() + "x", "b4689bed" * 50, "urn:uuid:" + "0" * 60]
)
def test_what_is_no_uuid_is_no_id(text: Any) -> None:
    assert vm_id(text) is None


def test_an_id_has_one_spelling() -> None:
    assert vm_id(f" {ID.upper()} ") == ID


def test_hosts_of_one_name_are_told_apart_and_a_name_cannot_pretend_to_be_a_path() -> None:
    from yamori.drivers.vsphere.collector import Found

    named = [("host-1", "a"), ("host-2", "b\x1b[31m/../c"), ("host-3", "a"), ("host-4", "x" * 5000)]
    ids = host_ids(
        EndpointName("vc"),
        [Found(ref=vim.HostSystem(key, None), values={"name": name}) for key, name in named],
    )
    assert ids["host-1"] == "vc/a~host-1"
    assert ids["host-3"] == "vc/a~host-3"
    assert ids["host-2"].isprintable()
    assert ids["host-2"].count("/") == 1
    assert len(ids["host-4"]) < 200


def test_text_to_show_is_one_bounded_line() -> None:
    assert clean("a\x00\x1b[31m\u202eb\u2028c\n\td", 20) == "a [31m b c d"
    assert clean("x" * 10_000, 10) == "x" * 10
    assert label_of(vim.vm.device.VirtualDisk(key=7)) == "device 7"
