"""A believable small fleet at one moment: a noisy VM under a hold, its victims, one unknown, one host down."""

import math
from datetime import UTC, datetime, timedelta

from yamori.control.agents import AgentState, AgentView
from yamori.control.facade import Contact, EndpointView, Ruling, Series, Served, Standing, VMView
from yamori.manifest.module import Hold
from yamori.model.actions import Throttle
from yamori.model.finding import Coverage, Evidence, Finding, Severity
from yamori.model.host import Host
from yamori.model.ids import EndpointName, FindingId, HostId, RuleId, RunId, VMId
from yamori.model.limits import LimitKind
from yamori.model.proposal import Decision, Proposal, Verdict
from yamori.model.run import JournalEntry, Run, RunState
from yamori.model.sla import STANDARD_CLASSES, Objective
from yamori.model.support import FEATURES, Cell, HostSupport, Level, Support
from yamori.model.vm import VM, Disk, Nic, PowerState

NOW = datetime.now(UTC)
HOSTILE = '<img src=x onerror="document.title=1">'
MIB = 2**20

#       name            host    sla       cpu  delay  lost  latency  drops
ROWS = (
    ("web-1", "rack-a", "gold", 0.62, 0.021, 0.001, 0.004, 0.0),
    ("web-2", "rack-a", "gold", 0.55, 0.087, 0.002, 0.006, 0.0),
    ("shop-db", "rack-a", "gold", 1.31, 0.034, 0.012, 0.017, 0.0),
    ("batch-7", "rack-a", "bronze", 0.35, 0.190, 0.0, 0.031, 0.0),
    ("mail", "rack-a", "silver", 0.18, 0.066, 0.0, 0.012, 0.002),
    ("ci-runner", "rack-a", "bronze", 0.92, 0.141, 0.02, 0.044, 0.0),
    ("cache", "rack-b", "silver", 0.21, 0.012, 0.0, 0.003, 0.0),
    ("search", "rack-b", "silver", 1.72, 0.031, 0.007, 0.009, 0.0),
    ("legacy-erp", "rack-b", None, 0.08, 0.004, 0.0, 0.008, 0.0),
    ("git", "rack-b", "silver", 0.33, None, None, None, None),
    (HOSTILE, "rack-b", "bronze", 0.05, 0.002, 0.0, 0.002, 0.0),
    ("backup", "rack-b", "bronze", 0.0, None, None, None, None),
)
STOPPED = "backup"
HELD = "batch-7"


def vm_id(number: int) -> VMId:
    return VMId(f"6f0c1d2e-0000-4000-8000-{number:012x}")


def _served(sla: str | None, values: dict[Objective, float | None]) -> tuple[Served, ...]:
    bounds = STANDARD_CLASSES[sla].objectives if sla else {}
    found = []
    for objective in Objective:
        bound, value = bounds.get(objective), values[objective]
        if bound is None:
            standing = Standing.NOT_PROMISED
        elif value is None:
            standing = Standing.UNKNOWN
        else:
            standing = Standing.BROKEN if value > bound else Standing.KEPT
        found.append(Served(objective=objective, value=value, bound=bound, standing=standing))
    return tuple(found)


def hold() -> Hold:
    return Hold(
        vm=vm_id(3),
        before={LimitKind.CPU_CAP: None},
        asked={LimitKind.CPU_CAP: 0.35},
        since=NOW - timedelta(seconds=92),
        expires_at=datetime.now(UTC) + timedelta(seconds=208),  # a run of all tests is longer than the hold
        run="run-0007",
        finding_key="cpu:rack-a:batch-7",
    )


def views() -> list[VMView]:
    found = []
    for number, (name, host, sla, cpu, delay, lost, latency, drops) in enumerate(ROWS):
        running = name != STOPPED
        vcpus = 4 if name == "search" else 2
        rates: dict[str, float | None] = {
            "cpu_cores": cpu if running else None,
            "cpu_delay": delay,
            "memory_assigned_bytes": 512.0 * MIB,
            "memory_resident_bytes": (180.0 + 23 * number) * MIB if running else None,
            "disk_iops": 40.0 + 90 * cpu if running else None,
            "disk_bytes_s": 3e5 * (1 + 12 * cpu) if running else None,
            "disk_latency_s": latency,
            "net_rx_bytes_s": 2e5 * cpu if running else None,
            "net_tx_bytes_s": 6e5 * cpu if running else None,
            "net_drops": drops,
        }
        values = {
            Objective.CPU_DELAY: delay,
            Objective.MEMORY_LOST: lost,
            Objective.DISK_LATENCY: latency,
            Objective.NET_DROPS: drops,
        }
        found.append(
            VMView(
                vm=VM(
                    id=vm_id(number),
                    name=name,
                    host=HostId(host),
                    state=PowerState.RUNNING if running else PowerState.STOPPED,
                    vcpus=vcpus,
                    memory_bytes=512 * MIB,
                    memory_max_bytes=512 * MIB,
                    disks=(Disk(target="vda", capacity_bytes=2 * 2**30, shared=True),),
                    nics=(Nic(target=f"tap{number}", mac=f"52:54:00:00:00:{number:02x}", network="lan"),),
                    labels={"tenant": "shop" if number < 3 else "office"} | ({"sla": sla} if sla else {}),
                ),
                endpoint=EndpointName(host),
                rates=rates,
                served=_served(sla, values) if running else (),
                hold=hold() if name == HELD else None,
                drift=("cpu_weight was set to 2.0 by hand",) if name == "cache" else (),
                seen_at=NOW,
            )
        )
    return found


