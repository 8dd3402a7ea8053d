"""Which VMs are in which groups. What the fleet does not say leaves a membership unsure, which allows nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from yamori.model.ids import VMId
from yamori.model.vm import VM
from yamori.modules.firewall.fleet import Fleet
from yamori.modules.firewall.groups import DEFAULT, Firewall
from yamori.policy.selectors import Selector

_GLOB = frozenset("*?[")


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """By group its VMs; by VM its groups in the order of their names, and those that may or may not be its own.

    A VM that is surely in none is in ``default`` where the document has that group.
    """

    members: Mapping[str, tuple[VMId, ...]]
    groups: Mapping[VMId, tuple[str, ...]]
    unsure: Mapping[VMId, tuple[str, ...]]


class _Index:
    """VMs by name and by label, so that a group is asked only about VMs that can be its own."""

    def __init__(self, vms: Iterable[VM]) -> None:
        self.all = list(vms)
        self.names: defaultdict[str, list[VM]] = defaultdict(list)
        self.labels: defaultdict[tuple[str, str], list[VM]] = defaultdict(list)
        for vm in self.all:
            self.names[vm.name].append(vm)
            for label in vm.labels.items():
                self.labels[label].append(vm)

    def candidates(self, selector: Selector) -> list[VM]:
        """Return VMs among which all are that the selector means, and few others."""
        choices = [self.all]
        if selector.name is not None and _literal(selector.name):
            choices.append([vm for name in dict.fromkeys(selector.name) for vm in self.names.get(name, ())])
        wanted = {**(selector.label or {}), "tenant": selector.tenant, "sla": selector.sla}
        for label, patterns in wanted.items():
            if patterns is not None and _literal(patterns):
                found = [self.labels.get((label, value), []) for value in dict.fromkeys(patterns)]
                choices.append(found[0] if len(found) == 1 else [vm for part in found for vm in part])
        if selector.all is not None:
            choices += [self.candidates(part) for part in selector.all]
        return min(choices, key=len)


def _literal(patterns: Iterable[str]) -> bool:
    return all(_GLOB.isdisjoint(pattern) for pattern in patterns)


def membership(firewall: Firewall, fleet: Fleet) -> Membership:
    """Ask every group about the fleet."""
    index = _Index(fleet.vms.values())
    members: dict[str, tuple[VMId, ...]] = {}
    groups: defaultdict[VMId, list[str]] = defaultdict(list)
    unsure: defaultdict[VMId, list[str]] = defaultdict(list)
    for name in sorted(firewall.groups):
        select = firewall.groups[name].select
        if select is None:
            continue
        sure: list[VMId] = []
        for vm in index.candidates(select):
            answer = select.matches(vm, None if vm.host is None else fleet.hosts.get(vm.host))
            if answer:
                sure.append(vm.id)
                groups[vm.id].append(name)
            elif answer is None:
                unsure[vm.id].append(name)
        members[name] = tuple(sure)
    if DEFAULT in firewall.groups:
        alone = tuple(vm for vm in fleet.vms if vm not in groups)
        members[DEFAULT] = alone
        groups.update({vm: [DEFAULT] for vm in alone})
    return Membership(
        members=members,
        groups={vm: tuple(groups.get(vm, ())) for vm in fleet.vms},
        unsure={vm: tuple(names) for vm, names in unsure.items()},
    )
