"""The firewall of PVE: ``cluster.fw`` and ``<vmid>.fw`` under ``/etc/pve/firewall``, one or several in a text.

Source: pve-firewall(8), chapters Configuration Files, Firewall Rules, IP Sets, Macro Definitions. Several files
are put into one text with a line ``# file: NAME`` before each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from yamori.model.errors import Invalid
from yamori.model.filter import Addressing, Service
from yamori.model.filter_rule import Direction, Network
from yamori.modules.firewall.carried.inwards.pverules import Line, Unsaid, matches_of, parsed
from yamori.modules.firewall.carried.lost import Carried
from yamori.modules.firewall.carried.ordered import ANYBODY, Party, Step, allowances
from yamori.modules.firewall.carried.sheet import Sheet
from yamori.modules.firewall.groups import At, Unmatched
from yamori.modules.firewall.networks import networks, without
from yamori.modules.firewall.service import ANY
from yamori.policy.nodes import tidy
from yamori.policy.selectors import Selector

LABEL = "vmid"
"""The label by which a VM says its number there."""
BLACKLIST = "blacklist"
"""The IP set of the cluster whose members reach no VM."""
MOST_BYTES, MOST_LINES = 4 << 20, 100_000
_FILE = re.compile(r"#\s*file:\s*(?:\S*/)?(\S+)\s*")
_SECTION = re.compile(r"\[(?:(OPTIONS|ALIASES|RULES)|(IPSET|GROUP)\s+(\S+))\s*\](?:\s*#.*)?", re.IGNORECASE)
_IGNORED = {"log_level_in", "log_level_out", "macfilter", "ndp", "ebtables", "log_ratelimit", "ips", "ips_queues"}
_KNOWN = _IGNORED | {"enable", "dhcp", "radv", "ipfilter", "policy_in", "policy_out", "policy_forward"}


@dataclass
class _Sections:
    """One file's content."""

    options: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    sets: dict[str, list[str]] = field(default_factory=dict)
    groups: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    rules: list[tuple[int, str]] = field(default_factory=list)


def read(untrusted_text: str | bytes, source: str) -> Carried:
    """Read one file, or several with a line ``# file: NAME`` before each. Raises Invalid."""
    if len(untrusted_text) > MOST_BYTES:
        raise Invalid(f"{source}:1:1: the file is larger than {MOST_BYTES} bytes (split it)", subject=source)
    whole = untrusted_text.decode("utf-8", "replace") if isinstance(untrusted_text, bytes) else untrusted_text
    sheet = Sheet(source)
    files = _files(whole, source, sheet)
    machines = {name: content for name, content in files.items() if name != "cluster"}
    if not machines:
        raise Invalid(
            f"{source}: no VM's rules are in it", subject=source, mend="give <vmid>.fw, not only cluster.fw"
        )
    cluster = files.get("cluster", _Sections())
    if cluster.rules:
        sheet.lose(f"{source}: [RULES] of cluster.fw", "they are for the hosts themselves, not for VMs")
    for name, content in machines.items():
        _Machine(sheet, source, name, content, cluster).carry()
    return sheet.carried()


def _files(whole: str, source: str, sheet: Sheet) -> dict[str, _Sections]:
    files: dict[str, _Sections] = {}
    lines = whole.splitlines()
    if len(lines) > MOST_LINES:
        raise Invalid(f"{source}:1:1: more than {MOST_LINES} lines (split it)", subject=source)
    current = re.sub(r"\.fw$", "", source.rpartition("/")[2])
    kind, name = "", ""
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if (named := _FILE.fullmatch(line)) is not None:
            current, kind = re.sub(r"\.fw$", "", named[1]), ""
            continue
        if not line or line.startswith("#"):
            continue
        sections = files.setdefault(current, _Sections())
        if line.startswith("["):
            heading = _SECTION.fullmatch(line)
            kind = "" if heading is None else (heading[1] or heading[2]).lower()
            name = "" if heading is None else (heading[3] or "").lower()
            if heading is None:
                sheet.lose(f"{source}:{number}:1: {tidy(line, 60)}", "this section is not known here")
        elif not _taken(sections, kind, name, number, line):
            sheet.lose(f"{source}:{number}:1: {tidy(line, 60)}", "this line is in no section that is known here")
    return files


def _taken(sections: _Sections, kind: str, name: str, number: int, line: str) -> bool:
    bare = line.split("#", 1)[0].strip()
    if kind == "options" and ":" in bare:
        key, _, value = bare.partition(":")
        sections.options[key.strip().lower()] = value.strip()
    elif kind == "aliases" and len(bare.split()) >= 2:
        alias, value = bare.split()[:2]
        sections.aliases[alias.lower()] = value
    elif kind == "ipset":
        sections.sets.setdefault(name, []).append(bare)
    elif kind == "group":
        sections.groups.setdefault(name, []).append((number, bare))
    elif kind == "rules":
        sections.rules.append((number, bare))
    else:
        return False
    return True


