"""What a session promises as a whole: an honest probe, absence as None, and a close that closes."""

import dataclasses
from typing import Any, ClassVar

import pytest

from yamori.capabilities.session import Session
from yamori.model.errors import Unreachable
from yamori.model.ids import VMId
from yamori.model.support import FEATURES, Level, Support
from yamori.testing.conformance.contract import PRESENT, Contract
from yamori.testing.conformance.values import assert_ours

LONGEST_REASON = 500


class SupportContract(Contract):
    """The session, its bundles, and what the probe says of them."""

    feature: ClassVar[str] = "inventory"

    async def test_every_feature_is_answered_and_no_other(self, support: Support) -> None:
        assert set(support.cells) == set(FEATURES)

    async def test_what_is_not_there_says_why(self, support: Support) -> None:
        for feature, cell in support.cells.items():
            assert cell.level in PRESENT or cell.reason.strip(), f"{feature} is {cell.level} without a reason"

    async def test_reasons_are_short_and_printable(self, support: Support) -> None:
        for feature, cell in support.cells.items():
            assert len(cell.reason) <= LONGEST_REASON, feature
            assert not cell.reason or cell.reason.isprintable(), feature

    async def test_the_driver_and_its_hypervisor_have_names(self, support: Support) -> None:
        assert support.driver.strip()
        assert support.hypervisor.strip()

    async def test_bundle_and_probe_agree(self, session: Session, support: Support) -> None:
        words = {field.name for side in (session.sensing, session.acting) for field in dataclasses.fields(side)}
        for word in sorted(words):
            here = _either(session, word)
            rows = [f for f in FEATURES if f.partition(".")[0] == word]
            levels = {support.cells[row].level for row in rows}
            if here:
                assert levels & PRESENT, f"the session has {word}, the probe says {sorted(levels)}"
            else:
                assert not levels & PRESENT, f"the probe claims {word}, the session does not have it"

    async def test_moving_is_encrypted_or_absent(self, support: Support) -> None:
        live, encrypted = (support.cells[f"migration.{part}"].level for part in ("live", "encrypted"))
        assert (live in PRESENT) == (encrypted in PRESENT), "there is no plaintext variant"

    async def test_hosts_that_may_differ_are_those_of_the_listing(
        self, session: Session, support: Support
    ) -> None:
        """Either no host differs and none is named, or all are."""
        listed = {host.id for host in (await session.sensing.inventory.read()).hosts}
        assert set(support.hosts) in (set(), listed)
        assert all(host.hypervisor.strip() for host in support.hosts.values())

    async def test_a_host_differs_only_by_what_it_lacks_and_says_why(self, support: Support) -> None:
        for name, host in support.hosts.items():
            for feature, cell in host.cells.items():
                assert support.cells[feature].level in PRESENT, f"{feature} on {name}: the endpoint has it not"
                assert cell.level not in PRESENT, f"{feature} on {name} does not differ"
                assert cell.reason.strip(), f"{feature} on {name} is {cell.level} without a reason"
                assert len(cell.reason) <= LONGEST_REASON, feature
                assert cell.reason.isprintable(), feature
            cells = support.at(name)
            live, encrypted = (cells[f"migration.{part}"].level for part in ("live", "encrypted"))
            assert (live in PRESENT) == (encrypted in PRESENT), f"plaintext on {name}"

    async def test_what_the_endpoint_has_at_least_one_host_has(self, support: Support) -> None:
        for feature, cell in support.cells.items():
            if support.hosts and cell.level in PRESENT:
                assert any(feature not in host.cells for host in support.hosts.values()), feature

    async def test_inventory_is_always_there(self, session: Session, support: Support) -> None:
        assert session.sensing.inventory is not None
        assert support.cells["inventory"].level in (Level.NATIVE, Level.AGENT)

    async def test_probing_twice_says_the_same(self, session: Session, support: Support) -> None:
        assert await session.probe() == support

    async def test_probing_changes_nothing(self, session: Session, vm: VMId) -> None:
        before = await self._look(session, vm)
        await session.probe()
        assert await self._look(session, vm) == before

    async def test_nothing_of_the_vendor_comes_out(self, support: Support) -> None:
        assert_ours(support, "support")

    async def test_closing_twice_is_the_same_as_once(self, session: Session) -> None:
        await session.close()
        await session.close()

    async def test_a_closed_session_is_unreachable(self, session: Session, vm: VMId) -> None:
        await session.close()
        with pytest.raises(Unreachable):
            await session.sensing.inventory.read()
        with pytest.raises(Unreachable):
            await session.sensing.inventory.vm(vm)
        if session.sensing.usage is not None:
            with pytest.raises(Unreachable):
                await session.sensing.usage.read()
        if session.acting.power is not None:
            with pytest.raises(Unreachable):
                await session.acting.power.pause(vm)

    async def _look(self, session: Session, vm: VMId) -> list[Any]:
        listing = await session.sensing.inventory.read()
        seen: list[Any] = [{(each.id, each.state, each.host) for each in listing.vms}]
        if session.sensing.limits is not None:
            limits = await session.sensing.limits.read(vm)
            seen += [dict(limits.values), limits.pinning]
        if session.sensing.usage is not None:
            seen.append(set((await session.sensing.usage.read()).vms))
        return seen


def _either(session: Session, word: str) -> bool:
    """Say whether a capability is there, on either side of the session."""
    return any(getattr(side, word, None) is not None for side in (session.sensing, session.acting))
