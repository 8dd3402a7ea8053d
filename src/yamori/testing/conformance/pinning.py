"""What the capability `limits` promises of pinning: on which CPUs of the host a VM may run."""

from typing import ClassVar

import pytest
import pytest_asyncio

from yamori.capabilities.sensing.limits import LimitsReader
from yamori.capabilities.session import Session
from yamori.model.errors import Invalid, NotFound, Unsupported
from yamori.model.ids import VMId
from yamori.model.support import Support
from yamori.testing.conformance.contract import UNKNOWN_IDS, Contract, assert_explained, need, present
from yamori.testing.conformance.limits import assert_same
from yamori.testing.conformance.patience import Eventually

PINNING = "limits.cpu_pinning"


class PinningContract(Contract):
    """On which CPUs of the host a VM may run."""

    feature: ClassVar[str] = PINNING

    @pytest_asyncio.fixture
    async def reader(self, session: Session, support: Support) -> LimitsReader:
        """The reading side, where pinning is."""
        need(support, PINNING)
        assert session.sensing.limits is not None
        return session.sensing.limits

    async def _pinned(
        self, reader: LimitsReader, vm: VMId, wanted: frozenset[int] | None, eventually: Eventually
    ) -> None:
        async def so() -> bool:
            return (await reader.read(vm)).pinning == wanted

        await eventually(so, f"pinning is read back as {wanted}")

    async def test_a_pinned_vm_is_read_as_pinned_and_freed_as_free(
        self, session: Session, reader: LimitsReader, vm: VMId, eventually: Eventually
    ) -> None:
        writer = session.acting.limits
        assert writer is not None
        for _ in range(2):
            await writer.pin(vm, frozenset({0}))
            await self._pinned(reader, vm, frozenset({0}), eventually)
        for _ in range(2):
            await writer.pin(vm, None)
            await self._pinned(reader, vm, None, eventually)

    @pytest.mark.parametrize("cpus", [frozenset(), frozenset({-1}), frozenset({0, 1_000_000})], ids=str)
    async def test_cpus_that_are_not_there_are_invalid(
        self, session: Session, reader: LimitsReader, vm: VMId, cpus: frozenset[int]
    ) -> None:
        writer = session.acting.limits
        assert writer is not None
        before = await reader.read(vm)
        with pytest.raises(Invalid):
            await writer.pin(vm, cpus)
        assert_same(await reader.read(vm), before)

    async def test_where_it_is_not_claimed_it_is_refused(
        self, session: Session, support: Support, vm: VMId
    ) -> None:
        if present(support, PINNING):
            pytest.skip(f"present: {PINNING}")
        assert_explained(support.cells[PINNING], PINNING)
        if session.acting.limits is not None:
            with pytest.raises(Unsupported):
                await session.acting.limits.pin(vm, frozenset({0}))

    @pytest.mark.parametrize("unknown", UNKNOWN_IDS, ids=range(len(UNKNOWN_IDS)))
    async def test_an_id_that_no_vm_has_is_not_found(
        self, session: Session, reader: LimitsReader, unknown: str
    ) -> None:
        assert session.acting.limits is not None
        with pytest.raises(NotFound):
            await session.acting.limits.pin(VMId(unknown), frozenset({0}))