def endpoints() -> list[EndpointView]:
    return [
        EndpointView(
            name=EndpointName(name),
            driver="libvirt",
            contact=contact,
            since=NOW - timedelta(hours=3),
            error=error,
            hosts=hosts,
            tick_s=tick_s,
        )
        for name, contact, error, hosts, tick_s in (
            ("rack-a", Contact.UP, None, (_host("rack-a"),), 0.0124),
            ("rack-b", Contact.UP, None, (_host("rack-b"),), 0.0098),
            ("rack-c", Contact.DOWN, "no route to host", (), None),
        )
    ]


def agents() -> list[AgentView]:
    return [
        AgentView(
            name=EndpointName(name),
            state=state,
            connected=connected,
            since=NOW - timedelta(hours=2),
            error=None if connected else "no word for 10 s",
            address="10.0.0.7",
            software="0.3.0",
            skew_s=0.012,
            enrolled_at=NOW - timedelta(days=3),
            expires_at=NOW + timedelta(hours=17),
            token_expires_at=None,
        )
        for name, state, connected in (
            ("rack-a", AgentState.ENROLLED, True),
            ("rack-b", AgentState.ENROLLED, False),
            ("rack-c", AgentState.REVOKED, False),
        )
    ]


def _host(name: str) -> Host:
    return Host(
        id=HostId(name),
        name=name,
        hypervisor="QEMU",
        hypervisor_version="7.2.0",
        cpus=4,
        memory_bytes=16 * 2**30,
        site="lab",
    )


def series(view: VMView, seconds: float) -> Series:
    """Five minutes in which a noisy neighbour came and was held."""
    steps = min(300, int(seconds))
    end = datetime.now(UTC).timestamp()
    times = tuple(end - (steps - 1 - i) for i in range(steps))
    values: dict[str, tuple[float | None, ...]] = {}
    for number, (key, value) in enumerate(view.rates.items()):
        values[key] = tuple(_wave(value, i / max(1, steps), number) for i in range(steps))
    for served in view.served:
        values[served.objective] = tuple(
            _wave(served.value, i / max(1, steps), 7, surge=1.9) for i in range(steps)
        )
    return Series(vm=view.vm.id, times=times, values=values)


def _wave(value: float | None, at: float, phase: int, *, surge: float = 0.8) -> float | None:
    if value is None or 0.30 < at < 0.33:  # a hole: samples that were missed
        return None
    bump = surge * math.exp(-(((at - 0.55) / 0.12) ** 2))
    return value * (0.85 + bump + 0.08 * math.sin(at * 40 + phase) + 0.05 * math.sin(at * 130 + phase))


def support() -> dict[EndpointName, Support | None]:
    native = {f: Cell(level=Level.NATIVE) for f in FEATURES}
    lacking = native | {
        "limits.net_in": Cell(level=Level.NONE, reason="the host's kernel has no traffic control"),
        "limits.net_out": Cell(level=Level.NONE, reason="the host's kernel has no traffic control"),
        "usage.net_drops": Cell(level=Level.UNKNOWN, reason="no running VM to ask"),
        "changes": Cell(level=Level.AGENT, reason="told by the host agent"),
    }
    memory = Cell(level=Level.NONE, reason="this host says that it bounds no memory")
    hosts = {
        HostId("rack-b/old"): HostSupport(hypervisor="QEMU 5.2.0", cells={"limits.memory": memory}),
        HostId("rack-b/new"): HostSupport(hypervisor="QEMU 7.2.0"),
    }
    return {
        EndpointName("rack-a"): Support(driver="libvirt", hypervisor="QEMU 7.2.0", cells=native),
        EndpointName("rack-b"): Support(driver="libvirt", hypervisor="QEMU 7.2.0", cells=lacking, hosts=hosts),
        EndpointName("rack-c"): None,
    }


