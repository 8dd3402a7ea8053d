"""What `capabilities/acting/power.py` promises."""

import asyncio
from typing import ClassVar

import pytest
import pytest_asyncio

from yamori.capabilities.acting.power import Power
from yamori.capabilities.session import Session
from yamori.model.errors import Conflict, NotFound
from yamori.model.ids import VMId
from yamori.model.support import Support
from yamori.model.vm import PowerState
from yamori.testing.conformance.contract import (
    UNKNOWN_IDS,
    Contract,
    assert_explained,
    need,
    present,
    state_of,
)
from yamori.testing.conformance.patience import Eventually

VERBS = ("start", "stop", "pause", "resume", "reset")


async def reaches(session: Session, vm: VMId, state: PowerState, eventually: Eventually) -> None:
    """Wait until a VM is in a state."""

    async def there() -> bool:
        return await state_of(session, vm) is state

    await eventually(there, f"the VM is {state}")


class PowerContract(Contract):
    """Start, stop, pause, resume, reset."""

    feature: ClassVar[str] = "power"

    @pytest_asyncio.fixture
    async def power(self, session: Session, support: Support) -> Power:
        """The capability, where it is."""
        need(support, "power")
        assert session.acting.power is not None, "power is claimed but the session does not have it"
        return session.acting.power

    async def test_absence_is_explained_and_presence_is_claimed(self, session: Session, support: Support) -> None:
        if session.acting.power is None:
            assert_explained(support.cells["power"], "power")
        else:
            assert present(support, "power")

    async def test_a_paused_vm_is_paused_and_goes_on_when_resumed(
        self, session: Session, power: Power, vm: VMId, eventually: Eventually
    ) -> None:
        await power.pause(vm)
        await reaches(session, vm, PowerState.PAUSED, eventually)
        await power.resume(vm)
        await reaches(session, vm, PowerState.RUNNING, eventually)

    async def test_a_vm_whose_power_is_cut_is_stopped_and_runs_when_started(
        self, session: Session, power: Power, vm: VMId, eventually: Eventually
    ) -> None:
        await power.stop(vm, force=True)
        await reaches(session, vm, PowerState.STOPPED, eventually)
        await power.start(vm)
        await reaches(session, vm, PowerState.RUNNING, eventually)

    async def test_pausing_twice_is_the_same_as_once(
        self, session: Session, power: Power, vm: VMId, eventually: Eventually
    ) -> None:
        await power.pause(vm)
        await power.pause(vm)
        await reaches(session, vm, PowerState.PAUSED, eventually)

    async def test_resuming_a_running_vm_changes_nothing(self, session: Session, power: Power, vm: VMId) -> None:
        await power.resume(vm)
        assert await state_of(session, vm) is PowerState.RUNNING

    async def test_starting_a_running_vm_changes_nothing(self, session: Session, power: Power, vm: VMId) -> None:
        await power.start(vm)
        assert await state_of(session, vm) is PowerState.RUNNING

    async def test_cutting_power_twice_is_the_same_as_once(
        self, session: Session, power: Power, vm: VMId, eventually: Eventually
    ) -> None:
        await power.stop(vm, force=True)
        await power.stop(vm, force=True)
        await reaches(session, vm, PowerState.STOPPED, eventually)

    @pytest.mark.parametrize("verb", ["pause", "resume", "reset"])
    async def test_a_stopped_vm_cannot_do_what_only_a_running_one_can(
        self, session: Session, power: Power, vm: VMId, verb: str, eventually: Eventually
    ) -> None:
        await power.stop(vm, force=True)
        await reaches(session, vm, PowerState.STOPPED, eventually)
        with pytest.raises(Conflict):
            await getattr(power, verb)(vm)
        assert await state_of(session, vm) is PowerState.STOPPED

    async def test_a_reset_vm_runs_and_keeps_its_id(
        self, session: Session, power: Power, vm: VMId, eventually: Eventually
    ) -> None:
        await power.reset(vm)
        await reaches(session, vm, PowerState.RUNNING, eventually)

    async def test_asking_the_guest_to_shut_down_harms_nothing(
        self, session: Session, power: Power, vm: VMId
    ) -> None:
        await power.stop(vm)
        assert await state_of(session, vm) in (PowerState.RUNNING, PowerState.STOPPED)

    @pytest.mark.parametrize("verb", VERBS)
    @pytest.mark.parametrize("unknown", UNKNOWN_IDS, ids=range(len(UNKNOWN_IDS)))
    async def test_an_id_that_no_vm_has_is_not_found(self, power: Power, verb: str, unknown: str) -> None:
        with pytest.raises(NotFound):
            await getattr(power, verb)(VMId(unknown))

    async def test_many_may_pause_at_once(
        self, session: Session, power: Power, vm: VMId, eventually: Eventually
    ) -> None:
        await asyncio.gather(*(power.pause(vm) for _ in range(5)))
        await reaches(session, vm, PowerState.PAUSED, eventually)
        await asyncio.gather(*(power.resume(vm) for _ in range(5)))
        await reaches(session, vm, PowerState.RUNNING, eventually)
