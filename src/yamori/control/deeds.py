"""What we have done lately and what is in force: what the brakes of policy count."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from yamori.control.fleet import Fleet
from yamori.manifest.module import Hold
from yamori.model.actions import Throttle
from yamori.model.ids import HostId, RunId, VMId
from yamori.model.run import ENDED, Run
from yamori.policy.facts import Deed

MOST = 10_000


class Deeds:
    """Remembers the begun runs, from the journal after a restart."""

    def __init__(self) -> None:
        self._begun: dict[RunId, Deed] = {}
        self._under_way: set[RunId] = set()

    def note(self, run: Run, fleet: Fleet) -> None:
        """Take a run as it stands now."""
        if run.id not in self._begun:
            self._begun[run.id] = _deed(run.subject, run, fleet)
            while len(self._begun) > MOST:
                del self._begun[next(iter(self._begun))]
        if run.state in ENDED:
            self._under_way.discard(run.id)
        else:
            self._under_way.add(run.id)

    def forget(self, run: RunId) -> None:
        """Drop a run that is not under way here: it did not come to be, or is left for later."""
        self._under_way.discard(run)

    def busy(self) -> frozenset[VMId]:
        """Return the VMs with a run under way."""
        return frozenset(self._begun[run].vm for run in self._under_way if run in self._begun)

    def in_force(self, holds: Mapping[VMId, Hold], fleet: Fleet) -> tuple[Deed, ...]:
        """Return runs under way and throttles that hold."""
        under_way = [self._begun[run] for run in self._under_way if run in self._begun]
        held = [
            Deed(
                vm=hold.vm,
                verb=Throttle.verb,
                effects=Throttle.effects,
                host=_host(hold.vm, fleet),
                site=_site(hold.vm, fleet),
                at=hold.since,
            )
            for hold in holds.values()
        ]
        return (*under_way, *held)

    def recent(self, now: datetime, seconds: float) -> tuple[Deed, ...]:
        """Return what was begun in the last seconds."""
        edge = now - timedelta(seconds=seconds)
        return tuple(deed for deed in self._begun.values() if deed.at > edge)


def _deed(vm: VMId, run: Run, fleet: Fleet) -> Deed:
    action = run.decision.action
    return Deed(
        vm=vm,
        verb=action.verb,
        effects=action.effects,
        host=_host(vm, fleet),
        site=_site(vm, fleet),
        at=run.created_at,
    )


def _host(vm: VMId, fleet: Fleet) -> HostId | None:
    return fleet.vms[vm].host if vm in fleet.vms else None


def _site(vm: VMId, fleet: Fleet) -> str | None:
    host = fleet.vms[vm].host if vm in fleet.vms else None
    return fleet.hosts[host].site if host is not None and host in fleet.hosts else None
