"""The kit is tested: it passes the healthy simulator, and catches every driver that breaks one promise."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from tests.testing import broken
from yamori.drivers.simulator import Demand, Fault, HostShape, SimulatorSession, VMShape, World, WorldShape
from yamori.model.errors import Unreachable
from yamori.model.ids import EndpointName, VMId
from yamori.model.migration import StorageMode
from yamori.testing.conformance.patience import Eventually

CONTRACTS = {
    "inventory": "inventory.InventoryContract",
    "changes": "changes.ChangesContract",
    "usage": "usage.UsageContract",
    "limits": "limits.LimitsContract",
    "pinning": "pinning.PinningContract",
    "power": "power.PowerContract",
    "migration": "broken_move.BrokenMoveContract",
    "standing": "standing_still.StandingStillContract",
    "effects": "effects.EffectsContract",
    "expiry": "expiry.ExpiryContract",
    "support": "support.SupportContract",
}


for _contract in CONTRACTS.values():
    # Imported once here, or every inner run would import (and rewrite) it again.
    importlib.import_module(f"yamori.testing.conformance.{_contract.partition('.')[0]}")


class Load:
    def __init__(self, world: World) -> None:
        self.world = world

    async def burn(self, vm: VMId, resource: str) -> None:
        del resource
        busy = Demand(cpu_cores=2, disk_read_iops=3000, net_rx_bytes_s=5e7, net_tx_bytes_s=5e7)
        self.world.set_demand(vm, busy)

    async def rest(self, vm: VMId) -> None:
        self.world.set_demand(vm, Demand())


@dataclass(eq=False)
class Subject:
    """Gives the fixtures of the kit for one broken driver."""

    make: Callable[[SimulatorSession], Any]
    without: dict[str, str] = field(default_factory=dict)
    moves_live: bool = True

    @pytest.fixture
    def world(self) -> World:
        vm = VMShape(moves_live=self.moves_live)
        return World(WorldShape(hosts=2, vms_per_host=3, host=HostShape(cpus=4), vm=vm, step_s=0.5))

    def _open(self, world: World, name: str, host: str) -> SimulatorSession:
        return SimulatorSession(world, EndpointName(name), hosts=[host], without=self.without)

    @pytest_asyncio.fixture
    async def session(self, world: World) -> AsyncIterator[Any]:
        healthy = self._open(world, "alpha", "host-0")
        yield self.make(healthy)
        await healthy.close()

    @pytest_asyncio.fixture
    async def second(self, world: World) -> AsyncIterator[Any]:
        healthy = self._open(world, "alpha", "host-0")
        yield self.make(healthy)
        await healthy.close()

    @pytest_asyncio.fixture
    async def destination(self, world: World) -> AsyncIterator[SimulatorSession]:
        healthy = self._open(world, "beta", "host-1")
        yield healthy
        await healthy.close()

    @pytest.fixture
    def vm(self, world: World) -> VMId:
        return world.vms("host-0")[0]

    @pytest.fixture
    def eventually(self, world: World) -> Eventually:
        async def pause() -> None:
            world.advance(0.5)
            for _ in range(3):
                await asyncio.sleep(0)

        return Eventually(pause=pause, pause_s=0.5, tries=60)

    @pytest.fixture
    def storage(self) -> StorageMode:
        return StorageMode.SHARED

    @pytest.fixture
    def slow_bytes_s(self) -> int:
        return 40_000_000

    @pytest.fixture
    def load(self, world: World) -> Load:
        return Load(world)

    @pytest.fixture
    def break_move(self, world: World) -> Callable[[], Awaitable[None]]:
        async def broken_link() -> None:
            world.faults.add(Fault(operation="migration.run", raises=Unreachable, at_progress=0.0))

        return broken_link


def layer(kind: type[broken.Layer], side: str, word: str) -> Callable[[SimulatorSession], Any]:
    """Make sessions in which one ability is replaced by a broken one."""

    def make(healthy: SimulatorSession) -> broken.Session:
        session = broken.Session(healthy)
        if side == "sensing":
            session.sense(**{word: kind(session, getattr(healthy.sensing, word))})
        else:
            session.act(**{word: kind(session, getattr(healthy.acting, word))})
        return session

    return make


def from_memory(healthy: SimulatorSession) -> broken.Session:
    session = broken.Session(healthy)
    both = broken.ReadsFromMemory(session, healthy.sensing.limits)
    session.sense(limits=both)
    session.act(limits=both)
    return session


NO_NET = {"limits.net_in": "no shaping here", "limits.net_out": "no shaping here"}
NO_DELAY = {"usage.cpu_delay": "the kernel does not count it"}
NO_STOP = {"migration.cancel": "what has begun goes on"}
NO_BOUND = {"migration.bandwidth": "nobody bounds it"}
NO_USAGE = {"usage": "no counters here"}

NOT_NEEDED = ("cacheprovider", "hypothesispytest", "xdist", "pytest_cov", "trio", "anyio", "timeout")
"""Plugins that the inner runs do without: each would be imported afresh for each of them."""

CASES: dict[str, tuple[Callable[[SimulatorSession], Any], dict[str, str], str, str]] = {
    "raises the vendor's error": (
        layer(broken.RaisesTheVendorsError, "sensing", "inventory"), {}, "inventory", "test_an_id_that_no_vm_has"
    ),
    "says invalid for not found": (
        layer(broken.SaysInvalidForNotFound, "sensing", "inventory"), {}, "inventory", "test_an_id_that_no_vm_has"
    ),
    "leaks a vendor type": (
        layer(broken.LeaksAVendorType, "sensing", "inventory"), {}, "inventory", "test_nothing_of_the_vendor"
    ),
    "leaks a handle": (
        layer(broken.LeaksAHandle, "sensing", "inventory"), {}, "inventory", "test_nothing_of_the_vendor"
    ),
    "lists a VM twice": (
        layer(broken.ListsAVMTwice, "sensing", "inventory"), {}, "inventory", "test_no_vm_is_listed_twice"
    ),
    "says zero for an unknown size": (
        layer(broken.SaysZeroForUnknownSize, "sensing", "inventory"), {}, "inventory", "test_sizes_are_sizes"
    ),
    "forgets changes": (
        layer(broken.ForgetsEveryThirdChange, "sensing", "changes"), {}, "changes", "test_what_happens_is_told"
    ),
    "tells out of order": (
        layer(broken.TellsOutOfOrder, "sensing", "changes"), {}, "changes", "test_what_happens_is_told"
    ),
    "tells only one watcher": (
        layer(broken.TellsOnlyTheFirstWatcher, "sensing", "changes"), {}, "changes", "test_two_who_watch"
    ),
    "watches for ever": (
        layer(broken.WatchesForEver, "sensing", "changes"), {}, "changes", "test_closing_the_session_ends"
    ),
    "counters fall": (
        layer(broken.CountersFall, "sensing", "usage"), {}, "usage", "test_counters_never_fall"
    ),
    "unknown as zero": (
        layer(broken.SaysZeroForUnknown, "sensing", "usage"), {}, "usage", "test_what_is_not_known_is_nan"
    ),
    "counts what it cannot know": (
        layer(broken.CountsWhatItCannotKnow, "sensing", "usage"), NO_DELAY, "usage", "test_a_column_is_known_where"
    ),
    "writes into given frames": (
        layer(broken.WritesIntoGivenFrames, "sensing", "usage"), {}, "usage", "test_a_frame_is_never_written_to"
    ),
    "forgets the clock": (
        layer(broken.ForgetsTheClock, "sensing", "usage"), {}, "usage", "test_cpu_time_grows"
    ),
    "forgets idempotence": (
        layer(broken.ForgetsIdempotence, "acting", "power"), {}, "power", "test_pausing_twice"
    ),
    "resumes the stopped": (
        layer(broken.ResumesTheStopped, "acting", "power"), {}, "power", "test_a_stopped_vm_cannot"
    ),
    "ignores unknown ids": (
        layer(broken.IgnoresUnknownIds, "acting", "power"), {}, "power", "test_an_id_that_no_vm_has"
    ),
    "pauses only in words": (
        layer(broken.PausesOnlyInWords, "acting", "power"), {}, "effects", "test_a_paused_vm_uses_no_cpu"
    ),
    "reads limits from memory": (from_memory, {}, "limits", "test_what_another_hand_has_set"),
    "changes before it refuses the unsupported": (
        layer(broken.ChangesBeforeItRefuses, "acting", "limits"), NO_NET, "limits", "test_what_is_not_claimed"
    ),
    "changes before it refuses the invalid": (
        layer(broken.ChangesBeforeItRefuses, "acting", "limits"), {}, "limits", "test_a_value_without_sense"
    ),
    "lifts what is not named": (
        layer(broken.LiftsWhatIsNotNamed, "acting", "limits"), {}, "limits", "test_kinds_that_are_not_named"
    ),
    "takes any number": (
        layer(broken.TakesAnyNumber, "acting", "limits"), {}, "limits", "test_a_value_without_sense"
    ),
    "swallows the unsupported": (
        layer(broken.SwallowsTheUnsupported, "acting", "limits"), NO_NET, "limits", "test_what_is_not_claimed"
    ),
    "limits only in words": (
        layer(broken.LimitsOnlyInWords, "acting", "limits"), {}, "effects", "test_a_limit_bounds"
    ),
    "never lapses": (layer(broken.NeverLapses, "acting", "limits"), {}, "expiry", "test_a_limit_ends_by_itself"),
    "lapses though renewed": (
        layer(broken.LapsesThoughRenewed, "acting", "limits"), {}, "expiry", "test_renewing_puts_the_end_off"
    ),
    "pins nothing": (layer(broken.PinsNothing, "acting", "limits"), {}, "pinning", "test_a_pinned_vm_is_read"),
    "leaves two copies": (
        layer(broken.LeavesTwoCopies, "acting", "migration"), {}, "migration", "test_at_no_moment_do_two_copies"
    ),
    "cancel stops the VM": (
        layer(broken.CancelStopsTheVM, "acting", "migration"), {}, "migration", "test_a_cancelled_move_leaves"
    ),
    "failure stops the VM": (
        layer(broken.FailureStopsTheVM, "acting", "migration"), {}, "migration", "test_a_move_that_fails"
    ),
    "ignores the key": (
        layer(broken.IgnoresTheKey, "acting", "migration"), {}, "migration", "test_the_same_key_begins"
    ),
    "moves in plaintext": (
        layer(broken.MovesInPlaintext, "acting", "migration"), {}, "migration", "test_a_moved_vm_runs"
    ),
    "remembers only its own moves": (
        layer(broken.RemembersOnlyItsOwnMoves, "sensing", "migration"), {}, "migration", "test_a_restarted_reader"
    ),
    "lands with strangers": (
        layer(broken.LandsWithStrangers, "acting", "migration"), {}, "migration", "test_a_landing_of_another"
    ),
    "ignores the bandwidth": (
        layer(broken.IgnoresTheBandwidth, "acting", "migration"), {}, "migration", "test_a_bandwidth_bounds"
    ),
    "ignores the bandwidth where it cannot be kept": (
        layer(broken.IgnoresTheBandwidth, "acting", "migration"),
        NO_BOUND,
        "migration",
        "test_a_bandwidth_that_cannot_be_kept",
    ),
    "cancels only in words": (
        layer(broken.CancelsOnlyInWords, "acting", "migration"), NO_STOP, "migration", "test_where_a_move_cannot"
    ),
    "names the wrong row": (
        layer(broken.NamesTheWrongRow, "acting", "migration"), NO_STOP, "migration", "test_where_a_move_cannot"
    ),
    "forecasts none to be live": (
        layer(broken.ForecastsNoneToBeLive, "sensing", "migration"), {}, "migration", "test_the_forecast_says"
    ),
    "forecasts by trying": (
        layer(broken.ForecastsByTrying, "sensing", "migration"), {}, "migration", "test_a_forecast_changes_nothing"
    ),
    "forecasts all to be live": (
        layer(broken.ForecastsAllToBeLive, "sensing", "migration"), {}, "standing", "test_the_forecast_says"
    ),
    "forecasts without a reason": (
        layer(broken.ForecastsWithoutAReason, "sensing", "migration"), {}, "standing", "test_a_forecast_that_is"
    ),
    "stops the VM without leave": (
        layer(broken.StopsTheVMWithoutLeave, "acting", "migration"), {}, "standing", "test_a_vm_that_would_stand"
    ),
    "never takes leave to stop": (
        layer(broken.NeverTakesLeaveToStop, "acting", "migration"), {}, "standing", "test_a_moved_vm_runs"
    ),
    "fails instead of conflict": (
        layer(broken.FailsInsteadOfConflict, "acting", "migration"), {}, "migration", "test_there_is_no_landing"
    ),
    "claims a limit that is not there": (
        broken.ClaimsWhatIsNotThere, NO_NET, "limits", "test_what_is_set_is_read_back"
    ),
    "denies what is there": (broken.DeniesWhatIsThere, {}, "support", "test_bundle_and_probe_agree"),
    "denies power to hide it": (broken.DeniesWhatIsThere, {}, "power", "test_absence_is_explained"),
    "gives no reason": (broken.GivesNoReason, NO_NET, "support", "test_what_is_not_there_says_why"),
    "leaves a feature out": (broken.LeavesAFeatureOut, {}, "support", "test_every_feature_is_answered"),
    "probes by trying": (broken.ProbesByTrying, {}, "support", "test_probing_changes_nothing"),
    "has an empty shell for absence": (
        broken.HasAnEmptyShellForAbsence, NO_USAGE, "support", "test_bundle_and_probe_agree"
    ),
    "has an empty shell where usage should be": (
        broken.HasAnEmptyShellForAbsence, NO_USAGE, "usage", "test_absence_is_explained"
    ),
    "never closes": (broken.NeverCloses, {}, "support", "test_a_closed_session_is_unreachable"),
}  # fmt: skip


def run_kit(pytester: pytest.Pytester, contract: str, subject: Subject, only: str = "") -> dict[str, list[str]]:
    """Run one contract (or ``only`` one promise of it) on a subject, and return the names by outcome."""
    module, _, name = CONTRACTS[contract].rpartition(".")
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(f"from yamori.testing.conformance.{module} import {name}\nclass TestIt({name}): ...\n")
    off = [word for name in NOT_NEEDED for word in ("-p", f"no:{name}")]
    record = pytester.inline_run("-q", *off, "-k", only, plugins=[subject])
    outcome: dict[str, list[str]] = {"passed": [], "skipped": [], "failed": [], "error": []}
    for report in record.getreports("pytest_runtest_logreport"):
        # Only what fails in the test itself is a promise seen broken; an error before it proves nothing.
        word = report.outcome if report.when == "call" or report.outcome == "skipped" else "error"
        if report.when == "call" or report.outcome != "passed":
            outcome[word].append(report.nodeid.rpartition("::")[2])
    return outcome


@pytest.mark.parametrize("case", CASES)
def test_the_kit_catches_a_driver_that(pytester: pytest.Pytester, case: str) -> None:
    make, without, contract, promise = CASES[case]
    outcome = run_kit(
        pytester, contract, Subject(make=make, without=without, moves_live=contract != "standing"), promise
    )
    assert [name for name in outcome["failed"] if name.startswith(promise)], outcome


@pytest.mark.parametrize(
    ("contract", "without"),
    [
        *((contract, {}) for contract in CONTRACTS),
        ("limits", NO_NET),
        ("support", NO_NET),
        ("usage", NO_DELAY),
        ("usage", NO_USAGE),
        ("support", NO_USAGE),
        ("migration", NO_STOP),
        ("migration", NO_BOUND),
    ],
)
def test_the_healthy_driver_passes(pytester: pytest.Pytester, contract: str, without: dict[str, str]) -> None:
    """Each break above lies on top of one of these, so it is the break alone that the kit catches."""
    subject = Subject(make=broken.Session, without=without, moves_live=contract != "standing")
    outcome = run_kit(pytester, contract, subject)
    assert not outcome["failed"]
    assert not outcome["error"]
    assert outcome["passed"]
