"""Hosts of an endpoint that speaks for several: one alone, and where they differ. On the plain JSON of Support."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from yamori.cli.terminal import clean
from yamori.model.errors import NotFound

PRESENT = ("native", "agent")
MOST_NAMED = 6
"""More hosts are counted, not named."""


def picked(found: Mapping[str, Any], untrusted_names: Sequence[str]) -> dict[str, Any]:
    """Return the endpoints, and single hosts, that are meant. Raises NotFound for a name that means neither.

    A host of an endpoint whose hosts do not differ means that endpoint.
    """
    wanted: dict[str, Any] = {}
    for pattern in untrusted_names:
        meant = {name: one for name, one in found.items() if fnmatchcase(name, pattern)}
        meant |= _hosts(found, pattern)
        endpoint = pattern.partition("/")[0]
        if not meant and endpoint in found and not hosts_of(found[endpoint]):
            meant = {endpoint: found[endpoint]}
        if not meant:
            known = [*found, *hosts_of(found.get(endpoint))]
            told = ", ".join(clean(name, 60) for name in known[:50]) or "none"
            raise NotFound(f"no endpoint is called {clean(pattern, 60)}", mend=f"there are: {told}")
        wanted |= meant
    order = [each for name, one in found.items() for each in (name, *hosts_of(one))]
    return {name: wanted[name] for name in order if name in wanted}


def _hosts(found: Mapping[str, Any], pattern: str) -> dict[str, Any]:
    return {
        host: at(one, host)
        for one in found.values()
        for host in hosts_of(one)
        if "/" in pattern and fnmatchcase(host, pattern)
    }


def hosts_of(support: Any) -> Mapping[str, Any]:
    """Return the hosts of an endpoint that may differ, by name; none of one that was never reached."""
    return {} if support is None else support.get("hosts") or {}


def at(support: Any, host: str) -> Any:
    """Return what holds on one host, as if it were an endpoint of its own."""
    single = hosts_of(support)[host]
    cells = {**support["cells"], **single["cells"]}
    return {**support, "hypervisor": single["hypervisor"], "cells": cells, "hosts": {}}


def share(support: Any, feature: str) -> str:
    """Return on how many of how many hosts a feature of the endpoint is there; nothing where it is on all."""
    hosts = hosts_of(support)
    lacking = sum(feature in each["cells"] for each in hosts.values())
    return f"{len(hosts) - lacking}/{len(hosts)}" if lacking else ""


def products(support: Any) -> str:
    """Return what the hosts run, where there are several: how many of each."""
    counted: dict[str, int] = {}
    for each in hosts_of(support).values():
        counted[each["hypervisor"]] = counted.get(each["hypervisor"], 0) + 1
    return ", ".join(f"{number} x {clean(product, 80)}" for product, number in counted.items())


def differences(support: Any, rows: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Tell what single hosts lack: the rows with the reason, and the hosts; hosts that lack the same together."""
    told: dict[tuple[str, str], dict[str, list[str]]] = {}
    for host, each in hosts_of(support).items():
        for row in rows:
            if cell := each["cells"].get(row):
                told.setdefault((cell["level"], cell["reason"]), {}).setdefault(row, []).append(host)
    for (level, reason), by_row in told.items():
        groups: dict[tuple[str, ...], list[str]] = {}
        for row, hosts in by_row.items():
            groups.setdefault(tuple(hosts), []).append(row)
        for names, concerned in groups.items():
            yield f"{', '.join(concerned)}: {level}: {clean(reason, 400)}", _named(names)


def _named(hosts: Sequence[str]) -> str:
    shown = ", ".join(clean(host, 80) for host in hosts[:MOST_NAMED])
    more = len(hosts) - MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
