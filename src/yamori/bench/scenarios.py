"""Attacks and innocent loads as scripts for the simulated world. Who is who is known here and nowhere else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from yamori.drivers.simulator import Demand, HostShape, VMShape, World, WorldShape
from yamori.drivers.simulator.columns import State
from yamori.model.change import ChangeKind
from yamori.model.ids import VMId

GIB = 2.0**30
HOSTS, PER_HOST = 2, 9
WARM_S = 120.0
"""Calm before anything happens."""
BOOT_S = 25.0


@dataclass(slots=True, kw_only=True)
class Play:
    """One scenario on its world. ``attacker`` is None for the innocent ones. Times in simulated seconds."""

    world: World
    rng: np.random.Generator
    usual: Mapping[VMId, Demand]
    attacker: VMId | None
    lasts_s: float
    step: Callable[["Play", float], None]
    """Called before each tick with the seconds since the beginning of the disturbance."""
    busy: set[VMId] = field(default_factory=set)
    """VMs that have done something out of the ordinary: who names one of them as ordinary load is not wrong."""

    def on(self, vm: VMId, **changes: float) -> None:
        """Change what a VM wants, from its usual."""
        self.busy.add(vm)
        self.world.set_demand(vm, replace(self.usual[vm], **changes))

    def off(self, vm: VMId) -> None:
        """Let a VM be as usual."""
        self.world.set_demand(vm, self.usual[vm])


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A name, whether it is an attack, and what happens."""

    name: str
    attack: bool
    step: Callable[[Play, float], None]


def play(scenario: Scenario, seed: int, lasts_s: float) -> Play:
    """Set up a world of its own: sizes, loads and noise all come from the seed.

    Small VMs of all classes and one large one (8 vCPUs, 6 GiB, silver or bronze) that attacks or does not.
    """
    rng = np.random.default_rng(seed)
    world = World(
        WorldShape(
            hosts=HOSTS,
            vms_per_host=PER_HOST,
            host=HostShape(
                cpus=6,
                memory_bytes=int(14 * GIB),
                disk_iops=float(rng.uniform(4_000, 8_000)),
                disk_bandwidth=600e6,
                net_packets_s=float(rng.uniform(150_000, 300_000)),
            ),
            vm=VMShape(vcpus=1, memory_bytes=int(2 * GIB)),
            seed=seed,
            jitter=float(rng.uniform(0.03, 0.12)),
            step_s=0.5,
        )
    )
    large = VMShape(vcpus=8, memory_bytes=int(6 * GIB))
    sla = str(rng.choice(["silver", "bronze"]))
    attacker = world.define("host-0", name="tenant", shape=large, labels={"sla": sla, "tenant": "tenant-e"})
    world.set_state(attacker, State.RUNNING, ChangeKind.STARTED)
    usual = {vm: _usual(rng) for vm in world.vms()}
    for vm, demand in usual.items():
        world.set_demand(vm, demand)
    return Play(
        world=world,
        rng=rng,
        usual=usual,
        attacker=attacker if scenario.attack else None,
        lasts_s=lasts_s,
        step=scenario.step,
    )


def _usual(rng: np.random.Generator) -> Demand:
    """An ordinary VM: mostly idle, as managed hosting is, some busy (log-normal)."""
    busy = float(np.exp(rng.normal(-0.9, 0.6)))
    return Demand(
        cpu_cores=min(0.9, busy),
        working_set_bytes=float(rng.uniform(0.8, 1.5)) * GIB,
        touch_bytes_s=200e6,
        disk_read_iops=float(rng.uniform(5, 80)),
        disk_write_iops=float(rng.uniform(5, 60)),
        disk_op_bytes=float(rng.choice([4096.0, 8192.0, 16384.0])),
        net_rx_bytes_s=float(rng.uniform(2e4, 4e5)),
        net_tx_bytes_s=float(rng.uniform(2e4, 4e5)),
        packet_bytes=600.0,
    )


def _once(change: Mapping[str, float]) -> Callable[[Play, float], None]:
    def step(p: Play, at: float) -> None:
        if p.attacker is not None and at == 0.0:
            p.on(p.attacker, **change)
        elif p.attacker is not None and at >= p.lasts_s:
            p.off(p.attacker)

    return step


def _fork_bomb(p: Play, at: float) -> None:
    if p.attacker is None:
        return
    if at >= p.lasts_s:
        p.off(p.attacker)
        return
    growth = min(1.0, 0.1 * 2.0 ** min(at, 20.0))
    p.on(p.attacker, cpu_cores=8.0 * growth, working_set_bytes=(1.0 + 5.0 * growth) * GIB, touch_bytes_s=1.5 * GIB)