class _Machine:
    """One VM's file on its way into a group and its rules."""

    def __init__(self, sheet: Sheet, source: str, name: str, own: _Sections, cluster: _Sections) -> None:
        self._sheet, self._source, self._name, self._own, self._cluster = sheet, source, name, own, cluster

    def carry(self) -> None:
        options = self._own.options
        for key in options.keys() - _KNOWN:
            self._sheet.lose(f"{self._source}: VM {self._name}: option {tidy(key, 40)}", "it is not known here")
        if options.get("enable", "0") != "1":
            what = f"VM {self._name}: the firewall is not enabled"
            self._sheet.lose(what, "its rules are carried over all the same; the group observes", by_hand=True)
        lines = {way: list(self._lines(way)) for way in Direction}
        policies = {
            Direction.IN: options.get("policy_in", "DROP"),
            Direction.OUT: options.get("policy_out", "ACCEPT"),
        }
        outcome = {
            way: allowances(
                self._sheet,
                lines[way],
                otherwise=policies[way].upper() == "ACCEPT",
                title=f"VM {self._name} {way}",
            )
            for way in Direction
        }
        pinned = options.get("ipfilter", "0") == "1" or any(n.startswith("ipfilter-net") for n in self._own.sets)
        group = self._sheet.group(
            f"vm {self._name}",
            select=Selector(label={LABEL: (self._name,)}),
            default=Unmatched(into=outcome[Direction.IN][1], out=outcome[Direction.OUT][1]),
            addressing=Addressing.PINNED if pinned else Addressing.ANY,
            serves=(Service.ROUTER,) if options.get("radv", "0") == "1" else (),
        )
        if options.get("dhcp", "0") == "1":
            what = f"VM {self._name}: dhcp"
            self._sheet.lose(what, "there any server may answer; name them: dhcp_servers", by_hand=True)
        self._sheet.lose(f"which VM is {self._name}", f"label it {LABEL}: {self._name}", by_hand=True)
        for way, (steps, _) in outcome.items():
            for step in steps:
                peers = [ANY]
                if step.peer.networks is not None:
                    peers = self._sheet.network(f"peers of {step.title}", step.peer.networks)
                calling, called = (peers, [group]) if way is Direction.IN else ([group], peers)
                at = At.TO if way is Direction.IN else At.FROM
                self._sheet.allow(step.title, calling=calling, called=called, matches=step.matches, at=at)

    def _lines(self, way: Direction) -> list[Step]:
        found: list[Step] = []
        if way is Direction.IN and BLACKLIST in self._cluster.sets:
            found += self._blacklist()
        for number, text in self._own.rules:
            words = text.split()
            if words and words[0].upper() == "GROUP" and len(words) >= 2:
                if len(words) > 2 or words[1].lower() not in self._cluster.groups:
                    why = "a group for one card only" if len(words) > 2 else "this group is not in the text"
                    if way is Direction.IN:
                        self._cannot(number, text, Unsaid(f"{why}; all after it may be denied by it"))
                    found.append(self._unknown(number))
                else:
                    for inner, line in self._cluster.groups.get(words[1].lower(), ()):
                        found += self._step(inner, line, way)
            else:
                found += self._step(number, text, way)
        return found

    def _blacklist(self) -> list[Step]:
        title = f"{self._name} {BLACKLIST}"
        try:
            prefixes = self._set(self._cluster.sets[BLACKLIST], 0, denies=True)
        except Unsaid as why:
            self._sheet.lose(f"{self._source}: [IPSET {BLACKLIST}]", f"{why}; all may be denied by it")
            return [self._unknown(0)]
        return [Step(title=title, allow=False, peer=Party(networks=prefixes))]

    def _unknown(self, number: int) -> Step:
        return Step(title=f"{self._name} {number}", allow=False, peer=Party(groups=("?",)))

    def _step(self, number: int, text: str, way: Direction) -> list[Step]:
        try:
            line = parsed(text)
            if line is None or line.way is not way:
                return []
            return self._made(number, line)
        except Unsaid as why:
            if text.split()[0].upper() in ("IN", "OUT") and Direction(text.split()[0].lower()) is not way:
                return []
            self._cannot(number, text, why)
            if why.denies:  # it cannot be said what it denies: anything might be it
                return [self._unknown(number)]
            return []

    def _made(self, number: int, line: Line) -> list[Step]:
        own, other = (line.target, line.source) if line.way is Direction.IN else (line.source, line.target)
        if own is not None:
            raise Unsaid("it names the VM's own address", denies=not line.allow)
        peer = ANYBODY if other is None else Party(networks=self._addresses(other, denies=not line.allow))
        matches = matches_of(line)
        return [Step(title=f"{self._name} {number}", allow=line.allow, peer=peer, matches=matches)]

    def _addresses(self, words: str, *, denies: bool) -> tuple[Network, ...]:
        found: list[Network] = []
        for word in words.split(","):
            found += self._address(word.strip(), 0, denies=denies)
        return tuple(found)

    def _address(self, word: str, depth: int, *, denies: bool) -> tuple[Network, ...]:
        try:
            direct = networks(word)
        except ValueError as error:
            raise Unsaid(str(error), denies=denies) from None
        if direct is not None:
            return direct
        name = re.sub(r"^(\+?)(dc|guest)/", r"\1", word.lower())
        for content in (self._own, self._cluster):
            if name in content.aliases and depth < 4:
                return self._address(content.aliases[name], depth + 1, denies=denies)
            if name.startswith("+") and name[1:] in content.sets and depth < 4:
                return self._set(content.sets[name[1:]], depth + 1, denies=denies)
        raise Unsaid(f"{tidy(word, 60)!r} is not in the text", denies=denies)

    def _set(self, entries: list[str], depth: int, *, denies: bool) -> tuple[Network, ...]:
        found: list[Network] = []
        less: list[Network] = []
        for entry in entries:
            (less if entry.startswith("!") else found).extend(
                self._address(entry.lstrip("! ").split()[0] if entry.lstrip("! ") else "", depth, denies=denies)
            )
        return tuple(part for each in found for part in without(each, less))

    def _cannot(self, number: int, text: str, why: Unsaid) -> None:
        self._sheet.lose(f"{self._source}:{number}:1: {tidy(text, 120)}", str(why))
