"""A host behind an agent keeps the promises of the kit: every call goes over mutual TLS on a real socket."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.agent.fleet import controlling, serving, until
from tests.agent.halves import BY_AGENT
from tests.conformance.test_simulator import Whole
from yamori.agent.gateway import hostclock
from yamori.agent.gateway.session import RemoteSession
from yamori.drivers.simulator import SimulatorSession, World
from yamori.model.ids import EndpointName
from yamori.model.support import FEATURES
from yamori.testing.conformance.effects import EffectsContract
from yamori.testing.conformance.expiry import ExpiryContract
from yamori.testing.conformance.inventory import InventoryContract
from yamori.testing.conformance.limits import LimitsContract
from yamori.testing.conformance.pinning import PinningContract
from yamori.testing.conformance.support import SupportContract
from yamori.testing.conformance.usage import UsageContract

KEPT = BY_AGENT | {
    "inventory",
    "limits.cpu_weight",
    "limits.cpu_pinning",
    "limits.memory",
    "migration.live",
    "migration.encrypted",
}


class Remote(Whole):
    """The simulator, as the host of an agent."""

    variant = None  # the matrix tells of hypervisors, and this is none of its own

    @pytest.fixture
    def without(self) -> dict[str, str]:
        return {feature: "not the agent's business" for feature in FEATURES if feature not in KEPT}

    @pytest.fixture
    async def session(
        self, world: World, without: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[RemoteSession]:
        monkeypatch.setattr(hostclock, "MOST_DRIFT_S", 1e9)  # the world's time is not the machine's
        here = SimulatorSession(world, EndpointName("alpha"), hosts=["host-0"], without=without)
        async with controlling(tmp_path / "controller") as controller:
            identity = await controller.enrolled("alpha")
            async with serving(here, tmp_path / "agent", identity):
                await until(lambda: controller.connected("alpha"))
                yield controller.session("alpha")
        await here.close()

    @pytest.fixture
    def second(self, session: RemoteSession) -> RemoteSession:
        return session


class TestInventory(Remote, InventoryContract): ...


class TestUsage(Remote, UsageContract): ...


class TestLimits(Remote, LimitsContract): ...


class TestExpiry(Remote, ExpiryContract): ...


class TestPinning(Remote, PinningContract): ...


class TestEffects(Remote, EffectsContract): ...


class TestSupport(Remote, SupportContract): ...
