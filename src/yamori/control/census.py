"""Who is there and how each VM stands: what all endpoints show, put together for modules and for the faces."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from yamori.control.facade import VMView
from yamori.control.fleet import Fleet, compose
from yamori.control.gauge import Gauge
from yamori.control.keeper import Keeper
from yamori.control.lookout import Lookout
from yamori.manifest.module import FleetView, Hold
from yamori.model.errors import Conflict, NotFound
from yamori.model.ids import EndpointName, HostId, VMId
from yamori.model.limits import LimitKind
from yamori.policy.rules import Policy


class Census:
    """The fleet as known now."""

    def __init__(
        self,
        *,
        keepers: Mapping[EndpointName, Keeper],
        policy: Callable[[], Policy],
        now: Callable[[], datetime],
        holds: Callable[[], Mapping[VMId, Hold]],
        busy: Callable[[], frozenset[VMId]],
        lookout: Lookout,
        gauge: Gauge,
    ) -> None:
        self._keepers = keepers
        self._policy = policy
        self._now = now
        self._holds = holds
        self._busy = busy
        self._lookout = lookout
        self._gauge = gauge
        self._fleet: tuple[tuple[int, ...], Fleet] = ((), Fleet())

    def fleet(self) -> Fleet:
        """Return the fleet, composed anew only when a listing has changed."""
        mark = tuple(n for k in self._keepers.values() for n in (id(k.listing), id(k.support)))
        if mark != self._fleet[0]:
            self._fleet = (mark, compose(self._keepers.values()))
            self._lookout.forget_all_but(self._fleet[1].vms)
        return self._fleet[1]

    def view(self) -> FleetView:
        """Return what modules may know of the fleet."""
        fleet = self.fleet()
        return FleetView(
            now=self._now(),
            vms=fleet.vms,
            classes=self._policy().sla_classes(),
            holds=self._holds(),
            kinds=fleet.kinds,
            can_migrate=fleet.can_migrate,
            moving=self._busy(),
            drifted=self._lookout.drifted(),
        )

    def views(self, vms: Iterable[VMId] | None = None) -> list[VMView]:
        """Return some VMs of the fleet, or all, as the faces show them."""
        fleet, classes, holds = self.fleet(), self._policy().sla_classes(), self._holds()
        now = self._now()
        return [
            VMView(
                vm=fleet.vms[vm],
                endpoint=fleet.at[vm],
                rates=self._gauge.rates_of(vm),
                served=self._gauge.served(vm, classes.get(fleet.vms[vm].labels.get("sla", ""))),
                hold=holds.get(vm),
                drift=self._lookout.standing(vm),
                seen_at=now,
            )
            for vm in (fleet.vms if vms is None else vms)
        ]

    def load(self) -> Mapping[HostId, float]:
        """Return the part of each host's CPUs that its VMs use."""
        fleet = self.fleet()
        used: dict[HostId, float] = {}
        for vm in fleet.vms.values():
            if vm.host is not None:
                used[vm.host] = used.get(vm.host, 0.0) + (self._gauge.rates_of(vm.id)["cpu_cores"] or 0.0)
        return {host: used.get(host, 0.0) / (fleet.hosts[host].cpus or 1) for host in fleet.hosts}

    def find(self, untrusted_name: str) -> VMId:
        """Find a VM by id, or by name where only one has it. Raises NotFound, Conflict."""
        fleet = self.fleet()
        if untrusted_name in fleet.vms:
            return VMId(untrusted_name)
        named = [vm.id for vm in fleet.vms.values() if vm.name == untrusted_name]
        if len(named) > 1:
            raise Conflict(f"{len(named)} VMs have this name", subject=untrusted_name[:80], mend="use the id")
        if not named:
            raise NotFound("no such VM in the fleet", subject=untrusted_name[:80], mend="see `yamori fleet`")
        return named[0]

    def name_of(self, vm: VMId) -> str:
        """Return what people call a VM, its id when it is gone."""
        found = self.fleet().vms.get(vm)
        return vm if found is None else found.name

    def host_of(self, vm: VMId) -> HostId:
        """Return where a VM is. Raises NotFound."""
        host = self.fleet().vms[self.find(vm)].host
        if host is None:
            raise NotFound("the cloud does not say on which host it is", subject=vm)
        return host

    def keeper_of(self, vm: VMId) -> Keeper:
        """Return who keeps the endpoint that shows a VM. Raises NotFound."""
        return self._keepers[self.fleet().at[self.find(vm)]]

    def limit_kinds(self, vm: VMId) -> frozenset[LimitKind]:
        """Return which limits can be set for a VM where it is now. Raises NotFound."""
        return self.fleet().kinds.get(self.host_of(vm), frozenset())
