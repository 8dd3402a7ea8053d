"""Kubernetes NetworkPolicy: one for each group that denies.

Source: API networking.k8s.io/v1, NetworkPolicySpec (kubernetes.io/docs/reference/kubernetes-api/policy-resources).
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from yamori.model.filter_rule import TCP, UDP, Direction
from yamori.modules.firewall.carried.lost import Given, Lost
from yamori.modules.firewall.carried.outwards.sides import Side, peers_of, sides
from yamori.modules.firewall.carried.outwards.unsaid import unsaid
from yamori.modules.firewall.groups import DEFAULT, Group, Unmatched
from yamori.modules.firewall.naming import slug
from yamori.modules.firewall.reading import Groups
from yamori.modules.firewall.service import ANY, Match
from yamori.policy.selectors import Selector

OF_GROUP = "group.yamori.dev/"
"""Begins the label of a VM in a group whose selector pods cannot say."""
_PROTOCOLS = {TCP: "TCP", UDP: "UDP", 132: "SCTP"}
_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


def write(groups: Groups) -> Given:
    """Return the policies as one file. They belong into the namespace of the pods."""
    named = groups.firewall.groups
    lost = list(unsaid(groups.firewall, {"default"}))
    rules: dict[tuple[str, Direction], list[dict[str, Any]]] = defaultdict(list)
    for side in sides(groups):
        rule, missing = _rule(groups, side)
        lost += missing
        if rule is not None and (side.owner == DEFAULT or _open(named[side.owner], side.way)):
            why = "a policy that names a direction closes it; this group leaves it open"
            if side.owner == DEFAULT:
                why = "pods that no policy selects are open, and have no rules"
            lost.append(Lost(what=f"rule {side.rule.id} at group {side.owner}", why=why))
        elif rule is not None:
            rules[side.owner, side.way].append(rule)
    policies = [_policy(groups, name, rules) for name in named if name != DEFAULT]
    policies += list(_for_the_rest(groups, lost))
    for name, group in named.items():
        if name != DEFAULT and _labels(group.select) is None:
            what = f"which VMs are in group {name}"
            lost.append(Lost(what=what, why=f"label them {OF_GROUP}{slug(name)}: member", by_hand=True))
    text = "".join(
        f"---\n{json.dumps(policy, indent=1)}\n" for policy in policies if policy["spec"]["policyTypes"]
    )
    return Given(
        files={"networkpolicies.yaml": text or "# no group denies anything\n"}, lost=tuple(dict.fromkeys(lost))
    )


def _open(group: Group, way: Direction) -> bool:
    return group.default.into if way is Direction.IN else group.default.out


def _policy(groups: Groups, name: str, rules: dict[tuple[str, Direction], list[dict[str, Any]]]) -> dict[str, Any]:
    spec: dict[str, Any] = {"podSelector": _pods(groups, name), "policyTypes": []}
    for way, kind in ((Direction.IN, "Ingress"), (Direction.OUT, "Egress")):
        if not _open(groups.firewall.groups[name], way):
            spec["policyTypes"].append(kind)
            spec[kind.lower()] = rules[name, way]
    return _made(slug(name).replace("_", "-"), spec)


def _made(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }


def _for_the_rest(groups: Groups, lost: list[Lost]) -> Iterator[dict[str, Any]]:
    """Close the pods that are in no group: by a policy for all, which says nothing new about the others."""
    rest = groups.firewall.groups.get(DEFAULT, Group())
    if rest.default == Unmatched(into=True, out=True):
        return
    others = [group for name, group in groups.firewall.groups.items() if name != DEFAULT]
    types = []
    for way, kind in ((Direction.IN, "Ingress"), (Direction.OUT, "Egress")):
        if _open(rest, way):
            continue
        if any(_open(group, way) for group in others):
            why = "a policy for all pods would close the groups that are open too"
            lost.append(Lost(what=f"VMs in no group are closed ({kind.lower()})", why=why, wider=True))
        else:
            types.append(kind)
    yield _made("in-no-group", {"podSelector": {}, "policyTypes": types})


def _rule(groups: Groups, side: Side) -> tuple[dict[str, Any] | None, list[Lost]]:
    title = f"rule {side.rule.id}"
    missing: list[Lost] = []
    ports: list[dict[str, Any]] = []
    for match in side.matches:
        found = _ports(match)
        if found is None:
            why = "only TCP, UDP and SCTP, and no port 0, no calling ports and no ICMP have words there"
            missing.append(Lost(what=title, why=why))
        else:
            ports += found
    peers: list[dict[str, Any]] = []
    anybody = False
    for peer in peers_of(groups, side, missing):
        if not isinstance(peer, str):
            peers.append({"ipBlock": {"cidr": str(peer)}})
        elif peer == DEFAULT:
            missing.append(Lost(what=f"{title}: group {DEFAULT}", why="VMs in no group cannot be selected"))
        elif peer == ANY:
            anybody = True
        else:
            peers.append({"podSelector": _pods(groups, peer)})
    anything = Match() in side.matches
    if not (ports or anything) or not (peers or anybody):
        return None, missing
    rule: dict[str, Any] = {} if anything else {"ports": ports}
    return rule | ({} if anybody else {"from" if side.way is Direction.IN else "to": peers}), missing


def _ports(match: Match) -> list[dict[str, Any]] | None:
    if match.protocol is None:
        return []
    word = _PROTOCOLS.get(match.protocol)
    if word is None or match.client_ports or any(span.low == 0 for span in match.ports):
        return None
    if not match.ports:
        return [{"protocol": word}]
    return [
        {"protocol": word, "port": span.low, **({"endPort": span.high} if span.high > span.low else {})}
        for span in match.ports
    ]


def _pods(groups: Groups, name: str) -> dict[str, Any]:
    labels = _labels(groups.firewall.groups[name].select)
    return {"matchLabels": {OF_GROUP + slug(name): "member"}} if labels is None else labels


def _labels(select: Selector | None) -> dict[str, Any] | None:
    """Say a selector in a pod's words; None where they do not suffice."""
    if select is None or not select.model_fields_set <= {"label", "tenant", "sla"}:
        return None
    wanted = {**(select.label or {}), "tenant": select.tenant, "sla": select.sla}
    expressions = []
    for key, values in wanted.items():
        if values is None:
            continue
        if _KEY.fullmatch(key) is None or (values != ("*",) and not all(map(_VALUE.fullmatch, values))):
            return None
        how = {"operator": "Exists"} if values == ("*",) else {"operator": "In", "values": list(values)}
        expressions.append({"key": key, **how})
    return {"matchExpressions": expressions} if expressions else {}
