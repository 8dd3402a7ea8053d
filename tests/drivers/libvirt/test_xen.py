"""The Xen dialect on recorded definitions and answers. The kit asks the same of a real host."""

import dataclasses
from typing import Any

import libvirt
import pytest

from tests.drivers.libvirt.xenhost import XenConnection, XenDomain, XenLink, error, recorded
from yamori.drivers.libvirt import xenmoves
from yamori.drivers.libvirt.absence import Absences
from yamori.drivers.libvirt.changes import LibvirtChanges
from yamori.drivers.libvirt.families import family_of
from yamori.drivers.libvirt.inventory import LibvirtInventory
from yamori.drivers.libvirt.limits import LibvirtLimitsReader, LibvirtLimitsWriter
from yamori.drivers.libvirt.power import LibvirtPower
from yamori.drivers.libvirt.probe import Probe
from yamori.drivers.libvirt.settings import LibvirtSettings
from yamori.drivers.libvirt.translate import definition
from yamori.model.errors import Invalid, NotFound, Rejected, Unsupported
from yamori.model.ids import HostId, VMId
from yamori.model.limits import LimitKind
from yamori.model.support import FEATURES, Level
from yamori.model.vm import PowerState

MIB = 1 << 20
DOM0 = VMId("00000000-0000-0000-0000-000000000000")
OFF = (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED)


class Pinless:
    """Pins without a C library below."""

    def read(self, _link: Any, _subject: Any) -> None:
        return None

    def why_not(self, _link: Any, _subject: Any) -> None:
        return None

    def pin(self, _link: Any, _subject: Any, _cpus: Any) -> None: ...


class Host:
    """A Xen host with Dom0, a PV guest, a PVH guest and one that is off."""

    def __init__(self) -> None:
        self.dom0 = XenDomain(recorded("dom0"))
        self.pv, self.pvh = XenDomain(recorded("pv")), XenDomain(recorded("pvh"))
        self.off = XenDomain(recorded("off"), state=OFF)
        self.link = XenLink(self.dom0, self.pv, self.pvh, self.off)
        self.connection: Any = XenConnection(self.link)
        self.family = dataclasses.replace(family_of(self.connection.settings), pins=Pinless())
        self.absences = Absences(self.connection.settings)
        self.leaving: set[VMId] = set()
        self.inventory = LibvirtInventory(self.connection, HostId("xen-a"), self.family, self.leaving.__contains__)
        self.reader = LibvirtLimitsReader(self.connection, self.family, self.absences.given)
        self.changed: list[VMId] = []
        self.writer = LibvirtLimitsWriter(
            self.connection, self.family, self.absences.why, self.absences.learn, self.changed.append
        )
        self.power = LibvirtPower(self.connection, self.family.reset)


@pytest.fixture
def host() -> Host:
    return Host()


async def test_the_control_domain_is_the_host_and_no_vm(host: Host) -> None:
    listing = await host.inventory.read()
    assert [vm.name for vm in listing.vms] == ["pv2", "pvh1", "pv1"]
    assert not listing.incomplete
    for verb in (host.power.pause, host.power.reset, host.inventory.vm, host.reader.read):
        with pytest.raises(NotFound):
            await verb(DOM0)
    assert host.dom0.done == []


async def test_a_control_domain_with_a_uuid_of_its_own_is_none_either(host: Host) -> None:
    host.dom0.uuid = "6695eb01-f6a4-8304-79aa-97f2502e193f"
    assert len((await host.inventory.read()).vms) == 3
    with pytest.raises(NotFound):
        await host.inventory.vm(VMId(host.dom0.uuid))


async def test_what_xen_says_of_its_host_is_told_and_no_more(host: Host) -> None:
    (told,) = (await host.inventory.read()).hosts
    assert (told.name, told.hypervisor, told.hypervisor_version) == ("dom0a", "Xen", "4.17")
    assert (told.cpus, told.memory_bytes) == (2, 2047 * MIB)


async def test_a_paravirtual_guest_is_listed_with_its_devices_and_labels(host: Host) -> None:
    vm = (await host.inventory.read()).vms[0]
    assert vm.state is PowerState.RUNNING
    assert (vm.vcpus, vm.memory_bytes, vm.memory_max_bytes) == (1, 112 * MIB, 112 * MIB)
    assert [disk.target for disk in vm.disks] == ["xvda", "xvdb"]
    assert [(nic.target, nic.mac) for nic in vm.nics] == [
        ("vif9.0", "00:16:3e:00:00:12"),
        (None, "00:16:3e:00:00:77"),  # hot-plugged: libvirt does not know its name
    ]
    assert vm.labels == {"tenant": "a", "sla": "gold"}
    assert [definition(recorded(name)).kind for name in ("pv", "pvh")] == ["linux", "xenpvh"]


