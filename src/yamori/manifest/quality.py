"""How far a driver can be relied upon: rules as data, its answers with evidence, and the tier that follows.

A tier is computed, never claimed. The rules with their meaning: docs/reference/quality.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from yamori.model.errors import Defect


class Tier(StrEnum):
    """How far a driver has come: honest on a stand-in, dependable on the real thing, proven under faults."""

    BRONZE = "bronze"
    SILVER = "silver"
    GOLD = "gold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing asked of a driver. One that is not ``waivable`` accepts no exemption, whatever the reason."""

    name: str
    tier: Tier
    asks: str
    waivable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The rule holds. ``by``: the tests (`tests/….py::name`) and pages of the driver's repository that show it."""

    by: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.by or not all(reference.strip() for reference in self.by):
            raise Defect("a rule that is done names the test or the page that shows it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exempt:
    """The rule makes no sense for this hypervisor, for this reason."""

    reason: str

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise Defect("an exemption has a reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Todo:
    """The rule does not hold yet; ``lacks`` says what is missing."""

    lacks: str

    def __post_init__(self) -> None:
        if not self.lacks.strip():
            raise Defect("what is still to do says what is missing")


Answers = Mapping[str, Done | Exempt | Todo]
"""By rule. A rule without an answer is still to do."""

_ASKED: Mapping[Tier, tuple[tuple[str, str], ...]] = {
    Tier.BRONZE: (
        ("conformance-kit", "The conformance kit passes, on the hypervisor or on a stand-in of it."),
        (
            "bulk-reads",
            "Reading the counters of all VMs of a host takes a number of calls that does not grow with VMs.",
        ),
        (
            "bounded-waits",
            "Every wait for the hypervisor ends; one that hangs holds up nobody else, and threads are bounded.",
        ),
        (
            "hostile-input",
            "Text and numbers from the hypervisor are bounded and parsed; tests feed it hostile ones.",
        ),
        ("typed-errors", "Each error of the vendor's library becomes the one of Yamori's that says who must act."),
        (
            "peer-verified",
            "Who answers must prove who it is (TLS, SSH host key), and no setting switches that off.",
        ),
        ("read-only-mode", "A setting keeps everything that changes something out of the session."),
        ("how-to", "A page tells an operator how to connect it."),
    ),
    Tier.SILVER: (
        ("real-hypervisor", "The kit passes on the real hypervisor, not on a stand-in."),
        (
            "reconnects",
            "After an outage it connects again by itself; until then calls fail at once, and watches end.",
        ),
        ("least-privilege", "A page says which rights on the hypervisor's side suffice, by what shall be done."),
        ("secrets-hidden", "No password, token or key shows in an error, a log or a dump of its settings."),
        ("other-hands", "What somebody else changed is read as it is, and not overwritten in silence."),
        ("follows-changes", "What happens to VMs is told by events, not found out by the next full reading."),
        (
            "migration-encrypted",
            "A VM's memory never travels in plaintext; where that cannot be had, the move is refused.",
        ),
        ("moves-found-again", "A move under way is found again after Yamori was restarted, and not begun twice."),
    ),
    Tier.GOLD: (
        (
            "proven-by-effect",
            "What the kit can measure was measured: each such feature that is claimed is proven by effect.",
        ),
        (
            "restart-under-load",
            "The hypervisor's management is killed while guests work and a VM is held: nothing is lost "
            "or done twice, and the gap is shown as unknown.",
        ),
        ("one-copy", "A move that is cut in the middle leaves exactly one running copy."),
        ("as-specified", "Random operations look the same as on the simulator, at least on a stand-in."),
        ("cost-published", "What reading 1,000 VMs costs was measured, at least on a stand-in, and is published."),
        (
            "main-job",
            "The main job was played on it in a lab: a noisy VM found, held, verified by effect, and released.",
        ),
    ),
}
_FIRM = frozenset({"conformance-kit", "real-hypervisor", "proven-by-effect", "main-job"})
RULES: tuple[Rule, ...] = tuple(
    Rule(name=name, tier=tier, asks=asks, waivable=name not in _FIRM)
    for tier, asked in _ASKED.items()
    for name, asks in asked
)
"""All rules, bronze first. A new one begins as unanswered everywhere: it is a decision."""


def holds(rule: Rule, answers: Answers) -> bool:
    """Say whether a rule is met, or does not apply."""
    answer = answers.get(rule.name)
    return isinstance(answer, Done) or (rule.waivable and isinstance(answer, Exempt))


def open_rules(answers: Answers, tier: Tier) -> tuple[Rule, ...]:
    """Return what is missing for a tier: its own rules and those of the tiers below it."""
    order = list(Tier)
    below = order[: order.index(tier) + 1]
    return tuple(rule for rule in RULES if rule.tier in below and not holds(rule, answers))


def tier_of(answers: Answers) -> Tier | None:
    """Return the highest tier of which nothing is missing; None if not even the first is reached."""
    return next((tier for tier in reversed(Tier) if not open_rules(answers, tier)), None)
