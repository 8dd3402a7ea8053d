"""What the shell offers: names from the running service. A completion never complains: it offers nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from yamori.cli.connection import connect
from yamori.cli.terminal import clean
from yamori.model.errors import YamoriError

WAIT_S = 1.5
MOST = 200


def vm_names(incomplete: str) -> list[str]:
    """Offer VMs by name. Names that a shell could take for something else are left out."""
    return _offered(
        lambda client: (vm["vm"]["name"] for vm in client.each_vm(search=incomplete, limit=MOST)), incomplete
    )


def host_ids(incomplete: str) -> list[str]:
    """Offer hosts by id."""
    return _offered(lambda client: (h["id"] for e in client.endpoints() for h in e["hosts"]), incomplete)


def run_ids(incomplete: str) -> list[str]:
    """Offer runs, newest first."""
    return _offered(lambda client: (run["id"] for run in client.runs(limit=MOST)), incomplete)


def finding_ids(incomplete: str) -> list[str]:
    """Offer findings, newest first."""
    return _offered(lambda client: (found["id"] for found in client.findings(limit=MOST)), incomplete)


def bench_names(incomplete: str) -> list[str]:
    """Offer benchmarks."""
    with contextlib.suppress(ImportError):
        from yamori.bench import BENCHES

        return [name for name in BENCHES if name.startswith(incomplete)]
    return []


def _offered(read: Callable[..., Iterator[str]], incomplete: str) -> list[str]:
    try:
        with connect(None, timeout_s=WAIT_S) as client:
            names = list(read(client))
    except YamoriError:
        return []
    return [name for name in names if name.startswith(incomplete) and name == clean(name) and " " not in name]
