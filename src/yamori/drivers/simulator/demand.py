"""What the software inside a VM would like to use: constant, in bursts, or replayed from a series."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol

from yamori.model.errors import Invalid

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a guest asks for each second, before anybody bounds it.

    ``cpu_cores``: runnable vCPUs. ``working_set_bytes``: memory that it uses; ``touch_bytes_s``: how fast it
    writes to memory (it also is the dirty rate of a live migration, and how fast lost pages are fetched back).
    Disk in operations per second of ``disk_op_bytes`` each; network in bytes per second, in packets of
    ``packet_bytes``.
    """

    cpu_cores: float = 0.1
    working_set_bytes: float = 256.0 * MIB
    touch_bytes_s: float = 16.0 * MIB
    disk_read_iops: float = 20.0
    disk_write_iops: float = 20.0
    disk_op_bytes: float = 8192.0
    net_rx_bytes_s: float = 100_000.0
    net_tx_bytes_s: float = 100_000.0
    packet_bytes: float = 600.0

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not 0 <= value < float("inf"):
                raise Invalid(f"demand {each.name} must be a finite number of at least 0, not {value}")
        if self.packet_bytes <= 0 or self.disk_op_bytes <= 0:
            raise Invalid("a packet and a disk operation need a size")

    def at(self, seconds: float) -> "Demand":
        """Return itself: a plain demand is constant."""
        del seconds
        return self


class Profile(Protocol):
    """A demand that depends on the time since it was set. A ``Demand`` is the constant one."""

    def at(self, seconds: float) -> Demand:
        """Return the demand so many seconds after it was set."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """``peak`` during the first ``on_s`` seconds of every ``period_s``, else ``rest``."""

    rest: Demand
    peak: Demand
    period_s: float
    on_s: float

    def at(self, seconds: float) -> Demand:
        """Return what holds at that moment."""
        return self.peak if seconds % self.period_s < self.on_s else self.rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One demand for each ``step_s``, replayed; afterwards the last one stays, or it begins again (``loop``)."""

    demands: Sequence[Demand]
    step_s: float
    loop: bool = False

    def __post_init__(self) -> None:
        if not self.demands or self.step_s <= 0:
            raise Invalid("a series needs at least one demand and a positive step")

    def at(self, seconds: float) -> Demand:
        """Return what holds at that moment."""
        index = int(seconds / self.step_s)
        count = len(self.demands)
        return self.demands[index % count if self.loop else min(index, count - 1)]
