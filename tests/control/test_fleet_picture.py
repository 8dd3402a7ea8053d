"""Out of many endpoints' listings one picture: where a VM is, and whether it is there twice."""

from dataclasses import dataclass, replace

import pytest

from yamori.capabilities.sensing.inventory import Listing
from yamori.control.duplicates import SIGHTINGS, Duplicates
from yamori.control.fleet import Fleet, compose
from yamori.control.placement import choose_host
from yamori.model.errors import Conflict
from yamori.model.host import Host
from yamori.model.ids import EndpointName, HostId, VMId
from yamori.model.limits import LimitKind
from yamori.model.support import Cell, HostSupport, Level, Support
from yamori.model.vm import VM, PowerState

GIB = 1 << 30


@dataclass
class Seen:
    """What ``compose`` reads of a keeper."""

    name: EndpointName
    listing: Listing
    support: Support | None = None


def vm(name: str, host: str, state: PowerState = PowerState.RUNNING, memory: int = GIB) -> VM:
    return VM(
        id=VMId(name),
        name=name,
        host=HostId(host),
        state=state,
        vcpus=1,
        memory_bytes=memory,
        memory_max_bytes=memory,
    )


def seen(name: str, *vms: VM, hypervisor: str = "qemu", features: tuple[str, ...] = ()) -> Seen:
    host = Host(
        id=HostId(name),
        name=name,
        hypervisor=hypervisor,
        hypervisor_version="1",
        cpus=4,
        memory_bytes=8 * GIB,
    )
    cells = {feature: Cell(level=Level.NATIVE) for feature in features}
    return Seen(
        EndpointName(name),
        Listing(hosts=(host,), vms=vms),
        Support(driver="d", hypervisor=hypervisor, cells=cells),
    )


MOVES = ("migration.live", "migration.encrypted")


def picture(*endpoints: Seen) -> Fleet:
    return compose(endpoints)  # type: ignore[arg-type]


def test_an_executing_copy_outranks_a_definition_left_behind() -> None:
    fleet = picture(seen("a", vm("x", "a", PowerState.STOPPED)), seen("b", vm("x", "b")))
    assert fleet.vms[VMId("x")].host == "b"
    assert fleet.at[VMId("x")] == "b"
    assert not fleet.twice


def test_two_executing_copies_are_told_only_when_certain() -> None:
    fleet = picture(seen("a", vm("x", "a")), seen("b", vm("x", "b")))
    assert set(fleet.twice[VMId("x")]) == {"a", "b"}
    watch = Duplicates()
    told = [watch.look(fleet.twice) for _ in range(SIGHTINGS + 2)]
    assert [len(t) for t in told] == [0] * (SIGHTINGS - 1) + [1, 0, 0]


def test_a_vm_that_is_seen_twice_only_while_it_moves_is_no_duplicate() -> None:
    watch = Duplicates()
    twice = {VMId("x"): (HostId("a"), HostId("b"))}
    for _ in range(10):
        assert watch.look(twice) == []
        assert watch.look({}) == []


def test_the_receiving_side_of_a_migration_is_no_second_copy() -> None:
    fleet = picture(seen("a", vm("x", "a")), seen("b", vm("x", "b", PowerState.INCOMING)))
    assert not fleet.twice
    assert fleet.vms[VMId("x")].host == "a"


def test_only_limits_that_are_really_there_can_be_set() -> None:
    endpoint = seen("a", features=("limits.cpu_cap",))
    assert picture(endpoint).kinds[HostId("a")] == frozenset({LimitKind.CPU_CAP})


def test_hosts_of_one_endpoint_can_what_each_of_them_can() -> None:
    endpoint = seen("a", features=("limits.cpu_cap", "limits.memory", *MOVES))
    assert endpoint.support is not None
    lacking = dict.fromkeys(("limits.memory", *MOVES), Cell(level=Level.UNKNOWN, reason="out of contact"))
    other = replace(endpoint.listing.hosts[0], id=HostId("b"))
    endpoint.listing = Listing(hosts=(*endpoint.listing.hosts, other), vms=())
    single = HostSupport(hypervisor="h", cells=lacking)
    endpoint.support = replace(endpoint.support, hosts={HostId("b"): single})
    fleet = picture(endpoint)
    assert fleet.kinds[HostId("a")] == frozenset({LimitKind.CPU_CAP, LimitKind.MEMORY})
    assert fleet.kinds[HostId("b")] == frozenset({LimitKind.CPU_CAP})
    assert fleet.can_migrate == {HostId("a")}


def test_a_host_that_cannot_encrypt_a_move_is_no_host_to_migrate() -> None:
    assert picture(seen("a", features=("migration.live",))).can_migrate == frozenset()


def test_a_vm_goes_to_the_least_used_host_that_can_take_it() -> None:
    fleet = picture(seen("a", vm("x", "a"), features=MOVES), seen("b", features=MOVES), seen("c", features=MOVES))
    assert choose_host(fleet, VMId("x"), {HostId("b"): 0.9, HostId("c"): 0.1}) == "c"


def test_a_host_of_unknown_use_counts_as_full() -> None:
    fleet = picture(seen("a", vm("x", "a"), features=MOVES), seen("b", features=MOVES), seen("c", features=MOVES))
    assert choose_host(fleet, VMId("x"), {HostId("c"): 0.8}) == "c"


def test_when_no_host_can_take_it_the_reason_of_each_is_told() -> None:
    full = seen("b", vm("y", "b", memory=8 * GIB), features=MOVES)
    other = seen("c", hypervisor="xen", features=MOVES)
    fleet = picture(seen("a", vm("x", "a"), features=MOVES), full, other)
    with pytest.raises(Conflict, match=r"b has not enough memory; c runs xen"):
        choose_host(fleet, VMId("x"), {})
