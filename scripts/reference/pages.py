"""Pages of what is a closed set in the code: errors, capabilities, verbs, metrics."""

import dataclasses
import inspect
import sys
import typing
from collections.abc import Iterator

from scripts.reference.markdown import first_line, remark, table
from yamori.capabilities.session import Acting, Sensing
from yamori.cli.exits import exit_code
from yamori.model.actions import VERBS
from yamori.model.errors import Defect, Failed, Refused, Untrusted, YamoriError
from yamori.model.limits import UNITS, LimitKind
from yamori.model.sla import Objective
from yamori.model.support import FEATURES
from yamori.web.errors import status_of
from yamori.web.metrics import Scrape

ERRORS = """# Errors

Every error has a stable code. Over HTTP it is `{"error": {"code", "message", "subject", "mend"}}` with the status
below; on the command line it is one line and the exit code. *Transient* means that the same request may succeed
later.
"""
KINDS: dict[type[YamoriError], str] = {
    Refused: "Cannot be done as asked; nothing was changed. You change the request.",
    Failed: "The world did not obey; something may have changed. Yamori retries or undoes, or a person looks.",
    Untrusted: "A proof did not hold. Stop, keep the evidence, never retry.",
    Defect: "A broken assumption in Yamori itself. Please report it.",
}
CAPABILITIES = """# Capabilities and verbs

What a hypervisor can do, as a closed set. What a host lacks is absent there, and the
[support matrix](../support-matrix.md) says why.
"""
METRICS = """# Metrics

What `/metrics` tells, in Prometheus' text format. A value that is not known has no sample.
How to scrape it: [metrics for Prometheus](../how-to/metrics.md).

"""


def errors_page() -> str:
    """The whole tree of errors."""
    text = ERRORS
    for kind, who in KINDS.items():
        rows = (
            (f"`{e.code}`", first_line(e), "yes" if e.transient else "", str(status_of(e)), exit_of(e))
            for e in below(kind)
        )
        text += f"\n## {kind.__name__}\n\n{who}\n\n" + table(
            ("code", "meaning", "transient", "HTTP", "exit"), rows
        )
    return text


def exit_of(kind: type[YamoriError]) -> str:
    """The exit code of the command line for a class of errors."""
    return str(exit_code(kind.__new__(kind)).value)


def below(kind: type[YamoriError]) -> Iterator[type[YamoriError]]:
    """A class of errors and all under it, each code once."""
    seen = {kind.code}
    yield kind
    for child in kind.__subclasses__():
        for error in below(child):
            if error.code not in seen:
                seen.add(error.code)
                yield error


def capabilities_page() -> str:
    """Capabilities, rows of the matrix, verbs, limits, objectives."""
    verbs = (
        (f"`{v}`", first_line(a), ", ".join(sorted(a.effects)), ", ".join(sorted(a.rights)), a.undone_by or "")
        for v, a in VERBS.items()
    )
    head = ("capability", "what it is", "calls")
    limits = ((f"`{k}`", UNITS[k], remark(LimitKind, k.name)) for k in LimitKind)
    objectives = ((f"`{o}`", remark(Objective, o.name)) for o in Objective)
    parts = {
        "Sensing: reads, changes nothing": table(head, abilities(Sensing)),
        "Acting: only through an approved run": table(head, abilities(Acting)),
        "Rows of the support matrix": "".join(f"- `{feature}`\n" for feature in FEATURES),
        "Verbs: what may be asked for": table(("verb", "meaning", "effects", "rights", "undone by"), verbs),
        "Limits: what may be bounded": table(("limit", "unit", "meaning"), limits),
        "Objectives: what a guest is owed": table(("objective", "meaning"), objectives),
    }
    return CAPABILITIES + "".join(f"\n## {title}\n\n{body}" for title, body in parts.items())


def abilities(side: type) -> Iterator[tuple[str, str, str]]:
    """One row for each field of a session's side."""
    hints = typing.get_type_hints(side)
    for field in dataclasses.fields(side):
        kinds = [k for k in (*typing.get_args(hints[field.name]), hints[field.name]) if inspect.isclass(k)]
        calls = [n for n, member in vars(kinds[0]).items() if inspect.isfunction(member) and not n.startswith("_")]
        yield (
            f"`{field.name}`",
            first_line(sys.modules[kinds[0].__module__]),
            ", ".join(f"`{call}`" for call in calls),
        )


def metrics_page() -> str:
    """Every metric."""
    scrape = Scrape(endpoints=[], vms=[], findings=[], runs=[], wrong_tokens=0)
    rows = (
        (f"`{m.name}`", m.documentation, ", ".join(f"`{x}`" for x in getattr(m, "_labelnames", ())))
        for m in scrape.collect()
    )
    return METRICS + table(("metric", "meaning", "labels"), rows)
