"""Who waits for the disks: one array a host, a queue whose latency rises with utilisation, limits per VM."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

SWAP_CLUSTER = 65536.0
"""Bytes that one operation of a swapping host or guest moves."""
BUSIEST = 0.99
"""Utilisation is taken as at most this in the latency formula, so that latency stays finite (100 x base)."""
QUEUE_DEPTH = 32.0
"""Requests that a guest keeps under way when it is held back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Operations per second that each VM got, and seconds that each of its operations took on average."""

    reads: Floats
    writes: Floats
    latency: Floats


def step(
    *,
    reads: Floats,
    writes: Floats,
    op_bytes: Floats,
    iops_limit: Floats,
    bandwidth_limit: Floats,
    host: Ints,
    host_iops: Floats,
    host_bandwidth: Floats,
    host_latency: Floats,
    host_swap_ops: Floats,
) -> Disk:
    """Serve one step. All rates per second; ``host_swap_ops`` is what the host's own paging adds to its array.

    Latency is base / (1 - utilisation), the mean response time of an M/M/1 queue; beyond the array's capacity
    everybody is served in proportion to what it asks, as a first-come queue does. A VM held back by its own
    limit waits by Little's law: requests under way = rate x latency.
    """
    asked = reads + writes
    own = np.minimum(
        1.0,
        np.minimum(
            np.divide(iops_limit, asked, out=np.full_like(asked, np.inf), where=asked > 0),
            np.divide(bandwidth_limit, asked * op_bytes, out=np.full_like(asked, np.inf), where=asked > 0),
        ),
    )
    want = asked * own
    cost = 1.0 / host_iops[host] + op_bytes / host_bandwidth[host]
    swap_cost = 1.0 / host_iops + SWAP_CLUSTER / host_bandwidth
    busy = np.bincount(host, want * cost, minlength=host_iops.size) + host_swap_ops * swap_cost
    served = np.minimum(1.0, np.divide(1.0, busy, out=np.ones_like(busy), where=busy > 1.0))
    array = host_latency / (1.0 - np.minimum(busy, BUSIEST))
    factor = own * served[host]
    latency = array[host]
    held = own < 1.0
    queued = np.divide(QUEUE_DEPTH, asked * factor, out=np.zeros_like(asked), where=held)
    return Disk(reads=reads * factor, writes=writes * factor, latency=np.maximum(latency, queued))
