"""A groups document while it is put together from another firewall's words: names made sound, nothing twice."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from yamori.model.filter_rule import Network
from yamori.modules.firewall.carried.lost import Carried, Lost
from yamori.modules.firewall.groups import DEFAULT, Allow, At, Firewall, Group, Mode, Unmatched
from yamori.modules.firewall.networks import collapsed, networks, plainly
from yamori.modules.firewall.reading import settled
from yamori.modules.firewall.service import ANY, Match, Service, in_short
from yamori.policy.nodes import tidy
from yamori.policy.selectors import Selector

MOST_LOST = 10_000
_ODD = re.compile(r"[^A-Za-z0-9 _.:()+@/-]")
_INLINE = 8
"""A list of at most so many prefixes stands in the rule itself."""


class Sheet:
    """Collects groups, lists, services and rules, and what is lost."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._names: set[str] = {ANY, DEFAULT}
        self._ids: set[str] = set()
        self._groups: dict[str, Group] = {}
        self._neutral: dict[str, str] = {}
        self._lists: dict[str, tuple[Network, ...]] = {}
        self._by_content: dict[tuple[Network, ...], str] = {}
        self._services: dict[Match, str] = {}
        self._rules: list[Allow] = []
        self._lost: list[Lost] = []

    def lose(self, what: str, why: str, *, by_hand: bool = False) -> None:
        """Note what is not carried over."""
        if len(self._lost) < MOST_LOST:
            self._lost.append(Lost(what=tidy(what), why=tidy(why), by_hand=by_hand))

    def group(self, untrusted_name: str, **parts: Any) -> str:
        """Add a group that observes, and return the name that it has here."""
        name = _unique(untrusted_name, self._names)
        made = self._groups[name] = Group(mode=Mode.OBSERVE, **parts)
        if made.select is not None and made == Group(select=made.select, default=Unmatched(into=True, out=True)):
            self._neutral[made.select.model_dump_json(exclude_unset=True)] = name
        return name

    def known(self, select: Selector) -> str | None:
        """Return a group that only names these VMs, and bounds them in nothing; None when there is none yet."""
        return self._neutral.get(select.model_dump_json(exclude_unset=True))

    def close(self, name: str, unmatched: Unmatched) -> None:
        """Say of a group that is there what becomes of that which no rule allows."""
        self._groups[name] = self._groups[name].model_copy(update={"default": unmatched})

    def default(self, **parts: Any) -> None:
        """Say what holds for VMs in no group."""
        self._groups[DEFAULT] = Group(mode=Mode.OBSERVE, **parts)

    def network(self, untrusted_name: str, prefixes: Iterable[Network]) -> list[str]:
        """Return words for these prefixes: themselves where they are few, else a list's name. Empty for none."""
        content = collapsed(prefixes)
        if len(content) <= _INLINE:
            return [plainly(each) for each in content]
        if content not in self._by_content:
            name = _unique(untrusted_name, self._names)
            self._by_content[content] = name
            self._lists[name] = content
        return [self._by_content[content]]

    def allow(
        self,
        untrusted_id: str,
        *,
        calling: list[str],
        called: list[str],
        matches: Iterable[Match],
        at: At,
        less: tuple[Network, ...] = (),
    ) -> None:
        """Add a rule; nothing where one of its sides or its services came out empty."""
        services = list(dict.fromkeys(self._word(match) for match in matches))
        if ANY in services:
            services = [ANY]
        if not (services and calling and called):
            return
        rule = {
            "id": _unique(untrusted_id, self._ids),
            "from": (ANY,) if ANY in calling else tuple(dict.fromkeys(calling)),
            "to": (ANY,) if ANY in called else tuple(dict.fromkeys(called)),
            "services": tuple(services),
            "except": tuple(self.network(f"not meant by {untrusted_id}", less)) or None,
            "at": at,
        }
        self._rules.append(Allow.model_validate(rule))

    def _word(self, match: Match) -> str:
        short = in_short(match)
        if short is not None and len(short) <= 200:
            return short
        if match not in self._services:
            self._services[match] = f"service {len(self._services) + 1}"
        return self._services[match]

    def carried(self) -> Carried:
        """Return the document, held against itself. Raises Invalid where it is beyond bounds."""
        services = {
            name: (
                Service.model_construct(
                    protocol=match.protocol,
                    ports=match.ports or None,
                    client_ports=match.client_ports or None,
                    types=match.types or None,
                ),
            )
            for match, name in self._services.items()
        }
        content: dict[str, Any] = {
            "version": 1,
            "networks": self._lists,
            "services": services,
            "groups": self._groups,
            "rules": tuple(self._rules),
        }
        firewall = Firewall.model_validate(content)
        settled(firewall, self._source)
        return Carried(firewall=firewall, lost=tuple(self._lost))


def _unique(untrusted_name: str, taken: set[str]) -> str:
    """Make a name sound, and another than all before."""
    name = _ODD.sub("-", untrusted_name.strip())[:90].strip()
    if not name or not name[0].isalnum() or _is_address(name):
        name = f"n {name}".strip()
    number, wanted = 1, name
    while name in taken:
        number += 1
        name = f"{wanted} ({number})"
    taken.add(name)
    return name


def _is_address(name: str) -> bool:
    try:
        return networks(name) is not None
    except ValueError:
        return True


def literal(value: str) -> str:
    """Write a value so that a selector's pattern means it and nothing else."""
    return re.sub(r"([*?[])", r"[\1]", value)
