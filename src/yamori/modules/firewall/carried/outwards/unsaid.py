"""Settings of a group that differ from the usual, and that another firewall may not be able to say."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from yamori.model.filter import Addressing, Failure, Replies
from yamori.modules.firewall.carried.lost import Lost
from yamori.modules.firewall.groups import Firewall, Group, Mode, Unmatched
from yamori.modules.firewall.rates import RateSpec

_WIDER = frozenset({"reserved", "rates", "errors"})


def unsaid(firewall: Firewall, can: Collection[str]) -> Iterator[Lost]:
    """Return what is lost of the groups' settings by a format that says only those in ``can``."""
    for name, group in firewall.groups.items():
        for key, what in _unusual(group):
            if key not in can:
                yield Lost(
                    what=f"group {name}: {key} {what}", why="this format has no word for it", wider=key in _WIDER
                )


def _unusual(group: Group) -> Iterator[tuple[str, str]]:
    if group.mode is Mode.OBSERVE:
        yield "mode", "observe: there it drops at once"
    if group.default != Unmatched():
        words = {True: "allow", False: "deny"}
        yield "default", f"in {words[group.default.into]}, out {words[group.default.out]}"
    for key, usual in (("replies", Replies.PASS), ("failure", Failure.CLOSED), ("addressing", Addressing.PINNED)):
        if getattr(group, key) not in (None, usual):
            yield key, getattr(group, key).value
    for key in ("reserved", "dhcp_servers", "routers", "serves"):
        if getattr(group, key):
            yield key, ", ".join(str(each) for each in getattr(group, key))
    if group.rates != RateSpec():
        yield "rates", ", ".join(name for name, rate in group.rates if rate is not None)
    if group.errors is False:
        yield "errors", "false"
    if group.fragments is True:
        yield "fragments", "true"
