"""The contract of a security module: pure, honest about what it does not know, and never beyond its card."""

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import numpy as np
import pytest

from yamori.capabilities.sensing.usage import COUNTERS, Column, HostColumn, UsageFrame
from yamori.capabilities.session import Sensing
from yamori.manifest.module import FleetView, ModuleManifest
from yamori.model.actions import VERBS, Throttle
from yamori.model.finding import Coverage, Finding
from yamori.model.ids import HostId, VMId
from yamori.model.limits import LimitKind
from yamori.model.proposal import Proposal
from yamori.model.sla import STANDARD_CLASSES
from yamori.model.vm import VM, PowerState

BIRTH = datetime(2030, 1, 1, tzinfo=UTC)
TICK_S = 1.0
MOST_OBSERVATIONS = 1000
"""A module's ``sense`` yields what there is at one moment and ends; more than this is an endless loop."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moment:
    """One moment of a fleet, as control hands it to a module: fulfils ``Sensors``."""

    frame: UsageFrame
    fleet: FleetView
    gaps: Mapping[HostId, str] = dataclasses.field(default_factory=dict)

    def usage(self) -> UsageFrame:
        """Return the frame."""
        return self.frame

    def view(self) -> FleetView:
        """Return the fleet."""
        return self.fleet

    def missing(self) -> Mapping[HostId, str]:
        """Return the hosts that could not be read."""
        return self.gaps


HOSTS = (HostId("host-a"), HostId("host-b"))
IDS = tuple(VMId(f"00000000-0000-4000-8000-{n:012d}") for n in range(6))


def fleet(number: int, *, limits: bool = True, migration: bool = True) -> FleetView:
    """Return six VMs on two hosts, at the moment of that number; optionally without any means to act."""
    vms = {
        vm: VM(
            id=vm,
            name=f"vm-{n}",
            host=HOSTS[n % 2],
            state=PowerState.RUNNING,
            vcpus=2,
            memory_bytes=2**31,
            memory_max_bytes=2**31,
            labels={"sla": ("gold", "silver", "bronze")[n % 3]},
        )
        for n, vm in enumerate(IDS)
    }
    return FleetView(
        now=BIRTH + timedelta(seconds=number * TICK_S),
        vms=vms,
        classes=STANDARD_CLASSES,
        holds={},
        kinds={host: frozenset(LimitKind) if limits else frozenset() for host in HOSTS},
        can_migrate=frozenset(HOSTS) if migration else frozenset(),
    )


def frame(number: int, values: np.ndarray[Any, np.dtype[np.float64]], vms: tuple[VMId, ...] = IDS) -> UsageFrame:
    """Return a frame with these values (one row for each VM), read at the moment of that number."""
    host_values = np.empty((len(HOSTS), len(HostColumn)))
    host_values[:] = (4.0, 2.0**33, 2.0**32)
    made = UsageFrame(
        wall=BIRTH + timedelta(seconds=number * TICK_S),
        vms=vms,
        hosts=HOSTS,
        host_of=np.arange(len(vms), dtype=np.int32) % 2,
        read_at=np.full(len(HOSTS), number * TICK_S),
        values=values,
        host_values=host_values,
    )
    for array in (made.host_of, made.read_at, made.values, made.host_values):
        array.flags.writeable = False
    return made


def steady(number: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the counters of a fleet in which nothing is wrong, at the moment of that number."""
    values = np.zeros((len(IDS), len(Column)))
    values[:, list(COUNTERS)] = number * TICK_S * 0.1
    values[:, [Column.DISK_READ_OPS, Column.DISK_WRITE_OPS]] = number * 20.0
    values[:, [Column.DISK_READ_TIME, Column.DISK_WRITE_TIME]] = number * 20.0 * 0.001
    values[:, [Column.NET_RX_BYTES, Column.NET_TX_BYTES]] = number * 1e5
    values[:, [Column.NET_RX_PACKETS, Column.NET_TX_PACKETS]] = number * 200.0
    values[:, [Column.CPU_DELAY, Column.MEMORY_FAULTS, Column.NET_RX_DROPS, Column.NET_TX_DROPS]] = 0.0
    values[:, Column.RUNNING] = 1.0
    values[:, Column.VCPUS] = 2.0
    values[:, [Column.MEMORY_ASSIGNED, Column.MEMORY_RESIDENT]] = 2.0**31
    values[:, Column.MEMORY_USABLE] = 2.0**30
    return values


