"""Network filters in XML (nwfilter): one for each group, and one for each VM that refers to those of its groups.

Source: the page formatnwfilter of that format's project. Groups of VMs as the other side become the addresses that
they have now: they do not follow the fleet.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import quoteattr

from yamori.model.errors import Invalid
from yamori.model.filter_rule import ICMP, ICMPV6, Direction, Network, Span
from yamori.modules.firewall.bounds import bounds
from yamori.modules.firewall.carried.inwards.nwrule import PROTOCOLS
from yamori.modules.firewall.carried.lost import Given, Lost
from yamori.modules.firewall.carried.outwards.sides import Side, sides
from yamori.modules.firewall.carried.outwards.unsaid import unsaid
from yamori.modules.firewall.fleet import Fleet
from yamori.modules.firewall.groups import Mode
from yamori.modules.firewall.membership import membership
from yamori.modules.firewall.naming import slug
from yamori.modules.firewall.networks import EVERYTHING4, EVERYTHING6
from yamori.modules.firewall.parts import Parts
from yamori.modules.firewall.reading import Groups
from yamori.modules.firewall.service import Match

MOST_RULES = 100_000
_TAGS = {(number, family): tag for tag, (number, family) in PROTOCOLS.items()}


def write(groups: Groups, fleet: Fleet) -> Given:
    """Return all filters in one file, within ``<filters>``. Raises Invalid when they are too many rules."""
    lost = list(unsaid(groups.firewall, {"default"}))
    there = membership(groups.firewall, fleet)
    parts = Parts(groups, fleet, there.members)
    rules: dict[str, list[str]] = {name: [] for name in groups.firewall.groups}
    for side in sides(groups):
        for match in side.matches:
            rules[side.owner] += _rules(parts, side, match, lost)
        if sum(map(len, rules.values())) > MOST_RULES:
            raise Invalid(
                f"{groups.source}: that would be more than {MOST_RULES} rules there", subject=groups.source
            )
    text = ["<filters>"]
    for name, lines in rules.items():
        text += [
            f"  <filter name={quoteattr(_of_group(name))} chain='root'>",
            *dict.fromkeys(lines),
            "  </filter>",
        ]
    for vm in fleet.vms.values():
        sure = there.groups[vm.id]
        held = bounds(
            [groups.firewall.groups[name] for name in sure],
            [groups.firewall.groups[name] for name in there.unsure.get(vm.id, ())],
            closed=Mode.ENFORCE,
        )
        title = of_vm(vm.name)
        text.append(f"  <filter name={quoteattr(title)} chain='root'>")
        text += [f"    <filterref filter={quoteattr(_of_group(name))}/>" for name in sure]
        for way, open_ in (("in", held.unmatched.into), ("out", held.unmatched.out)):
            if not open_:
                for tag in ("all", "all-ipv6"):
                    text.append(f"    <rule action='drop' direction='{way}' priority='1000'><{tag}/></rule>")
        text.append("  </filter>")
        lost.append(Lost(what=f"VM {vm.name}", why=f"let its interfaces refer to filter {title}", by_hand=True))
    why = "let the filters refer to clean-traffic, or to no-mac-spoofing and no-ip-spoofing, with the variable IP"
    lost.append(Lost(what="what a card may claim to be", why=why, by_hand=True))
    return Given(files={"nwfilters.xml": "\n".join([*text, "</filters>"]) + "\n"}, lost=tuple(dict.fromkeys(lost)))


def of_vm(name: str) -> str:
    """Return the name of a VM's filter."""
    return f"yamori-vm-{slug(name)}"


def _of_group(name: str) -> str:
    return f"yamori-group-{slug(name)}"


def _rules(parts: Parts, side: Side, match: Match, lost: list[Lost]) -> Iterator[str]:
    peers = parts.peers(side.peers, side.rule.except_ or ())
    own, other = ("dst", "src") if side.way is Direction.IN else ("src", "dst")
    called, calling = (own, other) if side.way is Direction.IN else (other, own)
    everybody: tuple[Network, ...] = (EVERYTHING4, EVERYTHING6)
    for peer in everybody if peers is None else peers:
        if match.protocol in (ICMP, ICMPV6) and (match.protocol == ICMP) is not (peer.version == 4):
            continue
        tag = _TAGS.get((match.protocol, peer.version))
        if tag is None:
            lost.append(Lost(what=f"rule {side.rule.id}", why=f"protocol {match.protocol} has no word there"))
            return
        where = (
            "" if peers is None else f" {other}ipaddr='{peer.network_address}' {other}ipmask='{peer.prefixlen}'"
        )
        for ports in match.ports or (None,):
            for clients in match.client_ports or (None,):
                for each in match.types or (None,):
                    kind = "" if each is None else f" type='{each}'"
                    what = f"<{tag}{where}{_range(called, ports)}{_range(calling, clients)}{kind}/>"
                    yield f"    <rule action='accept' direction='{side.way}' priority='500'>{what}</rule>"


def _range(side: str, span: Span | None) -> str:
    return "" if span is None else f" {side}portstart='{span.low}' {side}portend='{span.high}'"
