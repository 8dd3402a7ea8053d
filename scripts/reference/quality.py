"""The page of the rules of quality, and of what each driver answers."""

from collections.abc import Iterator, Mapping

from scripts.reference.markdown import table
from yamori.manifest import discovery
from yamori.manifest.driver import DriverManifest
from yamori.manifest.quality import RULES, Answers, Done, Exempt, Rule, Tier, Todo, open_rules

HEAD = """# Quality of drivers

How far each driver can be relied upon, hypervisor by hypervisor. A driver answers each rule in its own code:
**done**, with the tests and pages that show it; **exempt**, with the reason why the rule makes no sense there;
or **to do**, with what is missing. The tier is computed from the answers. Tests hold that what is named exists,
and that answers about the conformance kit agree with the [support matrix](../support-matrix.md). A rule with a
star accepts no exemption.

"""
MEANING = {
    Tier.BRONZE: "honest, on a stand-in at least",
    Tier.SILVER: "dependable on the real hypervisor",
    Tier.GOLD: "proven in a lab under faults",
}


def quality_page() -> str:
    """Tiers, rules, and the answers with their evidence."""
    cards = [discovery.driver(name) for name in discovery.driver_names()]
    ours = [card for card in cards if card.settings.__module__.startswith("yamori.drivers.")]
    text = (
        HEAD
        + "## Where each stands\n\n"
        + table(("driver", "hypervisor", "tier", "missing for the next"), _standing(ours))
    )
    for tier in Tier:
        rules = ((f"`{r.name}`{'' if r.waivable else ' ★'}", r.asks) for r in RULES if r.tier is tier)
        text += f"\n## {tier.capitalize()}: {MEANING[tier]}\n\n" + table(("rule", "asks"), rules)
    for card, hypervisor, answers in _subjects(ours):
        title = hypervisor if hypervisor == card.name else f"{card.name}: {hypervisor}"
        rows = (_answered(rule, answers) for rule in RULES)
        text += f"\n## Answers of {title}\n\n" + table(("rule", "tier", "answer", "shown by, or why not"), rows)
    return text


def _subjects(cards: list[DriverManifest]) -> Iterator[tuple[DriverManifest, str, Answers]]:
    for card in cards:
        for hypervisor, answers in card.quality.items():
            yield card, hypervisor, answers


def _standing(cards: list[DriverManifest]) -> Iterator[tuple[str, ...]]:
    for card, hypervisor, answers in _subjects(cards):
        reached = card.tiers[hypervisor]
        above = next((tier for tier in Tier if open_rules(answers, tier)), None)
        missing = ", ".join(f"`{rule.name}`" for rule in open_rules(answers, above)) if above else ""
        yield f"`{card.name}`", hypervisor, reached.value if reached else "none", missing


def _answered(rule: Rule, answers: Mapping[str, Done | Exempt | Todo]) -> tuple[str, ...]:
    match answers.get(rule.name):
        case Done(by=by):
            said = ("done", ", ".join(f"`{reference}`" for reference in by))
        case Exempt(reason=reason):
            said = ("exempt" if rule.waivable else "to do", reason)
        case Todo(lacks=lacks):
            said = ("to do", lacks)
        case _:
            said = ("to do", "")
    return f"`{rule.name}`", rule.tier.value, *said