def _noisy_cpu(p: Play, at: float) -> None:
    """A neighbour that works too much: bursts of all its vCPUs with some disk and network."""
    if p.attacker is None:
        return
    if at >= p.lasts_s:
        p.off(p.attacker)
        return
    level = 8.0 * float(np.clip(p.rng.normal(0.9, 0.1), 0.5, 1.0))
    p.on(p.attacker, cpu_cores=level)


def _batch_night(p: Play, at: float) -> None:
    """Every second VM begins its nightly work within a minute: CPU and disk, nobody more than its neighbour."""
    for i, vm in enumerate(p.world.vms()):
        begins = (i * 7919) % 60
        if i % 2 == 0:
            if begins <= at < p.lasts_s:
                p.on(vm, cpu_cores=p.usual[vm].cpu_cores + 0.5, disk_read_iops=p.usual[vm].disk_read_iops + 100)
            else:
                p.off(vm)


def _backup_window(p: Play, at: float) -> None:
    """One VM after the other is read through, in large pieces, and sent away."""
    vms = p.world.vms("host-0")
    turn = int(at // 90.0)
    for i, vm in enumerate(vms):
        if i == turn % len(vms) and at < p.lasts_s:
            p.on(
                vm,
                cpu_cores=p.usual[vm].cpu_cores + 0.6,
                disk_read_iops=250.0,
                disk_op_bytes=262144.0,
                net_tx_bytes_s=65e6,
                packet_bytes=1400.0,
            )
        else:
            p.off(vm)


def _flash_crowd(p: Play, at: float) -> None:
    """One service becomes popular within 20 s: requests in, answers out, CPU with them."""
    vm = p.world.vms("host-0")[-1]
    if at >= p.lasts_s:
        p.off(vm)
        return
    grown = 1.0 + 9.0 * min(1.0, at / 20.0) * float(np.clip(p.rng.normal(1.0, 0.1), 0.7, 1.3))
    u = p.usual[vm]
    p.on(
        vm,
        cpu_cores=min(4.0, u.cpu_cores * grown),
        net_rx_bytes_s=u.net_rx_bytes_s * grown,
        net_tx_bytes_s=u.net_tx_bytes_s * grown,
    )


def _reboot(p: Play, at: float) -> None:
    """A VM is stopped and started every two minutes; starting takes all of a vCPU and the disk for a while."""
    vm = p.world.vms("host-0")[int(at // 120.0) % PER_HOST]
    phase = at % 120.0
    if at >= p.lasts_s:
        p.off(vm)
    elif phase < 0.5:
        p.world.set_state(vm, State.STOPPED, ChangeKind.STOPPED)
    elif 5.0 <= phase < 5.5:
        p.world.set_state(vm, State.RUNNING, ChangeKind.STARTED)
        p.on(vm, cpu_cores=1.0, disk_read_iops=400.0, disk_op_bytes=32768.0)
    elif phase >= 5.0 + BOOT_S:
        p.off(vm)


def _live_migration(p: Play, at: float) -> None:
    """A VM changes its host every minute, by hand: its counters begin anew over there."""
    if at % 60.0 < 0.5 and at < p.lasts_s:
        vm = p.world.vms()[int(at // 60.0) % (HOSTS * PER_HOST)]
        p.world.place(vm, "host-1" if p.world.host_of(vm) == "host-0" else "host-0")


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(name="noisy cpu", attack=True, step=_noisy_cpu),
    Scenario(name="memory hog", attack=True, step=_once({"working_set_bytes": 6 * GIB, "touch_bytes_s": 2 * GIB})),
    Scenario(name="disk thrash", attack=True, step=_once({"disk_read_iops": 30_000.0, "disk_op_bytes": 4096.0})),
    Scenario(name="flood", attack=True, step=_once({"net_tx_bytes_s": 60e6, "packet_bytes": 90.0})),
    Scenario(
        name="miner",
        attack=True,
        step=_once({"cpu_cores": 8.0, "disk_read_iops": 1.0, "disk_write_iops": 1.0, "net_tx_bytes_s": 2e3}),
    ),
    Scenario(name="fork bomb", attack=True, step=_fork_bomb),
    Scenario(name="batch night", attack=False, step=_batch_night),
    Scenario(name="backup window", attack=False, step=_backup_window),
    Scenario(name="flash crowd", attack=False, step=_flash_crowd),
    Scenario(name="reboot", attack=False, step=_reboot),
    Scenario(name="live migration", attack=False, step=_live_migration),
)
