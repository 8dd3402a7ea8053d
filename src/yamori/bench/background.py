"""Ordinary days of a managed-hosting data centre: the guard acts over replayed traces in which nobody attacks.

Traces: GWA-T-12 Bitbrains "Rnd", July 2013 (Shen, van Beek, Iosup, CCGrid 2015), 5-minute means per VM.
"""

import io
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yamori.bench.arena import Arena, contentions
from yamori.bench.rules import peers
from yamori.capabilities.sensing.rates import rates
from yamori.capabilities.sensing.usage import UsageFrame
from yamori.drivers.simulator import Demand, HostShape, Series, VMShape, World, WorldShape
from yamori.drivers.simulator.columns import State
from yamori.model.actions import Migrate, Throttle
from yamori.model.change import ChangeKind
from yamori.model.ids import VMId

ARCHIVE = "traces/bitbrains-rnd-2013-7.tar.zst"
STEP_S = 300.0
TICK_S = 2.0
PER_HOST = 20
GIB = 2.0**30
KIB = 1024.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One VM: its vCPUs and its demand, step by step."""

    vcpus: int
    demands: tuple[Demand, ...]


def traces(folder: Path, count: int, seed: int) -> list[Trace]:
    """Read some VMs of the archive, chosen by the seed among those with at least a day of readings."""
    packed = folder / ARCHIVE
    plain = subprocess.run(["zstd", "-dc", str(packed)], check=True, capture_output=True, timeout=300).stdout
    found: list[Trace] = []
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        members = sorted((m for m in archive.getmembers() if m.isfile()), key=lambda m: m.name)
        order = np.random.default_rng(seed).permutation(len(members))
        for index in order.tolist():
            member = archive.extractfile(members[index])
            trace = None if member is None else _trace(member.read())
            if trace is not None:
                found.append(trace)
            if len(found) == count:
                break
    return found


def _trace(raw: bytes) -> Trace | None:
    lines = raw.decode("ascii", "replace").splitlines()[1:]
    rows = np.array([[float(cell) for cell in line.split(";")] for line in lines if line.count(";") == 10])
    if len(rows) < 86400 / STEP_S:
        return None
    vcpus = int(max(1, rows[0, 1]))
    return Trace(vcpus=vcpus, demands=tuple(_demand(row, vcpus) for row in rows))


def _demand(row: np.ndarray[tuple[int, ...], np.dtype[np.float64]], vcpus: int) -> Demand:
    read, write = row[7] * KIB, row[8] * KIB
    return Demand(
        cpu_cores=min(float(row[4]) / 100.0, 1.0) * vcpus,
        working_set_bytes=max(0.1 * GIB, float(row[6]) * KIB),
        touch_bytes_s=50e6,
        disk_read_iops=read / 16384.0,
        disk_write_iops=write / 16384.0,
        disk_op_bytes=16384.0,
        net_rx_bytes_s=float(row[9]) * KIB,
        net_tx_bytes_s=float(row[10]) * KIB,
    )


@dataclass(slots=True, kw_only=True)
class Quiet:
    """What was said and done though nobody attacked."""

    vm_days: float
    suffering: int = 0
    """Readings of hosts at which some promise was broken for real."""
    blamed: int = 0
    accused: int = 0
    throttles: int = 0
    moves: int = 0
    unusual: int = 0
    peers: dict[str, int] | None = None


async def quiet(found: Sequence[Trace], hours: float, seed: int) -> Quiet:
    """Let the guard act over the traces; count every distinct blame as a false one."""
    hosts = max(2, len(found) // PER_HOST)
    world = World(
        WorldShape(
            hosts=hosts,
            vms_per_host=0,
            host=HostShape(cpus=32, memory_bytes=int(512 * GIB)),
            seed=seed,
            jitter=0.1,
            step_s=TICK_S,
        )
    )
    for i, trace in enumerate(found):
        peak = max(d.working_set_bytes for d in trace.demands)
        shape = VMShape(vcpus=trace.vcpus, memory_bytes=int(1.1 * peak) + (1 << 30))
        sla = ("gold", "silver", "bronze")[i % 3]
        vm = world.define(f"host-{i % hosts}", name=f"trace-{i}", shape=shape, labels={"sla": sla})
        world.set_state(vm, State.RUNNING, ChangeKind.STARTED)
    for vm, trace in zip(world.vms(), found, strict=True):
        world.set_demand(vm, Series(demands=trace.demands, step_s=STEP_S, loop=True))
    arena = Arena(world=world)
    await arena.open()
    told = Quiet(vm_days=len(found) * hours / 24.0)
    blamed: set[str] = set()
    unusual: set[str] = set()
    rules = peers()
    seen: dict[str, set[VMId]] = {rule.name: set() for rule in rules}
    before: UsageFrame | None = None
    try:
        for _ in range(int(hours * 3600.0 / TICK_S)):
            moment = await arena.tick(TICK_S)
            named = contentions(moment.findings)
            told.suffering += len(moment.findings) > 0
            told.accused += sum(f.nature == "attack" and f.id not in blamed for f in named)
            blamed |= {f.id for f in named}
            unusual |= {f.id for f in moment.findings if f.kind == "unusual"}
            told.throttles += sum(isinstance(a, Throttle) for a in moment.done)
            told.moves += sum(isinstance(a, Migrate) for a in moment.done)
            if before is not None:
                now = rates(before, moment.frame)
                for rule in rules:
                    seen[rule.name] |= rule.look(moment.frame, now)
            before = moment.frame
    finally:
        await arena.close()
    told.blamed, told.unusual = len(blamed), len(unusual)
    told.peers = {name: len(vms) for name, vms in seen.items()}
    return told
