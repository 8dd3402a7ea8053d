"""A driver's card. Registered as an entry point in the group ``yamori.drivers``."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from yamori.capabilities.session import Session
from yamori.model.ids import EndpointName


class Tier(StrEnum):
    """How far a driver is proven: bronze on a stand-in, silver on the real thing, gold in a lab under faults."""

    BRONZE = "bronze"
    SILVER = "silver"
    GOLD = "gold"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverManifest:
    """``settings`` is a pydantic model of the endpoint's part of the configuration beside name and driver.

    ``connect`` returns at once with a session that connects in the background, so that one dead host does not
    hold up a fleet; it raises Invalid for settings that can never work.
    """

    name: str
    settings: type[BaseModel]
    connect: Callable[[EndpointName, Any], Awaitable[Session]]
    tier: Tier
    summary: str
