"""One picture of the fleet out of many endpoints: who is where, and who is there twice."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from yamori.control.keeper import Keeper
from yamori.model.host import Host
from yamori.model.ids import EndpointName, HostId, VMId
from yamori.model.limits import LimitKind
from yamori.model.support import Level, Support
from yamori.model.vm import VM, PowerState

EXECUTING = frozenset({PowerState.RUNNING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """All VMs at one moment. ``at`` says which endpoint shows a VM; ``twice`` are VMs executing in two places."""

    vms: Mapping[VMId, VM] = field(default_factory=dict)
    at: Mapping[VMId, EndpointName] = field(default_factory=dict)
    hosts: Mapping[HostId, Host] = field(default_factory=dict)
    endpoint_of: Mapping[HostId, EndpointName] = field(default_factory=dict)
    kinds: Mapping[HostId, frozenset[LimitKind]] = field(default_factory=dict)
    can_migrate: frozenset[HostId] = frozenset()
    twice: Mapping[VMId, tuple[HostId, ...]] = field(default_factory=dict)


def _rank(vm: VM) -> int:
    """Return how much a sighting says about where a VM is: an executing copy outranks a definition left behind."""
    order = (PowerState.RUNNING, PowerState.PAUSED, PowerState.CRASHED, PowerState.UNKNOWN)
    return order.index(vm.state) if vm.state in order else len(order)


def compose(keepers: Iterable[Keeper]) -> Fleet:
    """Put the newest listings of all endpoints together."""
    best: dict[VMId, tuple[int, VM, EndpointName]] = {}
    executing: dict[VMId, list[HostId]] = {}
    hosts: dict[HostId, Host] = {}
    endpoint_of: dict[HostId, EndpointName] = {}
    kinds: dict[HostId, frozenset[LimitKind]] = {}
    can_migrate: set[HostId] = set()
    for keeper in keepers:
        for host in keeper.listing.hosts:
            settable, movable = _abilities(keeper.support, host.id)
            hosts[host.id] = host
            endpoint_of[host.id] = keeper.name
            kinds[host.id] = settable
            if movable:
                can_migrate.add(host.id)
        for vm in keeper.listing.vms:
            rank = _rank(vm)
            if vm.id not in best or rank < best[vm.id][0]:
                best[vm.id] = (rank, vm, keeper.name)
            if vm.state in EXECUTING and vm.host is not None:
                executing.setdefault(vm.id, []).append(vm.host)
    return Fleet(
        vms={vm: entry[1] for vm, entry in best.items()},
        at={vm: entry[2] for vm, entry in best.items()},
        hosts=hosts,
        endpoint_of=endpoint_of,
        kinds=kinds,
        can_migrate=frozenset(can_migrate),
        twice={vm: tuple(where) for vm, where in executing.items() if len(set(where)) > 1},
    )


def _abilities(support: Support | None, host: HostId) -> tuple[frozenset[LimitKind], bool]:
    if support is None:
        return frozenset(), False
    there = {name for name, cell in support.at(host).items() if cell.level in (Level.NATIVE, Level.AGENT)}
    settable = frozenset(kind for kind in LimitKind if f"limits.{kind}" in there)
    return settable, {"migration.live", "migration.encrypted"} <= there
