"""Where a VM could go: the least used host of those that can take it. Pure."""

from collections.abc import Mapping

from yamori.control.fleet import Fleet
from yamori.model.errors import Conflict
from yamori.model.ids import HostId, VMId


def choose_host(fleet: Fleet, vm: VMId, load: Mapping[HostId, float]) -> HostId:
    """Return the best host for a VM to move to. ``load`` is the fraction of CPU in use; unknown counts as full.

    Raises Conflict, with the reason for each host, when none can take it.
    """
    found = fleet.vms[vm]
    if found.host is None or found.host not in fleet.can_migrate:
        raise Conflict("its host cannot migrate VMs", subject=found.name, mend="see `yamori support`")
    family = fleet.hosts[found.host].hypervisor
    fit: list[tuple[float, HostId]] = []
    unfit: list[str] = []
    for host in fleet.hosts.values():
        if host.id == found.host:
            continue
        if host.id not in fleet.can_migrate:
            unfit.append(f"{host.id} cannot migrate")
        elif host.hypervisor != family:
            unfit.append(f"{host.id} runs {host.hypervisor}")
        elif host.memory_bytes is not None and _promised(fleet, host.id) + found.memory_bytes > host.memory_bytes:
            unfit.append(f"{host.id} has not enough memory")
        else:
            fit.append((load.get(host.id, 1.0), host.id))
    if not fit:
        raise Conflict(f"no host can take it: {'; '.join(unfit) or 'there is no other'}", subject=found.name)
    return min(fit)[1]


def _promised(fleet: Fleet, host: HostId) -> int:
    return sum(vm.memory_bytes for vm in fleet.vms.values() if vm.host == host)
