"""Judges one observation: who suffers, who causes it, load or attack. Pure: memory in, memory and findings out."""

from collections.abc import Sequence
from dataclasses import replace

from yamori.model.finding import Finding
from yamori.modules.guard.docket import Docket
from yamori.modules.guard.memory import GuardMemory
from yamori.modules.guard.reading import read
from yamori.modules.guard.sense import Observation
from yamori.modules.guard.settings import GuardSettings
from yamori.modules.guard.telling import tell


def assess(
    observation: Observation, memory: GuardMemory, settings: GuardSettings
) -> tuple[GuardMemory, Sequence[Finding]]:
    """Return the new memory and the findings: all open ones, and those that closed just now."""
    carried, reading = read(observation, memory, settings)
    cases = Docket(reading, carried, settings).work()
    findings = [tell(case, reading) for case in cases.values() if case.told]
    return replace(carried, cases={k: c for k, c in cases.items() if not c.closed}), findings
