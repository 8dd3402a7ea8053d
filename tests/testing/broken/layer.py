"""What all broken drivers are made of: a healthy session, and a layer on one of its abilities."""

import dataclasses
from typing import Any

from yamori.capabilities.session import Acting, Sensing
from yamori.drivers.simulator import SimulatorSession
from yamori.model.support import Support


class Session:
    """A healthy session, parts of which a break replaces."""

    def __init__(self, healthy: SimulatorSession) -> None:
        self.healthy = healthy
        self.sensing: Sensing = healthy.sensing
        self.acting: Acting = healthy.acting

    def sense(self, **parts: Any) -> None:
        self.sensing = dataclasses.replace(self.sensing, **parts)

    def act(self, **parts: Any) -> None:
        self.acting = dataclasses.replace(self.acting, **parts)

    async def probe(self) -> Support:
        return await self.healthy.probe()

    async def close(self) -> None:
        await self.healthy.close()


class Layer:
    """Everything that a break does not touch goes to the healthy ability."""

    def __init__(self, session: Session, healthy: Any) -> None:
        self.session = session
        self.healthy = healthy
        self.world = session.healthy.world

    def __getattr__(self, name: str) -> Any:
        return getattr(self.healthy, name)


class VendorText(str):
    """A vendor's own string class."""

    __slots__ = ()


class VendorError(Exception):
    """What a vendor's library raises."""
