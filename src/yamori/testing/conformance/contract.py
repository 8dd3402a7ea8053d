"""What all contracts share: whose session it is, what the test proves, and how absence is examined."""

import json
from collections.abc import Callable
from typing import ClassVar

import pytest
import pytest_asyncio

from yamori.capabilities.session import Session
from yamori.model.ids import VMId
from yamori.model.support import Cell, Level, Support
from yamori.model.vm import VM, PowerState

Record = Callable[[str, object], None]
API = "api"
"""The driver said so, and read it back."""
EFFECT = "effect"
"""It was seen in what the VM or the host then did."""
UNKNOWN_IDS = (
    "00000000-0000-4000-8000-000000000000",
    "no such vm",
    "",
    "../../etc/passwd",
    "'; DROP TABLE vms; --",
    "x" * 5000,
    "nul\x00inside",
)
"""Ids that no VM has, some of them meant badly: each must be NotFound, never a crash or another class."""
PRESENT = frozenset({Level.NATIVE, Level.AGENT})


class Contract:
    """Inherited by every contract. ``feature`` is the row of the matrix that a test of the class speaks for.

    A driver's test gives these fixtures, per test: ``session`` (open, closed by the fixture), ``vm`` (the id
    of a running VM that the test may do with as it likes) and ``eventually`` (an ``Eventually``).
    """

    feature: ClassVar[str]
    proof: ClassVar[str] = API
    variant: ClassVar[str | None] = ""
    """A word that tells two ways of using one hypervisor apart in the matrix; None keeps a class out of it."""
    part: ClassVar[bool] = False
    """Set where a class is a smoke test: what is left out is then "not run", and no loss."""

    @pytest_asyncio.fixture
    async def support(self, session: Session) -> Support:
        """What the endpoint says of itself."""
        return await session.probe()

    @pytest.fixture(autouse=True)
    def _recorded(self, support: Support, record_property: Record) -> None:
        if self.variant is not None:
            record_property("yamori_driver", support.driver)
            record_property("yamori_hypervisor", support.hypervisor)
            record_property("yamori_variant", self.variant)
            record_property("yamori_part", self.part)
            record_property("yamori_word", f"{self.feature}={self.proof}")
            record_property("yamori_cells", _as_json(support))


def proves(record_property: Record, feature: str, proof: str = API) -> None:
    """Say that the running test speaks for this row of the matrix instead of its class's word. May be repeated."""
    record_property("yamori_proves", f"{feature}={proof}")


def _as_json(support: Support) -> str:
    return json.dumps({name: {"level": c.level.value, "reason": c.reason} for name, c in support.cells.items()})


def present(support: Support, feature: str) -> bool:
    """Say whether the endpoint claims a feature."""
    return support.cells[feature].level in PRESENT


def need(support: Support, feature: str) -> None:
    """Skip this test where the endpoint does not claim the feature; the absence test runs there."""
    cell = support.cells[feature]
    if cell.level not in PRESENT:
        pytest.skip(f"absent: {feature}: {cell.reason}")


def assert_explained(cell: Cell, feature: str) -> None:
    """Absence needs a reason that an operator can read."""
    assert cell.level not in PRESENT, f"{feature} is claimed as {cell.level}, but the session does not have it"
    assert cell.reason.strip(), f"{feature} is absent without a reason"


async def state_of(session: Session, vm: VMId) -> PowerState:
    """Read one VM's state afresh."""
    return (await session.sensing.inventory.vm(vm)).state


async def copies(vm: VMId, *sessions: Session) -> list[VM]:
    """Return every running copy of a VM that these endpoints list: running or paused."""
    found = []
    for session in sessions:
        listing = await session.sensing.inventory.read()
        found += [
            each for each in listing.vms if each.id == vm and each.state in (PowerState.RUNNING, PowerState.PAUSED)
        ]
    return found
