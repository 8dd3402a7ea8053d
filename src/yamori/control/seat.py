"""A module that is switched on: its card, its settings, and the memory that control keeps for it."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from yamori.manifest.module import ModuleManifest, Sensors
from yamori.model.actions import VERBS
from yamori.model.errors import Defect, Invalid
from yamori.model.finding import Finding
from yamori.model.proposal import Proposal
from yamori.policy.facts import CONTROL

log = logging.getLogger(__name__)

IN_THREAD_ABOVE = 5_000
"""Judging a small fleet costs less than a thread; a large one must not hold up the event loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What one module made of one moment. ``failed`` says why it could not judge; then nothing else is meant."""

    findings: tuple[Finding, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    failed: str | None = None


class Seat:
    """Holds one module in its chair. A module that fails is reported at each tick and never passes for fine."""

    def __init__(self, manifest: ModuleManifest, settings: BaseModel) -> None:
        """Check the card. Raises Defect."""
        unknown = (set(manifest.proposes) | set(manifest.carries_out)) - set(VERBS)
        if unknown:
            raise Defect(f"module {manifest.name} names verbs that do not exist: {', '.join(sorted(unknown))}")
        if manifest.name == CONTROL:
            raise Defect(f"no module may be called {CONTROL}: control itself asks under that name")
        self.manifest = manifest
        self.settings = settings
        self._memory: Any = manifest.memory()

    async def judge(self, sensors: Sensors) -> Judged:
        """Sense, assess and respond for one moment."""
        findings: list[Finding] = []
        proposals: list[Proposal] = []
        large = len(sensors.usage().vms) > IN_THREAD_ABOVE
        try:
            async for observation in self.manifest.sense(sensors, self.settings):
                if large:
                    assessed = await asyncio.to_thread(
                        self.manifest.assess, observation, self._memory, self.settings
                    )
                else:
                    assessed = self.manifest.assess(observation, self._memory, self.settings)
                self._memory, found = assessed
                findings.extend(found)
            for finding in findings:
                proposals.extend(self._asked(self.manifest.respond(finding, sensors.view(), self.settings)))
        except Exception as error:
            # The one place where a module's defect is held: other modules and the faces must go on.
            log.exception("module %s failed", self.manifest.name)
            return Judged(failed=f"{type(error).__name__}: {error}")
        return Judged(findings=tuple(findings), proposals=tuple(proposals))

    def _asked(self, proposals: Sequence[Proposal]) -> Sequence[Proposal]:
        for proposal in proposals:
            if proposal.action.verb not in self.manifest.proposes:
                raise Defect(f"module {self.manifest.name} proposes {proposal.action.verb}, which its card denies")
        return proposals


def seat(manifest: ModuleManifest, untrusted_settings: dict[str, Any]) -> Seat:
    """Check a module's settings and card, and give it its chair. Raises Invalid, Defect."""
    try:
        settings = manifest.settings.model_validate(untrusted_settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "settings"
        raise Invalid(
            f"modules.{manifest.name}.{where}: {first['msg']}", mend="see the module's page in the reference"
        ) from error
    return Seat(manifest, settings)