async def test_states_cost_three_calls_and_two_for_each_that_does_not_run(host: Host) -> None:
    crashed = XenDomain(recorded("pv").replace("000000000002", "0000000000c0"), state=(6, 2))
    gone = XenDomain(recorded("off").replace("000000000001", "0000000000c1"), state=(5, 3))
    host.link.domains += [crashed, gone]
    host.link.domains.remove(host.pvh)
    seen = {each.id[-4:]: each.state for each in host.family.all_domains(host.link)}
    assert seen == {
        "0002": PowerState.RUNNING,
        "0001": PowerState.STOPPED,
        "00c0": PowerState.CRASHED,
        "00c1": PowerState.CRASHED,
    }
    assert len(host.link.calls) == 3


async def test_one_that_changed_between_the_calls_is_asked(host: Host) -> None:
    at_first = host.link.listAllDomains

    def starts_meanwhile(flags: int = 0) -> list[XenDomain]:
        found = at_first(flags)
        if flags == libvirt.VIR_CONNECT_LIST_DOMAINS_RUNNING:
            host.pvh.now = OFF
            return [*found]
        return found

    host.link.listAllDomains = starts_meanwhile  # type: ignore[method-assign]
    states = {vm.name: vm.state for vm in (await host.inventory.read()).vms}
    assert states["pvh1"] is PowerState.STOPPED


async def test_one_that_vanishes_between_the_calls_is_left_out_and_one_that_cannot_be_asked_is_unknown(
    host: Host,
) -> None:
    host.pv.fails["XMLDesc"] = error(libvirt.VIR_ERR_NO_DOMAIN)
    host.off.fails["state"] = error(libvirt.VIR_ERR_INTERNAL_ERROR)
    listing = await host.inventory.read()
    assert {vm.name: vm.state for vm in listing.vms} == {
        "pvh1": PowerState.RUNNING,
        "pv1": PowerState.UNKNOWN,
    }


@pytest.mark.parametrize(
    "hostile",
    [
        "<!DOCTYPE d [<!ENTITY a 'b'>]><domain type='xen' id='1'>",
        "<domain type='xen' id='1'><name>a</name>",
        "<a>" * 100,
        "\x00",
    ],
    ids=range(4),
)
async def test_a_guest_with_hostile_xml_is_listed_all_the_same_and_named(host: Host, hostile: str) -> None:
    host.pv.xml = hostile
    listing = await host.inventory.read()
    assert len(listing.vms) == 3
    assert len(listing.incomplete) == 1
    assert listing.incomplete[0].startswith("pv2: ")


async def test_limits_are_xen_s_own_and_the_others_have_a_reason(host: Host) -> None:
    limits = await host.reader.read(VMId(host.pv.uuid))
    assert limits.values == {LimitKind.CPU_CAP: None, LimitKind.CPU_WEIGHT: None, LimitKind.MEMORY: None}
    assert set(limits.unknown) == set(LimitKind) - set(limits.values)
    assert all("agent" in why for why in limits.unknown.values())


async def test_limits_are_set_in_one_call_of_the_scheduler_and_one_of_the_balloon(host: Host) -> None:
    vm = VMId(host.pv.uuid)
    await host.writer.set(vm, {LimitKind.CPU_CAP: 0.25, LimitKind.CPU_WEIGHT: 0.5, LimitKind.MEMORY: 64.0 * MIB})
    assert host.pv.done == [
        ("scheduler", {"cap": 25, "weight": 128}),
        ("memory", (64 << 10, libvirt.VIR_DOMAIN_AFFECT_LIVE)),
    ]
    assert host.changed == [vm]
    told = (await host.reader.read(vm)).values
    assert (told[LimitKind.CPU_CAP], told[LimitKind.CPU_WEIGHT]) == (0.25, 0.5)


async def test_what_xen_refuses_is_refused_before_anything_is_changed(host: Host) -> None:
    vm = VMId(host.pv.uuid)
    with pytest.raises(Invalid, match="1 vCPUs"):
        await host.writer.set(vm, {LimitKind.MEMORY: 64.0 * MIB, LimitKind.CPU_CAP: 1.5})
    with pytest.raises(Invalid):
        await host.writer.set(vm, {LimitKind.CPU_CAP: 0.5, LimitKind.MEMORY: 16.0 * MIB})
    with pytest.raises(Unsupported, match="host agent"):
        await host.writer.set(vm, {LimitKind.CPU_CAP: 0.5, LimitKind.NET_IN: 1000.0})
    assert host.pv.done == []
    assert host.changed == []


async def test_another_scheduler_is_named_and_nothing_is_guessed(host: Host) -> None:
    host.pv.scheduler_name = "rtds"
    limits = await host.reader.read(VMId(host.pv.uuid))
    assert "rtds" in limits.unknown[LimitKind.CPU_CAP]
    assert "rtds" in limits.unknown[LimitKind.CPU_WEIGHT]
    with pytest.raises(Unsupported, match="rtds"):
        await host.writer.set(VMId(host.pv.uuid), {LimitKind.CPU_WEIGHT: 2.0})
    assert host.pv.done == []