class ModuleContract:
    """Inherited by a module's test, which gives the fixture ``module`` (its manifest) and ``trouble``.

    ``trouble`` is a sequence of ``Moment`` in which the module must find something and propose something,
    so that the promises below are not kept by a module that does nothing.
    """

    ticks: ClassVar[int] = 30

    async def _play(
        self, module: ModuleManifest, moments: Sequence[Moment]
    ) -> tuple[list[Finding], list[Proposal]]:
        """Let a module live through some moments; check purity on the way."""
        settings = module.settings()
        memory = module.memory()
        findings: list[Finding] = []
        proposals: list[Proposal] = []
        for moment in moments:
            count = 0
            async for observation in module.sense(moment, settings):
                count += 1
                assert count <= MOST_OBSERVATIONS, "sense does not end"
                # The same memory twice: a module that writes into it, or keeps something aside, answers otherwise.
                fresh, found = module.assess(observation, memory, settings)
                _, again = module.assess(observation, memory, settings)
                assert list(found) == list(again), "assess is not a pure function: same input, other findings"
                memory = fresh
                for finding in found:
                    asked = list(module.respond(finding, moment.fleet, settings))
                    assert asked == list(module.respond(finding, moment.fleet, settings)), "respond is not pure"
                    self._check(module, finding, asked)
                    proposals += asked
                findings += found
        return findings, proposals

    def _check(self, module: ModuleManifest, finding: Finding, proposals: Sequence[Proposal]) -> None:
        assert finding.module == module.name
        assert 0.0 <= finding.confidence <= 1.0
        assert 0 <= finding.coverage.examined <= finding.coverage.of
        for proposal in proposals:
            assert proposal.action.verb in module.proposes, f"{proposal.action.verb} is not on the card"
            assert proposal.by == module.name
            assert proposal.reason.strip()
            assert proposal.finding == finding.id
            assert finding.evidence, "an action was proposed on no evidence"
            assert all(np.isfinite(e.value) for e in finding.evidence), "what is unknown is no evidence"
            assert finding.coverage.examined > 0
            if isinstance(proposal.action, Throttle):
                assert 0 < proposal.action.expires_after_s < float("inf"), "every throttle expires"
                assert proposal.action.limits
                assert all(np.isfinite(v) and v > 0 for v in proposal.action.limits.values())

    def test_the_card_is_complete(self, module: ModuleManifest) -> None:
        """Only known words, settings that need nothing, steps with all four phases."""
        senses = {field.name for field in dataclasses.fields(Sensing)}
        assert module.name.isidentifier()
        assert module.summary.strip()
        assert module.reads <= senses
        assert module.wants <= senses
        assert module.proposes <= set(VERBS)
        assert set(module.carries_out) <= set(VERBS)
        module.settings()
        for make in module.carries_out.values():
            steps = make()
            assert all(
                inspect.iscoroutinefunction(getattr(steps, p)) for p in ("check", "apply", "verify", "undo")
            )

    async def test_trouble_is_found_and_something_is_proposed(
        self, module: ModuleManifest, trouble: Sequence[Moment]
    ) -> None:
        """Without this the promises below would be kept by doing nothing."""
        findings, proposals = await self._play(module, trouble)
        assert findings
        assert proposals or not module.proposes

    async def test_the_same_moments_give_the_same_findings(
        self, module: ModuleManifest, trouble: Sequence[Moment]
    ) -> None:
        """Every decision replays from its record."""
        assert await self._play(module, trouble) == await self._play(module, trouble)

    async def test_nothing_is_proposed_where_nothing_is_wrong(self, module: ModuleManifest) -> None:
        """A fleet that idles along needs no action."""
        _, proposals = await self._play(
            module, [Moment(frame=frame(n, steady(n)), fleet=fleet(n)) for n in range(self.ticks)]
        )
        assert not proposals

    async def test_an_empty_fleet_is_no_trouble(self, module: ModuleManifest) -> None:
        """No VM, no row, no action."""
        empty = np.empty((0, len(Column)))
        moments = [
            Moment(
                frame=frame(n, empty.copy(), ()),
                fleet=dataclasses.replace(fleet(n), vms={}),
                gaps=dict.fromkeys(HOSTS, "does not answer"),
            )
            for n in range(self.ticks)
        ]
        _, proposals = await self._play(module, moments)
        assert not proposals

    @pytest.mark.parametrize(
        "known", [frozenset(), frozenset({Column.RUNNING, Column.VCPUS})], ids=["nothing", "gauges"]
    )
    async def test_what_is_not_known_is_no_reason_to_act(
        self, module: ModuleManifest, known: frozenset[Column]
    ) -> None:
        """A frame of NaN is not a finding that anything is wrong, nor that all is well."""
        moments = []
        for n in range(self.ticks):
            values = steady(n)
            for column in Column:
                if column not in known:
                    values[:, column] = np.nan
            moments.append(Moment(frame=frame(n, values), fleet=fleet(n)))
        _, proposals = await self._play(module, moments)
        assert not proposals

    @pytest.mark.parametrize("column", list(Column), ids=lambda c: c.name)
    async def test_any_one_column_may_be_missing(
        self, module: ModuleManifest, trouble: Sequence[Moment], column: Column
    ) -> None:
        """A host that lacks one counter must not break the module."""
        poorer = []
        for moment in trouble:
            values = moment.frame.values.copy()
            values[:, column] = np.nan
            poorer.append(dataclasses.replace(moment, frame=dataclasses.replace(moment.frame, values=values)))
        await self._play(module, poorer)

    async def test_counters_that_begin_again_are_no_trouble(self, module: ModuleManifest) -> None:
        """A reboot lets counters fall to zero; that is not load."""
        moments = [
            Moment(frame=frame(n, steady(n % (self.ticks // 2))), fleet=fleet(n)) for n in range(self.ticks)
        ]
        _, proposals = await self._play(module, moments)
        assert not proposals

    async def test_without_means_to_act_no_such_action_is_proposed(
        self, module: ModuleManifest, trouble: Sequence[Moment]
    ) -> None:
        """Where no limit can be set, no throttle is asked for; where nothing can move, no move."""
        helpless = [
            dataclasses.replace(
                moment,
                fleet=dataclasses.replace(
                    moment.fleet, kinds=dict.fromkeys(moment.fleet.kinds, frozenset()), can_migrate=frozenset()
                ),
            )
            for moment in trouble
        ]
        findings, proposals = await self._play(module, helpless)
        assert findings, "what cannot be mended must be seen all the same"
        assert not [p for p in proposals if p.action.verb in ("throttle", "migrate")]

    async def test_no_evidence_no_proposal(self, module: ModuleManifest, trouble: Sequence[Moment]) -> None:
        """A finding from which the evidence was taken away leads to no action."""
        findings, _ = await self._play(module, trouble)
        nothing = Coverage(examined=0, of=0)
        for finding in findings:
            bare = dataclasses.replace(finding, evidence=(), coverage=nothing)
            assert not list(module.respond(bare, trouble[-1].fleet, module.settings()))
