"""The distributed firewall of NSX, as a tree for its policy API (``PATCH /policy/api/v1/infra``).

Source: NSX Policy API, types Infra, Group, Service, SecurityPolicy and Rule (developer.broadcom.com).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from yamori.model.filter import Replies
from yamori.model.filter_rule import ICMP, ICMPV6, TCP, UDP, Direction
from yamori.modules.firewall.carried.lost import Given, Lost
from yamori.modules.firewall.carried.outwards.sides import Side, peers_of, sides
from yamori.modules.firewall.carried.outwards.unsaid import unsaid
from yamori.modules.firewall.groups import DEFAULT, Group
from yamori.modules.firewall.naming import slug
from yamori.modules.firewall.reading import Groups
from yamori.modules.firewall.service import ANY, Match, written
from yamori.policy.selectors import Selector

BY_HAND = "yamori-group"
"""Scope of the tag of a VM in a group whose selector NSX cannot say."""
_DOMAIN = "/infra/domains/default/groups/"
MOST_PORTS = 15
"""So many ports one service entry takes; a range counts as one (Policy API, L4PortSetServiceEntry)."""


def write(groups: Groups) -> Given:
    """Return groups and one security policy: allowances first, denials of everything to each group last."""
    named = groups.firewall.groups
    lost = list(unsaid(groups.firewall, {"default"}))
    services: dict[str, list[Any]] = {}
    rules = [rule for side in sides(groups) for rule in _rules(groups, side, services, lost)]
    for way in Direction:
        rules += _closed(groups, way, lost)
    lost += _stateful(groups)
    children = []
    for name, group in named.items():
        if name == DEFAULT:
            continue
        expression = _expression(group.select)
        if expression is None:
            tag = {"resource_type": "Condition", "member_type": "VirtualMachine", "key": "Tag"}
            expression = [{**tag, "operator": "EQUALS", "value": f"{BY_HAND}.{slug(name)}|member"}]
            why = f"give them the tag member with scope {BY_HAND}.{slug(name)}"
            lost.append(Lost(what=f"which VMs are in group {name}", why=why, by_hand=True))
        made = {"resource_type": "Group", "id": slug(name), "display_name": name, "expression": expression}
        children.append({"resource_type": "ChildGroup", "Group": made})
    for number, rule in enumerate(rules):
        rule["sequence_number"] = 10 * (number + 1)
    policy = {
        "resource_type": "SecurityPolicy",
        "id": "yamori",
        "display_name": "yamori",
        "category": "Application",
        "stateful": True,
        "rules": rules,
    }
    children.append({"resource_type": "ChildSecurityPolicy", "SecurityPolicy": policy})
    domain = {"resource_type": "Domain", "id": "default", "children": children}
    beside: list[dict[str, Any]] = [{"resource_type": "ChildDomain", "Domain": domain}]
    for name, entries in services.items():
        numbered = [{**each, "id": f"{name}-{index}"} for index, each in enumerate(entries)]
        service = {"resource_type": "Service", "id": name, "display_name": name, "service_entries": numbered}
        beside.append({"resource_type": "ChildService", "Service": service})
    tree = {"resource_type": "Infra", "children": beside}
    return Given(files={"infra.json": json.dumps(tree, indent=1) + "\n"}, lost=tuple(dict.fromkeys(lost)))


def _open(group: Group, way: Direction) -> bool:
    return group.default.into if way is Direction.IN else group.default.out


def _closed(groups: Groups, way: Direction, lost: list[Lost]) -> Iterator[dict[str, Any]]:
    """Deny what no rule allows: to everybody where all groups do, else to each group that does."""
    named = groups.firewall.groups
    rest = named.get(DEFAULT, Group())
    shut = [name for name in named if name != DEFAULT and not _open(named[name], way)]
    if not _open(rest, way) and len(shut) == len(named.keys() - {DEFAULT}):
        yield _rule(f"closed {way}", ["ANY"], ["ANY"], [], way.upper(), ["ANY"], "DROP")
        return
    if not _open(rest, way):
        why = "to deny everybody there would close the groups that are open too"
        lost.append(Lost(what=f"VMs in no group are closed ({way})", why=why, wider=True))
    if shut:
        yield _rule(f"closed {way}", ["ANY"], ["ANY"], [], way.upper(), [_path(n) for n in shut], "DROP")


def _stateful(groups: Groups) -> Iterator[Lost]:
    for name, group in groups.firewall.groups.items():
        if group.replies is Replies.NONE:
            yield Lost(what=f"group {name}: replies none", why="there a policy is stateful as a whole", wider=True)


def _path(name: str) -> str:
    return _DOMAIN + slug(name)


def _rules(
    groups: Groups, side: Side, services: dict[str, list[Any]], lost: list[Lost]
) -> Iterator[dict[str, Any]]:
    title = f"{side.rule.id} {side.way}"
    if side.owner == DEFAULT:
        lost.append(
            Lost(what=f"rule {side.rule.id} at group {DEFAULT}", why="VMs in no group cannot be meant there")
        )
        return
    peers: list[str] = []
    for peer in peers_of(groups, side, lost):
        if not isinstance(peer, str):
            peers.append(str(peer))
        elif peer == DEFAULT:
            lost.append(Lost(what=f"rule {title}: group {DEFAULT}", why="VMs in no group cannot be meant there"))
        else:
            peers.append("ANY" if peer == ANY else _path(peer))
    if not peers:
        return
    entries = [entry for match in side.matches for entry in _entries(match)]
    whole = Match() in side.matches
    own = [_path(side.owner)]
    for low in range(0, 1 if whole else len(entries), 50):
        some = [] if whole else entries[low : low + 50]
        for other in range(0, len(peers), 128):  # the most that one rule takes
            part = peers[other : other + 128]
            calling, called = (part, own) if side.way is Direction.IN else (own, part)
            if some:
                services[_service(some)] = some
            yield _rule(title, calling, called, some, side.way.upper(), own, "ALLOW")


def _rule(
    title: str, calling: list[str], called: list[str], entries: list[Any], way: str, scope: list[str], action: str
) -> dict[str, Any]:
    return {
        "resource_type": "Rule",
        "id": slug(f"{title} {calling[0]} {called[0]} {len(entries)}"),
        "display_name": title,
        "source_groups": calling,
        "destination_groups": called,
        "services": [f"/infra/services/{_service(entries)}"] if entries else ["ANY"],
        "direction": way,
        "ip_protocol": "IPV4_IPV6",
        "scope": scope,
        "action": action,
    }


def _service(entries: list[Any]) -> str:
    return f"yamori-{hashlib.sha256(json.dumps(entries).encode()).hexdigest()[:16]}"


def _entries(match: Match) -> Iterator[dict[str, Any]]:
    if match.protocol in (TCP, UDP):
        word = "TCP" if match.protocol == TCP else "UDP"
        entry: dict[str, Any] = {"resource_type": "L4PortSetServiceEntry", "l4_protocol": word}
        called, calling = [str(p) for p in written(match.ports)], [str(p) for p in written(match.client_ports)]
        for low in range(0, max(len(called), 1), MOST_PORTS):
            for other in range(0, max(len(calling), 1), MOST_PORTS):
                yield {
                    **entry,
                    "destination_ports": called[low : low + MOST_PORTS],
                    "source_ports": calling[other : other + MOST_PORTS],
                }
    elif match.protocol in (ICMP, ICMPV6):
        family = {
            "resource_type": "ICMPTypeServiceEntry",
            "protocol": "ICMPv4" if match.protocol == ICMP else "ICMPv6",
        }
        for each in match.types or (None,):
            yield family if each is None else {**family, "icmp_type": each}
    elif match.protocol is not None:
        yield {"resource_type": "IPProtocolServiceEntry", "protocol_number": match.protocol}


def _expression(select: Selector | None) -> list[dict[str, Any]] | None:
    """Say a selector by tags and names: conditions joined by AND. None where they do not suffice."""
    if select is None or not select.model_fields_set <= {"label", "tenant", "sla", "name"}:
        return None
    wanted = {**(select.label or {}), "tenant": select.tenant, "sla": select.sla}
    found: list[dict[str, Any]] = []
    for key, values in (*wanted.items(), (None, select.name)):
        if values is None:
            continue
        value = values[0]
        if len(values) != 1 or any(c in "*?[" for c in value) or (key is not None and "|" in key):
            return None
        condition = {"resource_type": "Condition", "member_type": "VirtualMachine", "operator": "EQUALS"}
        what = {"key": "Name", "value": value} if key is None else {"key": "Tag", "value": f"{key}|{value}"}
        if found:
            found.append({"resource_type": "ConjunctionOperator", "conjunction_operator": "AND"})
        found.append({**condition, **what})
    return found or None
