"""Measuring real hosts: what runs without any, and what is said where there is none."""

import asyncio
import os
import signal
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("libvirt")

from tests.drivers.libvirt.xenhost import XenConnection, XenDomain, XenLink, recorded
from yamori.bench import BENCHES, labagent, labhost
from yamori.bench.choice import chosen
from yamori.bench.compare import READINGS, ROUNDS, Way, compare
from yamori.bench.counting import CountingConnection
from yamori.bench.exporter import ASKED, Exporter
from yamori.bench.hostcpu import seconds
from yamori.bench.labhost import LabHost, lab_host, run_to_end
from yamori.bench.real import result
from yamori.bench.result import LabWish
from yamori.lab.clearing import Cleared
from yamori.lab.lab import Lab
from yamori.lab.layout import Layout
from yamori.lab.leftovers import LabStatus
from yamori.lab.registry import Registry
from yamori.lab.spec import LabSpec
from yamori.model.errors import Conflict, Failed, Invalid, NotFound, NotPermitted, Unreachable

COST = {
    "calls": 2.0,
    "wall_s": 0.02,
    "cpu_s": 0.002,
    "cpu_us_per_vm": 500.0,
    "host_cpu_s": 0.0,
    "host_cpu_us_per_vm": 0.0,
}


class Telling(XenDomain):
    """A domain that tells all that an exporter asks, but for its vCPUs."""

    def XMLDesc(self, flags: int = 0) -> str:
        return str(super().XMLDesc(flags))

    def memoryStats(self) -> dict[str, int]:
        return {"actual": 131072}

    def blockStats(self, _disk: str) -> tuple[int, ...]:
        return (1, 2, 3, 4, -1)

    def interfaceStats(self, _card: str) -> tuple[int, ...]:
        return (1,) * 8


class Link(XenLink):
    """Lists dom0 too, as Xen's driver does."""

    def listAllDomains(self, flags: int = 0) -> list[XenDomain]:
        assert flags == 1
        dom0 = XenDomain(self.domains[0].xml)
        dom0.number = 0
        return [dom0, *self.domains]


class Plain(XenConnection):
    """Takes a time limit, as the driver's connection does."""

    lost: Unreachable | None = None

    async def call(
        self, job: Callable[[Any], Any], *, capability: str, subject: str | None = None, **_: Any
    ) -> Any:
        if self.lost is not None:
            raise self.lost
        return await super().call(job, capability=capability, subject=subject)


def plain(domains: int) -> Plain:
    return Plain(Link(*(Telling(recorded("pv")) for _ in range(domains))))


def counting(connection: Plain) -> CountingConnection:
    return CountingConnection(connection)  # type: ignore[arg-type]


async def test_an_exporter_asks_each_vm_and_leaves_out_what_libvirt_never_answers() -> None:
    link = counting(plain(3))
    exporter = Exporter(link)
    await exporter.look()
    assert exporter.refused == ("vcpus",)
    assert set(exporter.asked) | {"vcpus"} == set(ASKED)
    before = link.calls()
    assert await exporter.read() == 3
    each = 3 + 2 + 1  # definition, info, memory; both disks; the card that is plugged in
    assert link.calls() - before == 1 + 3 * each


async def test_a_lost_host_is_not_taken_for_one_that_answers_nothing() -> None:
    connection = plain(1)
    connection.lost = Unreachable("the link broke")
    with pytest.raises(Unreachable):
        await Exporter(counting(connection)).look()


def way(log: list[str], name: str, *, vms: int = 4, calls: int = 1, cpu_s: float = 0.001) -> Way:
    made = [0, 0.0]

    async def read() -> int:
        log.append(name)
        made[0] += calls
        made[1] += cpu_s
        return vms

    return Way(read=read, calls=lambda: int(made[0]), host_cpu=lambda: made[1])


