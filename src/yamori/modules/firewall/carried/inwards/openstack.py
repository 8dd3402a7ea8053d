"""OpenStack security groups: ``openstack security group show -f json``, rule lists, and Neutron's API.

Source: Networking API v2.0, security-groups and security-group-rules (docs.openstack.org/api-ref/network/v2).
"""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Any

from yamori.model.errors import Invalid
from yamori.model.filter import Replies
from yamori.model.filter_rule import ICMP, ICMPV6, TCP, UDP, Network, Span
from yamori.modules.firewall.carried.lost import Carried
from yamori.modules.firewall.carried.plainjson import listed, mapping, number, read_json, text
from yamori.modules.firewall.carried.sheet import Sheet
from yamori.modules.firewall.groups import MOST_WORDS, At
from yamori.modules.firewall.networks import EVERYTHING4, EVERYTHING6
from yamori.modules.firewall.service import PROTOCOLS, Match
from yamori.policy.selectors import Selector

LABEL = "security-group/"
"""Begins the label by which a VM says that it is in a group; any value does."""
_NUMBERS = {
    **PROTOCOLS,
    "ipv6-icmp": ICMPV6,
    "dccp": 33,
    "egp": 8,
    "ipv6-encap": 41,
    "ipv6-frag": 44,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "ipv6-route": 43,
    "pgm": 113,
    "rsvp": 46,
    "udplite": 136,
}
_Joint = dict[tuple[str, bool, Match], list[tuple[str, list[str]]]]
_PAIR = re.compile(r"(\w+)='([^']*)'")
_KEYS = {
    "security_group": "security_group_id",
    "ip_protocol": "protocol",
    "ip_range": "remote_ip_prefix",
    "remote_security_group": "remote_group_id",
    "remote_address_group": "remote_address_group_id",
}


class _Left(Exception):
    """Why a rule is left out."""


def read(untrusted_text: str | bytes, source: str) -> Carried:
    """Read security groups. Raises Invalid when the text is none of the forms."""
    sheet = Sheet(source)
    found = read_json(untrusted_text, source)
    groups, loose = _collected(found)
    if not groups and not loose:
        raise Invalid(f"{source}: there is no security group in it", subject=source, mend="give show -f json")
    names: dict[str, str] = {}
    for group in groups:
        _group(sheet, names, group)
    lists = {
        text(each.get(key)): [text(a) for a in listed(each.get("addresses"))]
        for each in map(mapping, listed(mapping(found).get("address_groups")))
        for key in ("id", "name")
    }
    joint: _Joint = {}
    for group in groups:
        owner = names[text(group.get("id")) or text(group.get("name"))]
        for index, rule in enumerate(_rules_of(sheet, group)):
            _rule(sheet, names, lists, joint, owner, rule, index)
    for index, rule in enumerate(loose):
        key = text(rule.get("security_group_id"))
        if key not in names:
            _group(sheet, names, {"id": key, "name": key})
        _rule(sheet, names, lists, joint, names[key], rule, index)
    _allow(sheet, joint)
    return sheet.carried()


