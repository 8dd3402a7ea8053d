"""Whose packets are dropped: a link a host, full duplex, and a policer per VM and direction."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Fractions of what was offered that passed, by VM and direction."""

    rx_passed: Floats
    tx_passed: Floats


def step(
    *,
    rx: Floats,
    tx: Floats,
    packet_bytes: Floats,
    rx_limit: Floats,
    tx_limit: Floats,
    host: Ints,
    host_bandwidth: Floats,
    host_packets: Floats,
) -> Network:
    """Pass one step's traffic, in bytes per second. What exceeds a limit or the link is dropped, not delayed.

    The link drops from everybody alike, as one first-come queue does: a flood hurts its neighbours.
    """
    rx_own = np.minimum(1.0, np.divide(rx_limit, rx, out=np.ones_like(rx), where=rx > 0))
    tx_own = np.minimum(1.0, np.divide(tx_limit, tx, out=np.ones_like(tx), where=tx > 0))
    rx_in, tx_in = rx * rx_own, tx * tx_own
    size = host_bandwidth.size
    packets = np.bincount(host, (rx_in + tx_in) / packet_bytes, minlength=size)
    by_packets = _fits(host_packets, packets)
    rx_host = np.minimum(by_packets, _fits(host_bandwidth, np.bincount(host, rx_in, minlength=size)))
    tx_host = np.minimum(by_packets, _fits(host_bandwidth, np.bincount(host, tx_in, minlength=size)))
    return Network(rx_passed=rx_own * rx_host[host], tx_passed=tx_own * tx_host[host])


def _fits(capacity: Floats, offered: NDArray[np.number]) -> Floats:
    fits: Floats = np.minimum(1.0, np.divide(capacity, offered, out=np.ones_like(capacity), where=offered > 0))
    return fits
