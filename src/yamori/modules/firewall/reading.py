"""Read a groups document, and find what is wrong in it: with file, line, column, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from yamori.model.errors import Invalid
from yamori.model.filter_rule import Network
from yamori.modules.firewall.groups import DEFAULT, Allow, At, Firewall
from yamori.modules.firewall.jsonnodes import MAX_BYTES as LARGEST
from yamori.modules.firewall.jsonnodes import read_nodes
from yamori.modules.firewall.largejson import quick_nodes
from yamori.modules.firewall.networks import networks
from yamori.modules.firewall.service import ANY, Match, short
from yamori.modules.firewall.wellknown import WELL_KNOWN
from yamori.policy.document import Document, Misplaced, Path, nearest, parse
from yamori.policy.nodes import MAX_BYTES, Mark, tidy

_MOST_ERRORS = 20
_Error = tuple[Path, str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """A document whose every word means something. ``services`` has the well-known ones too."""

    firewall: Firewall
    source: str
    services: Mapping[str, tuple[Match, ...]]
    document: Document | None = None

    def place(self, *at: str | int) -> Mark | None:
        """Return where something stands in the text; None for a document that was never written."""
        return None if self.document is None else self.document.place(at)

    def line(self, at: Path, what: str, mend: str | None = None) -> str:
        """Write an error or warning so that an editor can jump to it."""
        if self.document is not None:
            return self.document.line(at, what, mend)
        text = f"{self.source}: {'.'.join(str(step) for step in at)}: {what}"
        return f"{text} ({mend})" if mend else text

    def matches(self, word: str) -> tuple[Match, ...]:
        """Return what a service's word in a rule stands for."""
        known = self.services.get(word)
        if known is not None:
            return known
        match = short(word)
        return () if match is None else (match,)

    def addresses(self, word: str) -> tuple[Network, ...] | None:
        """Return the prefixes that a word stands for; None when it is a group's name, or ``any``."""
        if word in self.firewall.groups or word == ANY:
            return None
        known = self.firewall.networks.get(word)
        return networks(word) if known is None else known


def read_groups(untrusted_text: str | bytes, source: str) -> Groups:
    """Read a groups document. Raises Invalid: each line has file, line, column, what is wrong, how to mend it."""
    if len(untrusted_text) > MAX_BYTES:
        return _read_large(untrusted_text, tidy(source))
    return _from(parse(untrusted_text, source))


def _from(document: Document) -> Groups:
    document.refuse_nothing()  # an empty condition would match everything
    return settled(document.validate(Firewall), document.source, document)


def _read_large(untrusted_text: str | bytes, source: str) -> Groups:
    """Read JSON, which may be larger than YAML: quickly, and once more exactly where something is wrong."""
    opening = untrusted_text[:100].lstrip()
    if opening[:1] not in ("{", b"{"):
        what = f"{source}:1:1: YAML of more than {MAX_BYTES} bytes is not read"
        raise Invalid(
            f"{what} (write it as JSON, which may have {LARGEST}, or name lists in rules)", subject=source
        )
    if len(untrusted_text) <= LARGEST:
        whole = (
            untrusted_text.decode("utf-8", "surrogateescape")
            if isinstance(untrusted_text, bytes)
            else untrusted_text
        )
        quick = quick_nodes(whole)
        if quick is not None:
            try:
                return _from(Document(source=source, root=quick))
            except Invalid:
                pass  # the exact reader finds the same, and says where
    return _from(Document(source=source, root=read_nodes(untrusted_text, source)))


def settled(firewall: Firewall, source: str, document: Document | None = None) -> Groups:
    """Hold a document against itself. Raises Invalid."""
    services, errors = _services(firewall)
    groups = Groups(
        firewall=firewall, source=source, services=MappingProxyType({**WELL_KNOWN, **services}), document=document
    )
    errors += [*_names(firewall), *_groups(firewall), *_rules(groups)]
    if errors:
        lines = [groups.line(*error) for error in errors[:_MOST_ERRORS]]
        if len(errors) > _MOST_ERRORS:
            lines.append(f"{source}: and {len(errors) - _MOST_ERRORS} more errors")
        raise Invalid("\n".join(lines), subject=source)
    return groups


