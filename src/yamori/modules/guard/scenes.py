"""Cuts out of a reading what attribution and judgement look at: one host, one resource; one VM's conduct."""

import numpy as np
from numpy.typing import NDArray

from yamori.capabilities.sensing.rates import Floats, Rate
from yamori.capabilities.sensing.usage import Column, HostColumn
from yamori.model.ids import VMId
from yamori.modules.guard import window
from yamori.modules.guard.attribution import Scene
from yamori.modules.guard.baseline import FLOORS, Use
from yamori.modules.guard.hours import usual_at
from yamori.modules.guard.memory import GuardMemory
from yamori.modules.guard.nature import Conduct
from yamori.modules.guard.reading import Reading
from yamori.modules.guard.standing import RESOURCES


def lack(reading: Reading, rows: NDArray[np.int64], resource: int, hurt: NDArray[np.bool_]) -> Floats:
    """Return what each VM of a host lacks, in the unit of the use; 0 for those who are not hurt.

    CPU: the cores that it waited for. Memory: the bytes that were taken. Disk: the latency is that of one queue
    for all, so what is lacking is the part of all use that must go for the worst served to be at its bound
    (response time in proportion to the work in the queue), spread over the hurt. Network: packets dropped.
    """
    value = np.nan_to_num(reading.measured[resource, rows])
    values = reading.rates.values
    if resource == Use.CPU:
        amount = value * np.fmax(reading.frame.values[rows, Column.VCPUS], 1.0)
    elif resource == Use.MEMORY:
        amount = value * np.nan_to_num(reading.residence.peak[rows])
    elif resource == Use.DISK:
        with np.errstate(invalid="ignore", divide="ignore"):
            excess = np.where(hurt & (value > 0), 1.0 - reading.bounds[resource, rows] / value, 0.0)
        total = np.nan_to_num(reading.taken[resource, rows]).sum()
        amount = np.full(len(rows), max(0.0, float(excess.max(initial=0.0))) * total / max(1, int(hurt.sum())))
    else:
        passed = values[Rate.NET_RX_PACKETS_S, rows] + values[Rate.NET_TX_PACKETS_S, rows]
        amount = np.nan_to_num(passed) * value / np.fmax(1.0 - value, 1e-3)
    return np.where(hurt, amount, 0.0)


def scene(
    reading: Reading, memory: GuardMemory, rows: NDArray[np.int64], resource: int, capable: NDArray[np.bool_]
) -> Scene:
    """Return what attribution needs about one resource of one host."""
    hurt = reading.suffers[resource, rows]
    series, filled = window.series(memory.window, rows, resource)
    taken = reading.taken[resource, rows]
    waits = np.zeros(len(rows))
    if resource == Use.CPU:
        delay = reading.rates.values[Rate.CPU_DELAY, rows] * reading.frame.values[rows, Column.VCPUS]
        waits = np.nan_to_num(delay)
    return Scene(
        taken=taken,
        usual=reading.usual.mean[resource, rows],
        lack=lack(reading, rows, resource, hurt),
        waits=waits,
        series=series,
        filled=filled,
        capable=capable & ~np.isnan(taken) & (reading.frame.values[rows, Column.RUNNING] > 0),
    )


def served_before(
    reading: Reading, memory: GuardMemory, rows: NDArray[np.int64], resource: int, fresh: int
) -> dict[VMId, float]:
    """Return how badly VMs were served before the last ``fresh`` readings, if that was already beyond promise.

    A cause answers for what it has added: its throttle has done its work when they are served as before, with a
    tolerance of a quarter.
    """
    _, filled = window.series(memory.window, rows, resource)
    earlier = filled[: max(0, len(filled) - fresh)]
    if len(earlier) < 3:
        return {}
    known = ~np.isnan(earlier).all(axis=0)
    level = np.zeros(len(rows))
    level[known] = np.nanmedian(earlier[:, known], axis=0)
    over = np.flatnonzero((level > 0.8) & reading.suffers[resource, rows])
    bounds = reading.bounds[resource, rows]
    return {reading.frame.vms[rows[i]]: float(1.25 * level[i] * bounds[i]) for i in over.tolist()}


def fair_share(reading: Reading, row: int) -> float:
    """Return the cores that a VM is entitled to on its host, by its part of all vCPUs there; NaN if unknown."""
    host = int(reading.frame.host_of[row])
    rows = reading.groups.rows(host)
    vcpus = np.nan_to_num(reading.frame.values[rows, Column.VCPUS]) * reading.frame.values[rows, Column.RUNNING]
    cpus = float(reading.frame.host_values[host, HostColumn.CPUS])
    own = float(reading.frame.values[row, Column.VCPUS])
    total = float(vcpus.sum())
    return min(own, cpus * own / total) if total > 0 else float("nan")


def conduct(reading: Reading, memory: GuardMemory, row: int, resource: int) -> Conduct:
    """Return what one VM does now."""
    values = reading.rates.values[:, row]
    series, _ = window.series(memory.window, np.array([row]), resource)
    cpu_rise, traffic_rise = _rises(reading, row)
    return Conduct(
        resource=RESOURCES[resource],
        vcpus=float(reading.frame.values[row, Column.VCPUS]),
        cpu_cores=float(values[Rate.CPU_CORES]),
        delay=float(values[Rate.CPU_DELAY]),
        disk_iops=float(values[Rate.DISK_IOPS]),
        disk_bytes_s=float(values[Rate.DISK_BYTES_S]),
        disk_latency_s=float(values[Rate.DISK_LATENCY_S]),
        tx_packets_s=float(values[Rate.NET_TX_PACKETS_S]),
        tx_bytes_s=float(values[Rate.NET_TX_BYTES_S]),
        rx_packets_s=float(values[Rate.NET_RX_PACKETS_S]),
        assigned_bytes=float(values[Rate.MEMORY_ASSIGNED_BYTES]),
        surprise=float(reading.odd[resource, row]),
        taken=float(reading.taken[resource, row]),
        hour_usual=usual_at(memory.hours, reading.frame.wall, reading.frame.vms, row, resource),
        known_s=float(reading.usual.seconds[row]),
        watching_s=float(reading.usual.seconds[reading.groups.rows(int(reading.frame.host_of[row]))].max()),
        cpu_rise=cpu_rise,
        traffic_rise=traffic_rise,
        series=series[:, 0],
    )


def _rises(reading: Reading, row: int) -> tuple[float, float]:
    """Return what a VM asks for of the CPU, and its packets, as multiples of its usual; NaN while not known.

    On a full host an attacker gets no more than before: what it waits for counts as asked for.
    """
    usual = reading.usual.mean[:, row]
    waits = float(reading.rates.values[Rate.CPU_DELAY, row]) * float(reading.frame.values[row, Column.VCPUS])
    asked = float(reading.taken[Use.CPU, row]) + (0.0 if np.isnan(waits) else waits)
    cpu = asked / max(float(usual[Use.CPU]), float(FLOORS[Use.CPU]))
    traffic = float(reading.taken[Use.NETWORK, row]) / max(float(usual[Use.NETWORK]), 1.0)
    known = not np.isnan(usual[[Use.CPU, Use.NETWORK]]).any()
    return (cpu, traffic) if known else (float("nan"), float("nan"))