def _collected(found: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    outer = mapping(found)
    rows = (
        outer.get("security_groups") or outer.get("security_group") or outer.get("security_group_rules") or found
    )
    groups: list[dict[str, Any]] = []
    loose: list[dict[str, Any]] = []
    for row in rows if isinstance(rows, list) else [rows]:
        plain = {str(key).lower().replace(" ", "_"): value for key, value in mapping(row).items()}
        if "direction" in plain:
            loose.append({_KEYS.get(key, key): value for key, value in plain.items()})
        elif "name" in plain or "id" in plain:
            groups.append(plain)
    return groups, loose


def _group(sheet: Sheet, names: dict[str, str], group: dict[str, Any]) -> None:
    title = text(group.get("name"), 90) or text(group.get("id"), 90)
    stateful = group.get("stateful") is not False
    name = sheet.group(
        title,
        select=Selector(label={LABEL + title: ("*",)}),
        description=text(group.get("description")) or None,
        replies=None if stateful else Replies.NONE,
    )
    names[text(group.get("id")) or title] = name
    names.setdefault(title, name)
    what, why = f"which VMs are in security group {title}", f"ports say it: label their VMs {LABEL}{title}: member"
    sheet.lose(what, why, by_hand=True)


def _rules_of(sheet: Sheet, group: dict[str, Any]) -> list[dict[str, Any]]:
    rules = group.get("security_group_rules", group.get("rules"))
    if isinstance(rules, str):  # older clients print each rule as a line of words
        return [dict(_PAIR.findall(line)) for line in rules.splitlines() if line.strip()]
    if rules is None:
        title = text(group.get("name"))
        sheet.lose(f"the rules of security group {title}", "a list of groups has none: use show, or the API")
    return [mapping(rule) for rule in listed(rules)]


def _rule(
    sheet: Sheet,
    names: dict[str, str],
    lists: dict[str, list[str]],
    joint: _Joint,
    owner: str,
    rule: dict[str, Any],
    index: int,
) -> None:
    title = f"{owner} {text(rule.get('id'), 40) or index + 1}"
    try:
        six = _is_six(rule)
        match = _match(rule, six=six)
        peers = _peers(sheet, names, lists, rule, six=six)
        inwards = _is_inwards(rule)
    except _Left as why:
        sheet.lose(f"rule {title}", str(why))
        return
    joint.setdefault((owner, inwards, match), []).append((title, peers))


def _allow(sheet: Sheet, joint: _Joint) -> None:
    """Add rules that differ in the other side only as one: a card takes few rules of many prefixes."""
    for (owner, inwards, match), many in joint.items():
        title, peers = many[0][0], list(dict.fromkeys(word for _, words in many for word in words))
        for low in range(0, len(peers), MOST_WORDS):
            part = peers[low : low + MOST_WORDS]
            if inwards:
                sheet.allow(title, calling=part, called=[owner], matches=[match], at=At.TO)
            else:
                sheet.allow(title, calling=[owner], called=part, matches=[match], at=At.FROM)


def _is_inwards(rule: dict[str, Any]) -> bool:
    way = text(rule.get("direction")).lower()
    if way not in ("ingress", "egress"):
        raise _Left(f"its direction is {way!r}")
    return way == "ingress"


def _is_six(rule: dict[str, Any]) -> bool:
    family = text(rule.get("ethertype")).lower()
    if family not in ("ipv4", "ipv6"):
        raise _Left(f"its ethertype is {family!r}, neither IPv4 nor IPv6")
    return family == "ipv6"


def _match(rule: dict[str, Any], *, six: bool) -> Match:
    word = text(rule.get("protocol")).lower()
    if word in ("", "any", "0", "none"):
        protocol = None
    elif (known := _NUMBERS.get(word, number(word))) is not None and 0 <= known <= 255:
        protocol = ICMPV6 if six and known == ICMP else known
    else:
        raise _Left(f"protocol {word!r} is not known")
    if protocol in (ICMP, ICMPV6) and (protocol == ICMPV6) is not six:
        raise _Left("ICMPv6 is not spoken over IPv4")
    low, high = _range(rule)
    if low is None:
        return Match(protocol=protocol)
    if protocol in (TCP, UDP):
        if high is None or not 0 <= low <= high <= 65535:
            raise _Left(f"{low} to {high} is no range of ports")
        return Match(protocol=protocol, ports=(Span(low=low, high=high),))
    if protocol in (ICMP, ICMPV6):
        if high is not None:
            raise _Left("it names an ICMP code, and codes are not told apart here")
        if low > 255:
            raise _Left(f"{low} is no ICMP type")
        return Match(protocol=protocol, types=(low,))
    raise _Left(f"ports of protocol {word or 'any'} are not looked at here")


def _range(rule: dict[str, Any]) -> tuple[int | None, int | None]:
    written = text(rule.get("port_range"))  # of `security group rule list`
    if written:
        parts = [part.rpartition("=")[2] for part in written.split(":")]
        low, high = number(parts[0]), number(parts[1]) if len(parts) == 2 else None
        if low is None:
            raise _Left(f"{written!r} is no range of ports")
        return low, high
    low, high = _bound(rule, "port_range_min"), _bound(rule, "port_range_max")
    if low is None and high is not None:
        raise _Left("it has the end of a range, and no beginning")
    return low, high


def _bound(rule: dict[str, Any], key: str) -> int | None:
    value = rule.get(key)
    if value in (None, "", "None", -1, "-1"):
        return None
    found = number(value)
    if found is None:
        raise _Left(f"{text(value, 40)!r} is no port and no type")
    return found


def _peers(
    sheet: Sheet, names: dict[str, str], lists: dict[str, list[str]], rule: dict[str, Any], *, six: bool
) -> list[str]:
    version = 6 if six else 4
    group, block = text(rule.get("remote_group_id")), text(rule.get("remote_address_group_id"))
    prefix = text(rule.get("remote_ip_prefix"))
    if group and group != "None":
        if group not in names:
            raise _Left(f"its remote group {group} is not in the file")
        return [names[group]]
    if block and block != "None":
        if block not in lists:
            raise _Left(
                f"its address group {block} is not in the file (put address_groups beside security_groups)"
            )
        several = [_prefix(each) for each in lists[block]]
        return sheet.network(f"address group {block}", [each for each in several if each.version == version])
    if not prefix or prefix == "None":
        return [str(EVERYTHING6 if six else EVERYTHING4)]
    one = _prefix(prefix)
    if one.version != version:
        raise _Left(f"{prefix} is not of its ethertype")
    return [str(one)]


def _prefix(word: str) -> Network:
    try:
        return ip_network(word, strict=False)
    except ValueError:
        raise _Left(f"{word!r} is no prefix") from None
