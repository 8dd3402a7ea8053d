"""OpenStack security groups, as Neutron's API has them.

Source: Networking API v2.0, security-groups and security-group-rules (docs.openstack.org/api-ref/network/v2).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

from yamori.model.filter import Replies
from yamori.model.filter_rule import ICMP, ICMPV6, Direction
from yamori.modules.firewall.carried.lost import Given, Lost
from yamori.modules.firewall.carried.outwards.sides import Side, peers_of, sides
from yamori.modules.firewall.carried.outwards.unsaid import unsaid
from yamori.modules.firewall.groups import DEFAULT
from yamori.modules.firewall.reading import Groups
from yamori.modules.firewall.service import ANY, Match, protocol_name

IN_NO_GROUP = "in-no-group"
"""What the default group is called there, where ``default`` is another thing."""
_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://yamori.dev/firewall")
_FAMILY = {ICMP: 4, ICMPV6: 6}


def write(groups: Groups) -> Given:
    """Return the document as ``{"security_groups": [...]}``."""
    lost = list(unsaid(groups.firewall, {"replies"}))
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in groups.firewall.groups}
    for side in sides(groups):
        for match in side.matches:
            if match.client_ports:
                lost.append(Lost(what=f"rule {side.rule.id}", why="ports of the calling side have no word there"))
                continue
            rows[side.owner] += _rows(groups, side, match, lost)
    security_groups = []
    for name, group in groups.firewall.groups.items():
        if group.replies is Replies.PROVEN:
            lost.append(Lost(what=f"group {name}: replies proven", why="there they are whenever it is stateful"))
        title = _title(name)
        lost.append(Lost(what=f"which VMs are in group {name}", why=f"put their ports in {title}", by_hand=True))
        security_groups.append(
            {
                "id": _id(name),
                "name": title,
                "description": group.description or "",
                "stateful": group.replies is not Replies.NONE,
                "security_group_rules": list({row["id"]: row for row in rows[name]}.values()),
            }
        )
    text = json.dumps({"security_groups": security_groups}, indent=1)
    return Given(files={"security-groups.json": text + "\n"}, lost=tuple(dict.fromkeys(lost)))


def _title(name: str) -> str:
    return IN_NO_GROUP if name == DEFAULT else name


def _id(name: str) -> str:
    return str(uuid.uuid5(_SPACE, name))


def _rows(groups: Groups, side: Side, match: Match, lost: list[Lost]) -> Iterator[dict[str, Any]]:
    family = _FAMILY.get(-1 if match.protocol is None else match.protocol)
    for version, remote in _remotes(groups, side, lost):
        if family not in (None, version):
            continue
        for low, high in _ranges(match):
            row = {
                "security_group_id": _id(side.owner),
                "direction": "ingress" if side.way is Direction.IN else "egress",
                "ethertype": f"IPv{version}",
                "protocol": _protocol(match.protocol),
                "port_range_min": low,
                "port_range_max": high,
                "remote_group_id": None,
                "remote_ip_prefix": None,
                **remote,
            }
            yield {"id": _id(json.dumps(row, sort_keys=True)), **row}


def _remotes(groups: Groups, side: Side, lost: list[Lost]) -> Iterator[tuple[int, dict[str, str]]]:
    for peer in peers_of(groups, side, lost):
        if isinstance(peer, str):
            remote = {} if peer == ANY else {"remote_group_id": _id(peer)}
            yield 4, remote
            yield 6, remote
        else:
            yield peer.version, {"remote_ip_prefix": str(peer)}


def _ranges(match: Match) -> list[tuple[int | None, int | None]]:
    if match.ports:
        return [(span.low, span.high) for span in match.ports]
    return [(each, None) for each in match.types] or [(None, None)]


def _protocol(number: int | None) -> str | None:
    if number is None:
        return None
    return "ipv6-icmp" if number == ICMPV6 else str(protocol_name(number))
