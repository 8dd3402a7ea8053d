"""One step of the world: every law of physics once, then the counters that follow from it."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from yamori.capabilities.sensing.usage import Column
from yamori.drivers.simulator.columns import Columns, State
from yamori.drivers.simulator.hardware import Hardware
from yamori.drivers.simulator.physics import cpu, disk, memory, network

Floats = NDArray[np.float64]


def step(c: Columns, hw: Hardware, *, seconds: float, noise: Floats, pins: Mapping[int, frozenset[int]]) -> None:
    """Let ``seconds`` pass. ``noise`` scales each VM's demand for CPU, disk and network in this step."""
    running = c.state == State.RUNNING
    live = running * noise
    mem = memory.step(
        seconds=seconds,
        running=running,
        working_set=np.minimum(c.want_working_set_bytes, c.memory_max),
        touch=c.want_touch_bytes_s,
        target=np.minimum(c.memory_target, c.memory_max),
        largest=c.memory_max,
        assigned=c.assigned,
        resident=c.resident,
        paged=c.paged,
        host=c.host,
        host_memory=hw.memory,
    )
    processors = cpu.step(
        runnable=c.want_cpu_cores * live,
        vcpus=c.vcpus,
        cap=c.cpu_cap,
        weight=c.cpu_weight,
        host=c.host,
        cpus=hw.cpus,
        pins=pins,
    )
    own_swap = mem.faults * memory.PAGE / disk.SWAP_CLUSTER / seconds
    swap = np.bincount(c.host, mem.paging, minlength=hw.cpus.size) / disk.SWAP_CLUSTER / seconds
    disks = disk.step(
        reads=c.want_disk_read_iops * live + own_swap,
        writes=c.want_disk_write_iops * live + own_swap,
        op_bytes=c.want_disk_op_bytes,
        iops_limit=c.disk_iops,
        bandwidth_limit=c.disk_bandwidth,
        host=c.host,
        host_iops=hw.disk_iops,
        host_bandwidth=hw.disk_bandwidth,
        host_latency=hw.disk_latency,
        host_swap_ops=swap,
    )
    rx, tx = c.want_net_rx_bytes_s * live, c.want_net_tx_bytes_s * live
    net = network.step(
        rx=rx,
        tx=tx,
        packet_bytes=c.want_packet_bytes,
        rx_limit=c.net_in,
        tx_limit=c.net_out,
        host=c.host,
        host_bandwidth=hw.net_bandwidth,
        host_packets=hw.net_packets,
    )
    c.version += mem.assigned != c.assigned
    c.assigned, c.resident, c.paged, c.missing_now = mem.assigned, mem.resident, mem.paged, mem.missing
    c.granted_now, c.delay_now, c.latency_now = processors.granted, processors.delay, disks.latency
    offered = rx + tx
    passed = rx * net.rx_passed + tx * net.tx_passed
    c.dropped_now = np.divide(offered - passed, offered, out=np.zeros_like(offered), where=offered > 0)
    _count(c, seconds, mem, processors, disks)
    _count_network(c, seconds, rx, tx, net)
    gauges(c, running)


def _count(c: Columns, seconds: float, mem: memory.Memory, processors: cpu.CPU, disks: disk.Disk) -> None:
    counters = c.counters
    counters[:, Column.CPU_TIME] += processors.granted * seconds
    counters[:, Column.CPU_DELAY] += processors.delay * seconds
    counters[:, Column.MEMORY_FAULTS] += mem.faults
    reads, writes = disks.reads * seconds, disks.writes * seconds
    counters[:, Column.DISK_READ_OPS] += reads
    counters[:, Column.DISK_WRITE_OPS] += writes
    counters[:, Column.DISK_READ_BYTES] += reads * c.want_disk_op_bytes
    counters[:, Column.DISK_WRITE_BYTES] += writes * c.want_disk_op_bytes
    counters[:, Column.DISK_READ_TIME] += reads * disks.latency
    counters[:, Column.DISK_WRITE_TIME] += writes * disks.latency


def _count_network(c: Columns, seconds: float, rx: Floats, tx: Floats, net: network.Network) -> None:
    counters = c.counters
    for offered, passed, octets, packets, drops in (
        (rx, net.rx_passed, Column.NET_RX_BYTES, Column.NET_RX_PACKETS, Column.NET_RX_DROPS),
        (tx, net.tx_passed, Column.NET_TX_BYTES, Column.NET_TX_PACKETS, Column.NET_TX_DROPS),
    ):
        sent = offered * seconds
        counters[:, octets] += sent * passed
        count = sent / c.want_packet_bytes
        counters[:, packets] += count * passed
        counters[:, drops] += count * (1.0 - passed)


def gauges(c: Columns, running: NDArray[np.bool_]) -> None:
    """Write the columns that are values at the reading, not counters."""
    counters = c.counters
    counters[:, Column.RUNNING] = running
    counters[:, Column.VCPUS] = c.vcpus
    counters[:, Column.MEMORY_ASSIGNED] = c.assigned
    counters[:, Column.MEMORY_RESIDENT] = c.resident
    counters[:, Column.MEMORY_USABLE] = np.maximum(c.assigned - c.want_working_set_bytes, 0.0)