def _services(firewall: Firewall) -> tuple[dict[str, tuple[Match, ...]], list[_Error]]:
    found: dict[str, tuple[Match, ...]] = {}
    errors: list[_Error] = []
    for name, alternatives in firewall.services.items():
        if _is_short(name):
            errors.append((("services", name), "this name means a protocol already", "choose another name"))
        matches = []
        for number, service in enumerate(alternatives):
            try:
                matches.append(service.match())
            except Misplaced as error:
                errors.append((("services", name, number, *error.at), str(error), None))
        found[name] = tuple(matches)
    return found, errors


def _is_short(name: str) -> bool:
    try:
        return short(name) is not None
    except ValueError:
        return True


def _names(firewall: Firewall) -> Iterator[_Error]:
    for kind, names in (("groups", firewall.groups), ("networks", firewall.networks)):
        for name in names:
            if name == ANY:
                yield (kind, name), "any means everybody", "choose another name"
            elif _is_address(name):
                yield (kind, name), "this name is an address", "choose another name"
    for name in firewall.groups.keys() & firewall.networks.keys():
        yield ("networks", name), "a group has this name already", "rename one of them"


def _is_address(name: str) -> bool:
    try:
        return networks(name) is not None
    except ValueError:
        return True


def _groups(firewall: Firewall) -> Iterator[_Error]:
    for name, group in firewall.groups.items():
        if name == DEFAULT and group.select is not None:
            yield (
                ("groups", name, "select"),
                "the default group is of the VMs in no other: it selects none",
                "remove select, or name the group otherwise",
            )
        elif name != DEFAULT and group.select is None:
            yield ("groups", name), "select is missing", "say which VMs; {} is every VM"


def _rules(groups: Groups) -> Iterator[_Error]:
    seen: dict[str, int] = {}
    cache: dict[tuple[str, str], str | None] = {}
    for number, rule in enumerate(groups.firewall.rules):
        at: Path = ("rules", number)
        if rule.id in seen:
            yield (*at, "id"), f"rule {seen[rule.id] + 1} has the id {rule.id!r} already", "rename one of them"
        seen[rule.id] = number
        worded = (
            ("from", rule.from_),
            ("to", rule.to),
            ("services", rule.services),
            ("except", rule.except_ or ()),
        )
        for key, words in worded:
            kind = key if key in ("services", "except") else "peers"
            for index, word in enumerate(words):
                if (kind, word) not in cache:
                    cache[kind, word] = _wrong(groups, kind, word)
                wrong = cache[kind, word]
                if wrong is not None:
                    yield (*at, key, index), wrong, _meant(groups, kind, word)
            if ANY in words and len(words) > 1 and key != "except":
                yield (*at, key), "any is everything: the other words add nothing", "keep any alone, or remove it"
        yield from _sides(groups, rule, at)


def _sides(groups: Groups, rule: Allow, at: Path) -> Iterator[_Error]:
    known = groups.firewall.groups
    called, calling = any(word in known for word in rule.to), any(word in known for word in rule.from_)
    if not called and not calling:
        yield at, f"rule {rule.id}: neither from nor to names a group: it can never match", "name a group"
    elif rule.at is At.TO and not called:
        yield (*at, "at"), "to names no group, so there is no card to write the rule at", "say at: from"
    elif rule.at is At.FROM and not calling:
        yield (*at, "at"), "from names no group, so there is no card to write the rule at", "say at: to"


def _wrong(groups: Groups, kind: str, word: str) -> str | None:
    """Say why a word means nothing; None when it does."""
    if kind == "services":
        try:
            if word in groups.services or short(word) is not None:
                return None
        except ValueError as error:
            return str(error)
        return f"no service is called {tidy(word, 60)!r}"
    if kind == "except" and (word == ANY or word in groups.firewall.groups):
        return "only networks and prefixes can be excepted"
    if word == ANY or word in groups.firewall.groups or word in groups.firewall.networks:
        return None
    try:
        return None if networks(word) is not None else f"no group or network is called {tidy(word, 60)!r}"
    except ValueError as error:
        return str(error)


def _meant(groups: Groups, kind: str, word: str) -> str | None:
    known = groups.services if kind == "services" else {**groups.firewall.groups, **groups.firewall.networks}
    meant = nearest(word, list(known)[:2000])
    return f"did you mean {meant!r}?" if meant else None