@pytest.mark.parametrize(
    ("current", "holds", "wanted"),
    [
        (112, 112, None),
        (80, 112, 112),  # the guest has not followed yet
        (80, 84, 80),  # PVH holds some pages beside what its balloon counts
        (80, 80, 80),
        (112, 64, 64),  # another hand has set a target that libvirt does not know
        (112, 110, None),
    ],
)
async def test_memory_is_told_as_far_as_the_guest_has_followed(
    host: Host, current: int, holds: int, wanted: int | None
) -> None:
    host.pv.xml = host.pv.xml.replace(
        "<currentMemory unit='KiB'>114688", f"<currentMemory unit='KiB'>{current << 10}"
    )
    host.pv.holds_kib = holds << 10
    told = (await host.reader.read(VMId(host.pv.uuid))).values[LimitKind.MEMORY]
    assert told == (None if wanted is None else wanted * MIB)


async def test_a_reset_starts_a_stored_vm_anew_and_refuses_to_lose_another(host: Host) -> None:
    await host.power.reset(VMId(host.pv.uuid))
    assert [word for word, _ in host.pv.done] == ["destroy", "create"]
    host.pvh.persistent = False
    with pytest.raises(Unsupported, match="stored definition"):
        await host.power.reset(VMId(host.pvh.uuid))
    assert host.pvh.done == []


async def test_a_reset_vm_that_does_not_start_again_is_said_to_be_off(host: Host) -> None:
    host.pv.fails["create"] = error(libvirt.VIR_ERR_INTERNAL_ERROR)
    with pytest.raises(Rejected, match="did not start again"):
        await host.power.reset(VMId(host.pv.uuid))


async def test_the_probe_says_what_is_native_and_why_the_rest_is_not(host: Host) -> None:
    support = await Probe(host.connection, host.family, host.absences).run()
    assert support.hypervisor == "Xen 4.17"
    assert set(support.cells) == set(FEATURES)
    native = {feature for feature, cell in support.cells.items() if cell.level is Level.NATIVE}
    assert native >= {
        "inventory",
        "changes",
        "power",
        "limits.cpu_cap",
        "limits.cpu_weight",
        "limits.cpu_pinning",
        "limits.memory",
    }
    assert not any(feature.startswith(("usage", "limits.disk", "limits.net")) for feature in native)
    assert "our own changes" in support.cells["changes"].reason
    assert all(cell.reason for cell in support.cells.values() if cell.level is not Level.NATIVE)
    assert "host agent does" in support.cells["usage"].reason


async def test_without_a_running_vm_nothing_is_claimed_that_was_not_seen(host: Host) -> None:
    host.link.domains = [host.dom0, host.off]
    support = await Probe(host.connection, host.family, host.absences).run()
    assert support.cells["limits.cpu_cap"].level is Level.UNKNOWN


async def test_our_own_tuning_is_told_since_xen_s_driver_tells_none(host: Host) -> None:
    forgotten: list[VMId | None] = []
    changes = LibvirtChanges(host.connection, HostId("xen-a"), forgotten.append)
    changes.reconfigured_by_us(VMId(host.pv.uuid))
    assert forgotten == [host.pv.uuid]


def test_xen_s_settings_take_certificates_and_refuse_what_control_groups_have() -> None:
    settings = LibvirtSettings(uri="xen+tls://host/system", pki="/etc/yamori/pki")
    assert settings.dialled == "xen+tls://host/system?pkipath=/etc/yamori/pki"
    assert LibvirtSettings(uri="xen:///system").same_machine
    with pytest.raises(ValueError, match="cpu_weight_of_one"):
        LibvirtSettings(uri="xen:///system", cpu_weight_of_one=256)


async def test_a_vm_that_arrives_holds_memory_and_is_no_running_copy(host: Host) -> None:
    host.off.persistent = False
    host.off.job = {"type": libvirt.VIR_DOMAIN_JOB_UNBOUNDED, "time_elapsed": 878}
    host.pvh.now, host.pvh.job = (libvirt.VIR_DOMAIN_PAUSED, 1), dict(host.off.job)
    host.pv.now = (libvirt.VIR_DOMAIN_PAUSED, 1)
    wanted = {"pv1": PowerState.INCOMING, "pvh1": PowerState.INCOMING, "pv2": PowerState.PAUSED}
    assert {vm.name: vm.state for vm in (await host.inventory.read()).vms} == wanted
    for domain in (host.pv, host.pvh, host.off):
        vm = await host.inventory.vm(VMId(domain.uuid))
        assert vm.state is wanted[vm.name]


async def test_a_vm_in_the_last_moment_of_its_move_is_not_said_to_run_here(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = VMId(host.pvh.uuid)
    executing = {"now": True}
    monkeypatch.setattr(xenmoves, "is_executing", lambda _handle, _vcpus: executing["now"])
    host.leaving.add(vm)
    assert (await host.inventory.vm(vm)).state is PowerState.RUNNING
    executing["now"] = False
    assert (await host.inventory.vm(vm)).state is PowerState.UNKNOWN
    states = {each.id: each.state for each in (await host.inventory.read()).vms}
    assert (states[vm], states[VMId(host.pv.uuid)]) == (PowerState.UNKNOWN, PowerState.RUNNING)