def findings() -> list[Finding]:
    victims = (vm_id(1), vm_id(4))
    opened = NOW - timedelta(seconds=97)
    evidence = (
        Evidence(what="cpu_delay", subject="web-2", value=0.087, unit="s/s", usual=0.012),
        Evidence(what="cpu_delay", subject="mail", value=0.066, unit="s/s", usual=0.015),
        Evidence(what="cpu_cores", subject="batch-7", value=1.96, unit="cores", usual=0.21),
        Evidence(what="correlation with the victims' delay", subject="batch-7", value=0.93, unit="", usual=None),
    )
    noisy = Finding(
        id=FindingId("finding-0004"),
        key="cpu:rack-a:batch-7",
        module="guard",
        kind="contention",
        severity=Severity.HIGH,
        confidence=0.93,
        summary="batch-7 takes CPU time from web-2 and mail",
        host=HostId("rack-a"),
        cause=vm_id(3),
        victims=victims,
        resource="cpu",
        nature="attack",
        evidence=evidence,
        coverage=Coverage(examined=5, of=6, missing=("ci-runner: counters were reset 4 s ago",)),
        opened_at=opened,
        updated_at=NOW - timedelta(seconds=2),
        techniques=("T1496",),
    )
    over = Finding(
        id=FindingId("finding-0003"),
        key="disk:rack-b:search",
        module="guard",
        kind="contention",
        severity=Severity.MEDIUM,
        confidence=0.71,
        summary="search slows the disks of git",
        host=HostId("rack-b"),
        cause=vm_id(7),
        victims=(vm_id(9),),
        resource="disk",
        nature="load",
        evidence=(Evidence(what="disk_latency", subject="git", value=0.061, unit="s", usual=0.006),),
        coverage=Coverage(examined=6, of=6),
        opened_at=NOW - timedelta(minutes=42),
        updated_at=NOW - timedelta(minutes=39),
        closed_at=NOW - timedelta(minutes=39),
    )
    return [noisy, over]


def proposal() -> Proposal:
    return Proposal(
        action=Throttle(vm=vm_id(3), limits={LimitKind.CPU_CAP: 0.35}, expires_after_s=300.0),
        by="guard",
        reason="smallest cap under which web-2 and mail are served as promised",
        finding=FindingId("finding-0004"),
        proposed_at=NOW - timedelta(seconds=94),
    )


def decision(verdict: Verdict = Verdict.ALLOW) -> Decision:
    return Decision(
        verdict=verdict,
        rule=RuleId("throttle-bronze"),
        reason="bronze may be throttled for up to 5 min",
        action=proposal().action,
        decided_at=NOW - timedelta(seconds=94),
    )


def run(number: int, state: RunState, *, error: str | None = None) -> Run:
    name = RunId(f"run-{number:04d}")
    began = NOW - timedelta(seconds=92 + 600 * (7 - number))
    states = [RunState.PLANNED, RunState.APPLYING, RunState.VERIFYING, state]
    steps = ["check", "apply", "verify", "end"]
    entries = tuple(
        JournalEntry(
            run=name,
            number=i,
            state=s,
            step=steps[i],
            note={"cpu_cap": 0.35} if s is RunState.VERIFYING else {},
            token=number,
            at=began + timedelta(milliseconds=140 * i),
        )
        for i, s in enumerate(states)
    )
    return Run(
        id=name,
        subject=vm_id(3),
        proposal=proposal(),
        decision=decision(),
        state=state,
        before={
            "hold": {"before": {"cpu_cap": None}, "asked": {"cpu_cap": 0.35}},
            "found": {"cpu_cap": None},
            "lift": {},
        },
        seen={"limits": {"cpu_cap": 0.35}} if state is RunState.VERIFIED else None,
        error=error,
        created_at=began,
        updated_at=began + timedelta(milliseconds=420),
        entries=entries,
    )


def runs() -> list[Run]:
    return [
        run(7, RunState.VERIFIED),
        run(6, RunState.UNDONE),
        run(5, RunState.REFUSED, error="batch-7: the VM is not running"),
        run(4, RunState.ABANDONED, error="rack-a: the endpoint does not answer"),
    ]


def rulings() -> list[Ruling]:
    return [
        Ruling(number=12, proposal=proposal(), decision=decision(), run=RunId("run-0007")),
        Ruling(number=11, proposal=proposal(), decision=decision(Verdict.OBSERVE_ONLY), run=None),
    ]
