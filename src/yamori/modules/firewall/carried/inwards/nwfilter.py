"""Network filters in XML (nwfilter): one ``<filter>``, or several within another element.

Source: the page formatnwfilter of that format's project: Filtering chains, Priorities, Supported protocols.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from yamori.model.errors import Invalid
from yamori.model.filter_rule import Direction
from yamori.modules.firewall.carried.inwards.nwrule import LAYER2, Unsaid, step
from yamori.modules.firewall.carried.lost import Carried
from yamori.modules.firewall.carried.markup import Element, read_xml
from yamori.modules.firewall.carried.ordered import Party, Step, allowances
from yamori.modules.firewall.carried.sheet import Sheet, literal
from yamori.modules.firewall.groups import At, Unmatched
from yamori.modules.firewall.networks import EVERYTHING4, EVERYTHING6
from yamori.modules.firewall.service import ANY
from yamori.policy.nodes import tidy
from yamori.policy.selectors import Selector

LABEL = "nwfilter"
"""The label by which a VM says which filter its cards have."""
MOST_RULES = 50_000
IDENTITY = frozenset(
    {
        "allow-arp",
        "allow-dhcp",
        "allow-dhcp-server",
        "allow-incoming-ipv4",
        "allow-incoming-ipv6",
        "allow-ipv4",
        "allow-ipv6",
        "clean-traffic",
        "clean-traffic-gateway",
        "no-arp-ip-spoofing",
        "no-arp-mac-spoofing",
        "no-arp-spoofing",
        "no-ip-multicast",
        "no-ip-spoofing",
        "no-ipv6-multicast",
        "no-ipv6-spoofing",
        "no-mac-broadcast",
        "no-mac-spoofing",
        "no-other-l2-traffic",
        "no-other-rarp-traffic",
    }
)
"""Filters that come with that format's program: what a card may claim, which identity holds here."""


@dataclass(frozen=True, slots=True)
class _Placed:
    priority: int
    rule: Element


def read(untrusted_text: str | bytes, source: str) -> Carried:
    """Read network filters. Each that no other refers to becomes a group. Raises Invalid."""
    sheet = Sheet(source)
    root = read_xml(untrusted_text, source)
    found = [root] if root.tag == "filter" else [each for each in root.children if each.tag == "filter"]
    filters = {tidy(each.attributes.get("name", ""), 100): each for each in found}
    if not filters:
        raise Invalid(f"{source}: there is no filter in it", subject=source)
    inner = {
        part.attributes.get("filter", "") for each in found for part in each.children if part.tag == "filterref"
    }
    for name in filters if filters.keys() <= inner else filters.keys() - inner:
        _carry(sheet, source, name, filters)
    return sheet.carried()


def _carry(sheet: Sheet, source: str, name: str, filters: dict[str, Element]) -> None:
    placed = sorted(_rules(sheet, source, name, filters, ()), key=lambda each: each.priority)
    if len(placed) > MOST_RULES:
        raise Invalid(f"{source}: filter {name} has more than {MOST_RULES} rules", subject=source)
    outcome = {
        way: allowances(
            sheet, _steps(sheet, source, name, placed, way), otherwise=True, title=f"filter {name} {way}"
        )
        for way in Direction
    }
    group = sheet.group(
        f"filter {name}",
        select=Selector(label={LABEL: (literal(name) or "?",)}),
        default=Unmatched(into=outcome[Direction.IN][1], out=outcome[Direction.OUT][1]),
    )
    what = f"which VMs have filter {name}"
    sheet.lose(what, f"their interfaces say it: label them {LABEL}: {name}", by_hand=True)
    for way, (steps, _) in outcome.items():
        for each in steps:
            peers = [ANY]
            if each.peer.networks is not None:
                peers = sheet.network(f"peers of {each.title}", each.peer.networks)
            if way is Direction.IN:
                sheet.allow(each.title, calling=peers, called=[group], matches=each.matches, at=At.TO)
            else:
                sheet.allow(each.title, calling=[group], called=peers, matches=each.matches, at=At.FROM)


def _rules(
    sheet: Sheet, source: str, name: str, filters: dict[str, Element], above: tuple[str, ...]
) -> Iterator[_Placed]:
    if name in above or len(above) > 16:
        sheet.lose(f"{source}: filter {name}", "it refers to itself")
        return
    for each in filters[name].children:
        where = f"{source}:{each.line}:{each.column}"
        if each.tag == "rule":
            yield _Placed(_priority(each), each)
        elif each.tag == "filterref":
            other = tidy(each.attributes.get("filter", ""), 100)
            if other in filters:
                yield from _rules(sheet, source, other, filters, (*above, name))
            elif other in IDENTITY or "announce-self" in other:
                why = "what a card may claim is held by identity here"
                sheet.lose(f"{where}: filter {other}", why, by_hand=True)
                for family in _shut(other, filters[name]):
                    denial = {"action": "drop", "direction": "inout"}
                    what = Element(family, {}, each.line, each.column)
                    yield _Placed(-1_000_000, Element("rule", denial, each.line, each.column, [what]))
            else:
                sheet.lose(f"{where}: filter {other}", "it is not in the file; all after it may be denied by it")
                denial = {"action": "drop", "direction": "inout", "unknown": "yes"}
                yield _Placed(-1_000_000, Element("rule", denial, each.line, each.column))
        elif each.tag != "uuid":
            sheet.lose(f"{where}: element {tidy(each.tag, 40)}", "it is not known here")


def _shut(other: str, beside: Element) -> Iterator[str]:
    """Return which families of IP a filter that comes with the program lets nothing through of."""
    named = {part.attributes.get("filter", "") for part in beside.children if part.tag == "filterref"}
    if other in ("clean-traffic", "clean-traffic-gateway", "no-other-l2-traffic"):
        if not named & {"allow-ipv6", "allow-incoming-ipv6"}:
            yield "ipv6"
        if other == "no-other-l2-traffic" and not named & {"allow-ipv4", "allow-incoming-ipv4", "clean-traffic"}:
            yield "ip"


def _priority(rule: Element) -> int:
    try:
        return int(rule.attributes.get("priority", "500")[:9])
    except ValueError:
        return 500


def _steps(sheet: Sheet, source: str, name: str, placed: list[_Placed], way: Direction) -> list[Step]:
    """Return the rules of one way: those about frames come first, as they do there."""
    low: list[Step] = []
    high: list[Step] = []
    passed: set[int] = set()
    for each in placed:
        where = f"{source}:{each.rule.line}:{each.rule.column}"
        title = f"{name} line {each.rule.line}"
        kind = each.rule.children[0].tag if each.rule.children else ""
        try:
            made = step(each.rule, way, title)
        except Unsaid as why:
            if why.told or way is Direction.IN or each.rule.attributes.get("direction") == "out":
                sheet.lose(f"{where}: rule {title} ({way})", str(why), by_hand=why.by_hand)
            if why.denies:
                high.append(Step(title=title, allow=False, peer=Party(groups=("?",))))
            continue
        if made is None:
            continue
        if kind not in LAYER2:
            high.append(made)
        elif made.allow:
            passed |= {part.version for part in made.peer.networks or (EVERYTHING4, EVERYTHING6)}
        elif made.peer.anybody and kind in ("", "mac"):
            low += [
                Step(title=title, allow=False, peer=Party(networks=(everything,)))
                for version, everything in ((4, EVERYTHING4), (6, EVERYTHING6))
                if version not in passed
            ]
        else:
            low.append(made)
    return low + high
