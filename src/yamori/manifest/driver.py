"""A driver's card. Registered as an entry point in the group ``yamori.drivers``."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from yamori.capabilities.session import Session
from yamori.manifest.quality import Answers, Tier, tier_of
from yamori.model.ids import EndpointName


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverManifest:
    """``settings`` is a pydantic model of the endpoint's part of the configuration beside name and driver.

    ``connect`` returns at once with a session that connects in the background, so that one dead host does not
    hold up a fleet; it raises Invalid for settings that can never work.

    ``quality`` is what the driver answers to the rules of `yamori.manifest.quality`, for each hypervisor by the
    name that its probe gives, without the version. Nothing answered is no tier, and no disgrace.
    """

    name: str
    settings: type[BaseModel]
    connect: Callable[[EndpointName, Any], Awaitable[Session]]
    summary: str
    quality: Mapping[str, Answers] = field(default_factory=dict)

    @property
    def tiers(self) -> Mapping[str, Tier | None]:
        """Return what follows from the answers, for each hypervisor; None where not even bronze is reached."""
        return {hypervisor: tier_of(answers) for hypervisor, answers in self.quality.items()}
