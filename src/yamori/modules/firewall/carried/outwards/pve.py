"""The firewall of PVE: ``cluster.fw`` with a security group and an IP set for each group, and a file for each VM.

Source: pve-firewall(8), chapters Configuration Files, Firewall Rules, Security Groups, IP Sets. Groups of VMs as
the other side become IP sets of the addresses that they have now: they do not follow the fleet.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from yamori.model.filter import Addressing, Service
from yamori.model.filter_rule import ICMP, ICMPV6, Direction
from yamori.modules.firewall.bounds import bounds
from yamori.modules.firewall.carried.lost import Given, Lost
from yamori.modules.firewall.carried.outwards.sides import Side, sides
from yamori.modules.firewall.carried.outwards.unsaid import unsaid
from yamori.modules.firewall.fleet import Fleet
from yamori.modules.firewall.groups import Mode
from yamori.modules.firewall.membership import membership
from yamori.modules.firewall.parts import Parts
from yamori.modules.firewall.reading import Groups
from yamori.modules.firewall.service import Match, protocol_name

_SOUND = re.compile(r"[a-z][a-z0-9_-]{1,17}")
_MOST_PORTS = 15
"""So many ports one line takes (iptables' multiport); a range counts twice."""


def write(groups: Groups, fleet: Fleet) -> Given:
    """Return the files by name; a VM's file is named by its label ``vmid``, or else by its name."""
    can = {"mode", "default", "serves", "addressing"}
    lost = list(unsaid(groups.firewall, can))
    there = membership(groups.firewall, fleet)
    parts = Parts(groups, fleet, there.members)
    lines: dict[str, list[str]] = {name: [] for name in groups.firewall.groups}
    sets: dict[str, tuple[str, ...]] = {}
    for side in sides(groups):
        lines[side.owner] += _lines(parts, side, sets)
    cluster = ["[OPTIONS]", "enable: 1", ""]
    for name, prefixes in sets.items():
        cluster += [f"[IPSET {name}]", *prefixes, ""]
    for name, rules in lines.items():
        cluster += [f"[group {_name(name)}]", *dict.fromkeys(rules), ""]
    files = {"cluster.fw": "\n".join(cluster) + "\n"}
    closed = Mode.ENFORCE
    for vm in fleet.vms.values():
        sure = there.groups[vm.id]
        held = bounds(
            [groups.firewall.groups[name] for name in sure],
            [groups.firewall.groups[name] for name in there.unsure.get(vm.id, ())],
            closed=closed,
        )
        options = [
            f"enable: {1 if held.mode is Mode.ENFORCE else 0}",
            f"policy_in: {'ACCEPT' if held.unmatched.into else 'DROP'}",
            f"policy_out: {'ACCEPT' if held.unmatched.out else 'DROP'}",
            f"ipfilter: {1 if held.addressing is Addressing.PINNED else 0}",
            f"radv: {1 if Service.ROUTER in held.serves else 0}",
            f"dhcp: {1 if held.dhcp_servers else 0}",
        ]
        text = ["[OPTIONS]", *options, "", "[RULES]", *(f"GROUP {_name(name)}" for name in sure)]
        number = vm.labels.get("vmid", "")
        if not number.isdigit():
            number = vm.name
            why = "files are named by a VM's number there: give it a label vmid, or rename the file"
            lost.append(Lost(what=f"the number of VM {vm.name}", why=why, by_hand=True))
        files[f"{re.sub('[^A-Za-z0-9_.-]', '-', number)}.fw"] = "\n".join(text) + "\n"
    return Given(files=files, lost=tuple(dict.fromkeys(lost)))


def _name(word: str) -> str:
    """Return a name of a group or set there: short, and begun by a letter."""
    if _SOUND.fullmatch(word) is not None:
        return word
    return f"g{hashlib.sha256(word.encode()).hexdigest()[:12]}"


def _lines(parts: Parts, side: Side, sets: dict[str, tuple[str, ...]]) -> Iterator[str]:
    peers = parts.peers(side.peers, side.rule.except_ or ())
    option = "-source" if side.way is Direction.IN else "-dest"
    comment = f" # {side.rule.id}"
    for match in side.matches:
        wanted = {ICMP: 4, ICMPV6: 6}.get(-1 if match.protocol is None else match.protocol)
        where = ""
        if peers is not None:
            fitting = tuple(str(each) for each in peers if wanted in (None, each.version))
            if not fitting:
                continue
            name = _name(f"{','.join(side.peers)} less {side.rule.except_} {wanted or ''}")
            sets[name] = fitting
            where = f" {option} +{name}"
        for service in _services(match):
            yield f"{side.way.upper()} ACCEPT{where}{service}{comment}"


def _services(match: Match) -> Iterator[str]:
    if match.protocol is None:
        yield ""
        return
    name = "icmpv6" if match.protocol == ICMPV6 else protocol_name(match.protocol)
    for each in match.types:
        yield f" -p {name} -icmp-type {each}"
    if match.types:
        return
    ports = [f"{span.low}:{span.high}" if span.high > span.low else str(span.low) for span in match.ports]
    calling = [f"{span.low}:{span.high}" if span.high > span.low else str(span.low) for span in match.client_ports]
    most = _MOST_PORTS // 2
    for low in range(0, max(len(ports), 1), most):
        for other in range(0, max(len(calling), 1), most):
            called = f" -dport {','.join(ports[low : low + most])}" if ports else ""
            there = f" -sport {','.join(calling[other : other + most])}" if calling else ""
            yield f" -p {name}{called}{there}"
