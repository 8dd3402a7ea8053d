"""The distributed firewall of NSX, as its policy API has it: groups, services, security policies.

Source: NSX Policy API, types Infra, Group, Service, SecurityPolicy and Rule (developer.broadcom.com). Taken are
the tree of ``/infra``, lists with ``results``, and objects with lists of any of these.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yamori.model.errors import Invalid
from yamori.model.filter_rule import Direction, Network
from yamori.modules.firewall.carried.inwards.nsxgroups import Unsaid, select_of
from yamori.modules.firewall.carried.inwards.nsxservices import entry_of
from yamori.modules.firewall.carried.lost import Carried
from yamori.modules.firewall.carried.ordered import ANYBODY, Party, Step, allowances
from yamori.modules.firewall.carried.plainjson import listed, mapping, number, read_json, text
from yamori.modules.firewall.carried.sheet import Sheet
from yamori.modules.firewall.groups import At, Unmatched
from yamori.modules.firewall.networks import EVERYTHING4, EVERYTHING6, networks
from yamori.modules.firewall.service import ANY, Match
from yamori.policy.selectors import Selector

MOST_OBJECTS = 500_000
_CATEGORIES = ("Ethernet", "Emergency", "Infrastructure", "Environment", "Application")
_KINDS = ("Group", "Service", "SecurityPolicy", "Rule")


def read(untrusted_text: str | bytes, source: str) -> Carried:
    """Read a distributed firewall. Raises Invalid when there is no security policy in it."""
    sheet = Sheet(source)
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in _KINDS}
    for count, (kind, each) in enumerate(_objects(read_json(untrusted_text, source), "")):
        if count > MOST_OBJECTS:
            raise Invalid(f"{source}: more than {MOST_OBJECTS} objects (split it)", subject=source)
        found[kind].append(each)
    policies = sorted(found["SecurityPolicy"], key=_category)
    if not policies:
        raise Invalid(f"{source}: there is no security policy in it", subject=source)
    wall = _Wall(sheet, found["Group"], found["Service"])
    for rule in _rules(sheet, policies, found["Rule"]):
        wall.take(rule)
    wall.carry()
    return sheet.carried()


def _objects(value: Any, hint: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Find groups, services, policies and rules however deep they stand."""
    hints = {"groups": "Group", "services": "Service", "security_policies": "SecurityPolicy"}
    if isinstance(value, list):
        for each in value:
            yield from _objects(each, hint)
    elif isinstance(value, dict):
        kind = text(value.get("resource_type")) or hint
        if kind in _KINDS:
            yield kind, value
        for key in (*hints, "children", "results", "Domain", "Infra", *_KINDS):
            if isinstance(value.get(key), list | dict):
                yield from _objects(value[key], hints.get(key, key if key in _KINDS else ""))


def _category(policy: dict[str, Any]) -> tuple[int, int]:
    word = text(policy.get("category")) or "Application"
    place = _CATEGORIES.index(word) if word in _CATEGORIES else len(_CATEGORIES)
    return place, number(policy.get("sequence_number")) or 0


