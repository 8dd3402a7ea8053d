"""The module keeps the promises that every module makes, and one of its own."""

from collections.abc import Sequence

import pytest
from yamori_leak import MODULE

from yamori.capabilities.sensing.usage import Column
from yamori.manifest.module import ModuleManifest
from yamori.model.actions import Throttle
from yamori.model.limits import LimitKind
from yamori.testing.module import IDS, ModuleContract, Moment, fleet, frame, steady

SILVER = 1
"""The VM of silver class: it may be throttled."""


def moments(sender: int) -> list[Moment]:
    """Twenty quiet readings, then one VM sends 100 MB/s for ten."""
    made = []
    for number in range(30):
        values = steady(number)
        values[sender, Column.NET_TX_BYTES] += max(0, number - 20) * 1e8
        made.append(Moment(frame=frame(number, values), fleet=fleet(number)))
    return made


class TestLeak(ModuleContract):
    @pytest.fixture
    def module(self) -> ModuleManifest:
        return MODULE

    @pytest.fixture
    def trouble(self) -> Sequence[Moment]:
        return moments(SILVER)

    async def test_the_sender_is_held_to_what_it_may_send(self, module: ModuleManifest) -> None:
        findings, proposals = await self._play(module, moments(SILVER))
        assert {finding.cause for finding in findings} == {IDS[SILVER]}
        action = proposals[0].action
        assert isinstance(action, Throttle)
        assert action.limits == {LimitKind.NET_OUT: 5e6}

    async def test_a_gold_vm_is_reported_but_not_throttled(self, module: ModuleManifest) -> None:
        findings, proposals = await self._play(module, moments(0))
        assert findings
        assert not proposals