async def test_ways_take_turns_and_each_tells_its_calls_and_the_hosts_cpu() -> None:
    log: list[str] = []
    ways = {"ours": way(log, "ours", calls=2), "one_by_one": way(log, "theirs", calls=21, cpu_s=0.004)}
    told = await compare(ways, vms=4, scale=0.2)
    each = round(READINGS * 0.2)
    assert log[:2] == ["ours", "theirs"]  # warming up
    assert log[2:] == (["ours"] * each + ["theirs"] * each * 2 + ["ours"] * each) * (ROUNDS // 2)
    assert (told["ours"]["calls"], told["one_by_one"]["calls"]) == (2, 21)
    assert told["ours"]["host_cpu_s"] == pytest.approx(0.001)
    assert told["one_by_one"]["host_cpu_us_per_vm"] == pytest.approx(1000)


async def test_a_vm_that_vanishes_meanwhile_spoils_the_measurement() -> None:
    numbers = iter([3, 3, 2])

    async def read() -> int:
        return next(numbers)

    with pytest.raises(Failed, match="2 VMs where 3 run"):
        await compare({"ours": Way(read=read, calls=lambda: 0, host_cpu=lambda: 0.0)}, vms=3, scale=1.0)


def test_the_cpu_of_a_process_is_read_from_its_line_and_garbage_is_refused() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    line = "7 (lib) virt) S 1 2 3 4 5 6 7 8 9 10 " + f"{3 * ticks} {2 * ticks} 0 0 20"
    assert seconds(line) == 5.0
    for untrusted in (
        "",
        "7 (x) S 1 2",
        line.replace(str(3 * ticks), "-1"),
        line.replace(str(3 * ticks), "9" * 30),
    ):
        with pytest.raises(Failed):
            seconds(untrusted)


def test_what_was_measured_is_told_at_the_numbers_of_vms_that_ran_and_at_no_other() -> None:
    theirs = {**COST, "calls": 25.0, "wall_s": 0.04, "cpu_s": 0.006}
    few = {"ours": COST, "one_by_one": {**theirs, "calls": 13.0}}
    made = result(
        "libvirt-qemu", "a host", [(4, {"ours": COST, "one_by_one": theirs}), (2, few)],
        {"one_by_one_refused": ["vcpus"]}, (),
    )  # fmt: skip
    assert made.json["vms"] == 4
    assert made.json["one_by_one_over_ours"] == {"calls": 12.5, "wall_s": 2.0, "cpu_s": pytest.approx(3.0)}
    assert [each["vms"] for each in made.json["sizes"]] == [4, 2]
    assert [row[0] for row in made.rows[1:]] == ["4", "4", "2", "2"]
    assert made.notes[0] == "VM by VM takes 12.5 x the calls, 2.0 x the time, 3.0 x our CPU."
    assert made.notes[1] == "Our calls a reading: 2 with 4 VMs, 2 with 2 VMs."
    assert any("vcpus" in note for note in made.notes)
    assert not any("1,000" in str(row) for row in made.rows)


class Labs:
    """Stands in for the labs of this machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.made: list[str] = []
        self.cleared: list[str] = []
        self.left: list[LabStatus] = []
        self.folder = folder

        async def up(_: Any, spec: LabSpec, *, progress: Any) -> Lab:
            self.made.append(spec.name)
            progress("host-a answers")
            return self.lab(spec)

        async def clear(name: str) -> Cleared:
            self.cleared.append(name)
            return Cleared(processes=1)

        monkeypatch.setattr(Lab, "up", classmethod(up))
        monkeypatch.setattr(labhost, "clear_lab", clear)
        monkeypatch.setattr(labhost, "find_leftovers", lambda: self.left)

    def lab(self, spec: LabSpec) -> Lab:
        return Lab(spec, Layout(name=spec.name, slot=3), Registry(self.folder / "registry.jsonl"))


@pytest.fixture
def labs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Labs:
    return Labs(monkeypatch, tmp_path)


def spec(name: str, **more: Any) -> LabSpec:
    return LabSpec(name=name, **{"hosts": 1, "guests_per_host": 2, **more})


def leftover(name: str) -> LabStatus:
    return LabStatus(
        name=name, slot=1, state="up", detached=False, owner_pid=1, owner_alive=False, orphaned=True,
        processes_alive=1,
    )  # fmt: skip


async def test_a_lab_of_ours_has_a_name_of_its_own_and_is_cleared_whatever_happens(labs: Labs) -> None:
    told: list[str] = []

    async def fail() -> None:
        async with lab_host(LabWish(), told.append, spec, xen=False) as place:
            assert place.ours
            assert place.guests == ["vm-a1", "vm-a2"]
            raise Failed("measuring failed")

    for _ in range(2):
        with pytest.raises(Failed, match="measuring failed"):
            await fail()
    assert labs.cleared == labs.made
    assert len(set(labs.made)) == 2
    assert any("host-a answers" in each for each in told)


async def test_only_what_killed_benchmarks_have_left_is_cleared_before(labs: Labs) -> None:
    labs.left = [leftover("bench-0011"), leftover("somebodys")]
    async with lab_host(LabWish(), lambda _: None, spec, xen=False):
        assert labs.cleared == ["bench-0011"]


async def test_a_named_lab_is_measured_and_left_as_it_is(labs: Labs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lab, "open", classmethod(lambda _, name: labs.lab(spec(name))))
    async with lab_host(LabWish(lab="mine"), lambda _: None, spec, xen=False) as place:
        assert not place.ours
        assert place.host.name == "host-a"
    with pytest.raises(Invalid, match="no Xen host"):
        async with lab_host(LabWish(lab="mine"), lambda _: None, spec, xen=True):
            pass
    with pytest.raises(Invalid, match="has the guests that it has"):
        async with lab_host(LabWish(lab="mine", guests=3), lambda _: None, spec, xen=False):
            pass
    assert not labs.made
    assert not labs.cleared


@pytest.mark.parametrize("name", ["libvirt-qemu", "xen"])
def test_without_root_it_says_so(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(labhost, "find_leftovers", list)
    monkeypatch.setattr("yamori.lab.clearing.STATE_ROOT", tmp_path)
    with pytest.raises(NotPermitted, match="root"):
        BENCHES["collect"].labs[name](LabWish(guests=2), lambda _: None)


@pytest.mark.parametrize(("name", "guests"), [("libvirt-qemu", 21), ("xen", 9), ("xen", 0)])
def test_more_guests_than_a_host_of_the_lab_takes_are_refused(name: str, guests: int) -> None:
    with pytest.raises(Invalid, match="use 1 to"):
        BENCHES["collect"].labs[name](LabWish(guests=guests), lambda _: None)


def test_what_is_measured_is_what_was_asked_and_labs_are_for_real_hosts_only() -> None:
    bench = BENCHES["collect"]
    with pytest.raises(NotFound, match="libvirt-qemu"):
        chosen(bench, driver="vsfere", scale=1.0)
    for driver in (None, "simulator"):
        with pytest.raises(Invalid, match="--driver xen"):
            chosen(bench, driver=driver, scale=1.0, guests=2)
    with pytest.raises(Invalid, match="needs no lab"):
        chosen(BENCHES["guard"], driver=None, scale=1.0, lab="mine")
    assert chosen(bench, driver="simulator", scale=0.01)(lambda _: None).json["vms"] == 10


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C as a program finds it at its start, whatever a test before has left."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_sigterm_ends_it_in_order() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            ended.append("cleared")

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        run_to_end(work())
    assert ended == ["cleared"]
    assert signal.getsignal(signal.SIGTERM) is before


class FakeAgent:
    """An agent as the lab brings it to dom0: here it serves a simulated host, on a real socket."""

    pid = 4711
    loop: asyncio.AbstractEventLoop
    folder: Path
    killed = 0

    def __init__(self, _host: Any) -> None:
        self._identity: Any = None

    def install(self) -> None: ...

    def enrol(self, controller: str, token: Any) -> None:
        from yamori.agent.service.enrolling import enrol
        from yamori.trust.enrolment import read_token_text

        asked = enrol(controller, read_token_text(token.reveal()))
        self._identity = asyncio.run_coroutine_threadsafe(asked, self.loop).result(60)

    def start(self) -> None:
        from tests.agent.fleet import keep, simulated
        from yamori.agent.service.running import serve

        keep(self.folder, self._identity)
        self._serving = asyncio.run_coroutine_threadsafe(
            serve(simulated(), state_dir=self.folder, clock="boot-1"), self.loop
        )

    def kill(self, *, signal: str = "KILL") -> None:
        assert signal == "TERM"
        FakeAgent.killed += 1
        self._serving.cancel()


@pytest.fixture
def dom0(monkeypatch: pytest.MonkeyPatch, labs: Labs, tmp_path: Path) -> types.SimpleNamespace:
    """A Xen host whose agent is in this process. ``ran``: programs that were run in its dom0."""
    ran: list[tuple[str, ...]] = []
    there = types.SimpleNamespace(ran=ran, installed=False)

    def run(_self: Any, command: Any, **_: Any) -> str:
        ran.append(tuple(command))
        if command[-1] == "status" and not there.installed:
            raise Failed("the agent's directory cannot be used")
        return "{}"

    FakeAgent.folder, FakeAgent.killed = tmp_path / "agent", 0
    monkeypatch.setattr(labagent, "XenAgent", FakeAgent)
    monkeypatch.setattr("yamori.lab.xen.host.XenHost.run", run)
    monkeypatch.setattr(Layout, "root_address", "127.0.0.1")
    lab = labs.lab(LabSpec(name="mine", hosts=0, xen_hosts=1))
    there.place = lambda *, ours: LabHost(lab=lab, host=lab.xen_host("xen-a"), ours=ours)
    return there


@pytest.fixture
async def _loop() -> None:
    FakeAgent.loop = asyncio.get_running_loop()


@pytest.mark.usefixtures("_loop")
async def test_a_reading_over_an_agents_line_is_one_call(dom0: types.SimpleNamespace) -> None:
    async with labagent.lab_agent(dom0.place(ours=False), lambda _: None) as agent:
        usage = agent.session.sensing.usage
        assert usage is not None
        for number in range(1, 4):
            assert len((await usage.read()).vms) > 0
            assert agent.calls() == number
        assert agent.pid == 4711
    assert FakeAgent.killed == 1
    assert dom0.ran[-1] == ("yamori", "agent", "uninstall", "--purge", "--yes")


async def test_an_agent_that_serves_somebody_else_is_let_be(dom0: types.SimpleNamespace) -> None:
    dom0.installed = True
    with pytest.raises(Conflict, match="has an agent already"):
        async with labagent.lab_agent(dom0.place(ours=False), lambda _: None):
            pass
    assert FakeAgent.killed == 0
    assert [command[-1] for command in dom0.ran] == ["status"]