def _rules(sheet: Sheet, policies: list[dict[str, Any]], loose: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for policy in policies:
        title = text(policy.get("display_name") or policy.get("id"), 60)
        if text(policy.get("category")) == "Ethernet":
            sheet.lose(
                f"policy {title}", "rules about frames have no place here: identity holds what a card may claim"
            )
            continue
        path = text(policy.get("path"), 400)
        own = [mapping(each) for each in listed(policy.get("rules"))]
        own += [
            mapping(mapping(each).get("Rule"))
            for each in listed(policy.get("children"))
            if "Rule" in mapping(each)
        ]
        own += [each for each in loose if path and text(each.get("parent_path"), 400) == path]
        for rule in sorted(own, key=lambda each: number(each.get("sequence_number")) or 0):
            name = text(rule.get("display_name") or rule.get("id"), 60)
            scope = listed(rule.get("scope")) or listed(policy.get("scope")) or ["ANY"]
            yield {
                **rule,
                "scope": scope if scope != ["ANY"] else listed(policy.get("scope")) or ["ANY"],
                "title": f"{title} {name}",
            }


class _Wall:
    """The rules of both ways, in order, and the groups that they name."""

    def __init__(self, sheet: Sheet, groups: list[dict[str, Any]], services: list[dict[str, Any]]) -> None:
        self._sheet = sheet
        self._groups = {text(each.get("path"), 400) or _key(each): each for each in groups}
        self._services = {text(each.get("path"), 400) or _key(each): each for each in services}
        self._parties: dict[str, Party] = {}
        self._steps: dict[Direction, list[Step]] = {way: [] for way in Direction}

    def take(self, rule: dict[str, Any]) -> None:
        if rule.get("disabled") is True:
            return
        title = rule["title"]
        action = text(rule.get("action")).upper() or "ALLOW"
        try:
            ways = self._read(rule, title, allow=action == "ALLOW")
            _known_action(action)
        except Unsaid as why:
            self._sheet.lose(f"rule {title}", str(why))
            if action != "ALLOW":  # what it denies is not known: anything might be it
                for way in Direction:
                    self._steps[way].append(Step(title=title, allow=False, peer=Party(groups=("?",))))
            return
        for way, step in ways:
            self._steps[way].append(step)

    def _read(self, rule: dict[str, Any], title: str, *, allow: bool) -> list[tuple[Direction, Step]]:
        for key in ("sources_excluded", "destinations_excluded"):
            if rule.get(key) is True:
                raise Unsaid(f"{key}: all but a group has no words here")
        if any(
            text(each).rpartition("/")[2] != "NONE" and text(each) != "ANY"
            for each in listed(rule.get("profiles"))
        ):
            raise Unsaid("what is inside connections (profiles) is not looked at here")
        calling = self._party(rule.get("source_groups"))
        called = self._party(rule.get("destination_groups"))
        scope = self._party(listed(rule.get("scope")))
        matches = self._served(rule)
        calling, called = _of_family(text(rule.get("ip_protocol")), calling, called)
        wanted = text(rule.get("direction")).upper() or "IN_OUT"
        found = []
        for way, word, owner, peer in (
            (Direction.IN, "IN", called, calling),
            (Direction.OUT, "OUT", calling, called),
        ):
            if word in wanted:
                owned = _within_scope(owner, scope, allow=allow)
                found.append((way, Step(title=title, allow=allow, owner=owned, peer=peer, matches=matches)))
        return found

    def _party(self, untrusted_words: Any) -> Party:
        words = listed(untrusted_words)
        if not isinstance(untrusted_words, list | None):
            raise Unsaid("a list of groups is something else")
        groups: list[str] = []
        prefixes: list[Network] = []
        for word in (text(each, 400) for each in words):
            if word.upper() == "ANY":
                return ANYBODY
            try:
                direct = networks(word)
            except ValueError as error:
                raise Unsaid(str(error)) from None
            party = self._named(word) if direct is None else Party(networks=direct)
            groups += party.groups or ()
            prefixes += party.networks or ()
        if not words:
            return ANYBODY
        return Party(groups=tuple(groups) or None, networks=tuple(prefixes) or (None if groups else ()))

    def _named(self, path: str) -> Party:
        if path not in self._parties:
            group = self._groups.get(path) or self._groups.get(path.rpartition("/")[2])
            if group is None:
                raise Unsaid(f"group {path} is not in the file")
            select, prefixes = select_of(group)
            name = text(group.get("display_name"), 80) or _key(group)
            groups: tuple[str, ...] | None = None
            if select is not None:
                neutral = Unmatched(into=True, out=True)
                groups = (self._sheet.group(name, select=select, default=neutral),)
            words = tuple(prefixes) if prefixes or groups is None else None
            self._parties[path] = Party(groups=groups, networks=words)
        return self._parties[path]

    def _served(self, rule: dict[str, Any]) -> tuple[Match, ...]:
        found = [match for each in listed(rule.get("service_entries")) for match in entry_of(mapping(each))]
        for path in (text(each, 400) for each in listed(rule.get("services"))):
            if path.upper() == "ANY":
                if found:
                    raise Unsaid("services ANY beside entries: it is not clear which holds")
                return (Match(),)
            service = self._services.get(path) or self._services.get(path.rpartition("/")[2])
            if service is None:
                raise Unsaid(f"service {path} is not in the file")
            entries = listed(service.get("service_entries"))
            children = [mapping(each) for each in listed(service.get("children"))]
            entries = entries or [mapping(each.get("ServiceEntry")) for each in children]
            found += [match for each in entries for match in entry_of(mapping(each))]
        if not found and (rule.get("services") or rule.get("service_entries")):
            raise Unsaid("its services have no entries in the file")
        return tuple(dict.fromkeys(found)) or (Match(),)

    def carry(self) -> None:
        self._sheet.lose("tags of VMs", "they are labels here: scope is the name, tag the value", by_hand=True)
        outcome: dict[Direction, bool] = {}
        kept: dict[Direction, list[Step]] = {}
        closed: dict[Direction, set[str]] = {}
        for way, steps in self._steps.items():
            plain, closed[way] = _trailing(steps)
            kept[way], outcome[way] = allowances(
                self._sheet, plain, otherwise=True, title=f"distributed firewall {way}"
            )
        everybody = self._sheet.group(
            "every VM",
            select=Selector(),
            default=Unmatched(into=outcome[Direction.IN], out=outcome[Direction.OUT]),
        )
        for name in closed[Direction.IN] | closed[Direction.OUT]:
            unmatched = Unmatched(into=name not in closed[Direction.IN], out=name not in closed[Direction.OUT])
            self._sheet.close(name, unmatched)
        for way, steps in kept.items():
            for step in steps:
                self._allow(step, way, everybody)

    def _allow(self, step: Step, way: Direction, everybody: str) -> None:
        owner = [everybody] if step.owner.anybody else list(step.owner.groups or ())
        if step.owner.networks and not step.owner.anybody:
            why = "VMs are meant by group here, not by an address of their own: those behind it are not opened"
            self._sheet.lose(f"rule {step.title} ({way})", why)
        if not owner:
            return
        peers = [ANY] if step.peer.anybody else list(step.peer.groups or ())
        if step.peer.networks is not None and not step.peer.anybody:
            peers += self._sheet.network(f"peers of {step.title}", step.peer.networks)
        title = f"{step.title} {way}"
        if way is Direction.IN:
            self._sheet.allow(title, calling=peers, called=owner, matches=step.matches, at=At.TO, less=step.less)
        else:
            self._sheet.allow(title, calling=owner, called=peers, matches=step.matches, at=At.FROM, less=step.less)


def _trailing(steps: list[Step]) -> tuple[list[Step], set[str]]:
    """Part denials of everything to some groups, where no allowance follows them, from the rest."""
    closed: set[str] = set()
    rest = list(steps)
    last: list[Step] = []
    if rest and rest[-1].everything:
        last = [rest.pop()]
    while rest and not rest[-1].allow and rest[-1].peer.anybody and Match() in rest[-1].matches:
        owner = rest[-1].owner
        if owner.networks is not None or owner.groups is None or "?" in owner.groups:
            break
        closed.update(owner.groups)
        rest.pop()
    return rest + last, closed


def _within_scope(owner: Party, scope: Party, *, allow: bool) -> Party:
    if scope.anybody or scope == owner:
        return owner
    if owner.anybody:
        return scope
    if allow and not (owner.groups and scope.groups and set(owner.groups) <= set(scope.groups)):
        raise Unsaid("it is applied to other groups than it names")
    return owner


def _of_family(word: str, calling: Party, called: Party) -> tuple[Party, Party]:
    if word in ("", "IPV4_IPV6"):
        return calling, called
    only = EVERYTHING4 if word == "IPV4" else EVERYTHING6
    found = []
    for party in (calling, called):
        if party.groups is None:
            listed_ = (
                (only,) if party.anybody else tuple(n for n in party.networks or () if n.version == only.version)
            )
            found.append(Party(networks=listed_))
        else:
            found.append(party)
    if calling.groups is not None and called.groups is not None:
        raise Unsaid(f"between groups over {word} only")
    return found[0], found[1]


def _known_action(action: str) -> None:
    if action not in ("ALLOW", "DROP", "REJECT"):
        raise Unsaid(f"action {action} is not known here")


def _key(each: dict[str, Any]) -> str:
    return text(each.get("id"), 200)
