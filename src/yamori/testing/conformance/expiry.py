"""What a limit that ends by itself promises: `lapse_s` of `capabilities/acting/limits.py`."""

import math
from typing import ClassVar

import pytest
import pytest_asyncio

from yamori.capabilities.acting.limits import LimitsWriter
from yamori.capabilities.sensing.limits import LimitsReader
from yamori.capabilities.session import Session
from yamori.model.errors import Invalid
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind
from yamori.model.support import Support
from yamori.testing.conformance.contract import EFFECT, Contract, need, present
from yamori.testing.conformance.limits import lifted, near
from yamori.testing.conformance.patience import Eventually

EXPIRY = "limits.expiry"
CANDIDATES: tuple[tuple[LimitKind, float], ...] = (
    (LimitKind.NET_OUT, 2_048_000.0),
    (LimitKind.CPU_CAP, 0.5),
    (LimitKind.DISK_BANDWIDTH, 8e6),
)
"""A kind that can end by itself, and a value that makes sense everywhere; the first that is claimed is tried."""


class ExpiryContract(Contract):
    """A limit ends in its time though nobody lets go. ``short_s``: a lapse that a slow machine still observes."""

    feature: ClassVar[str] = EXPIRY
    proof: ClassVar[str] = EFFECT
    short_s: ClassVar[float] = 3.0

    @pytest_asyncio.fixture
    async def writer(self, session: Session, support: Support) -> LimitsWriter:
        """The changing side."""
        need(support, EXPIRY)
        assert session.acting.limits is not None
        return session.acting.limits

    @pytest_asyncio.fixture
    async def reader(self, session: Session, writer: LimitsWriter) -> LimitsReader:
        """The reading side."""
        assert session.sensing.limits is not None
        return session.sensing.limits

    @pytest.fixture
    def bound(self, support: Support) -> tuple[LimitKind, float]:
        """A kind that the endpoint claims, and a value."""
        found = [each for each in CANDIDATES if present(support, f"limits.{each[0]}")]
        if not found:
            pytest.skip("absent: no kind of limit that the test knows a value of")
        return found[0]

    async def test_a_limit_ends_by_itself_in_its_time(
        self,
        session: Session,
        writer: LimitsWriter,
        reader: LimitsReader,
        bound: tuple[LimitKind, float],
        vm: VMId,
        eventually: Eventually,
    ) -> None:
        kind, value = bound
        await writer.set(vm, {kind: value}, lapse_s=self.short_s)
        assert near((await reader.read(vm)).values[kind], value)
        shown = await session.sensing.inventory.vm(vm)

        async def gone() -> bool:
            return lifted(kind, (await reader.read(vm)).values[kind], shown)

        await eventually(gone, f"{kind} has ended by itself")

    async def test_setting_it_again_for_good_ends_the_lapse(
        self,
        writer: LimitsWriter,
        reader: LimitsReader,
        bound: tuple[LimitKind, float],
        vm: VMId,
        eventually: Eventually,
    ) -> None:
        kind, value = bound
        other = value / 2
        await writer.set(vm, {kind: value}, lapse_s=self.short_s)
        await writer.set(vm, {kind: other})
        await eventually.seconds(self.short_s * 1.5)
        assert near((await reader.read(vm)).values[kind], other)
        await writer.set(vm, {kind: None})

    async def test_renewing_puts_the_end_off_and_what_held_first_comes_back(
        self,
        writer: LimitsWriter,
        reader: LimitsReader,
        bound: tuple[LimitKind, float],
        vm: VMId,
        eventually: Eventually,
    ) -> None:
        kind, value = bound
        await writer.set(vm, {kind: value})
        await writer.set(vm, {kind: value / 2}, lapse_s=self.short_s)
        await writer.set(vm, {kind: value / 4}, lapse_s=self.short_s * 4)
        await eventually.seconds(self.short_s * 1.5)
        assert near((await reader.read(vm)).values[kind], value / 4), "it ended though it was renewed"

        async def first() -> bool:
            return near((await reader.read(vm)).values[kind], value)

        await eventually(first, f"{kind} is what it was before the first lapse")
        await writer.set(vm, {kind: None})

    @pytest.mark.parametrize("lapse_s", [0.0, -1.0, math.nan, math.inf])
    async def test_a_lapse_without_sense_is_invalid_and_changes_nothing(
        self,
        writer: LimitsWriter,
        reader: LimitsReader,
        bound: tuple[LimitKind, float],
        vm: VMId,
        lapse_s: float,
    ) -> None:
        kind, value = bound
        before = (await reader.read(vm)).values[kind]
        with pytest.raises(Invalid):
            await writer.set(vm, {kind: value}, lapse_s=lapse_s)
        assert (await reader.read(vm)).values[kind] == before
