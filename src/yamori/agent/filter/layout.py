"""Which tables of the kernel are ours, and in which of them a port's rules are."""

import re
from dataclasses import dataclass

from yamori.agent.filter import wire
from yamori.agent.filter.seat import Seat
from yamori.agent.filter.way import Way
from yamori.model.errors import Defect

TABLE = "yamori"
"""Our table in the bridge family and, where tracking is the IP layer's, in inet; those at interfaces begin so."""
SHARDS = 256
"""Tables at interfaces. A change costs the kernel a look at the ports of one: see decision 0022 for the number."""
FAMILIES = (wire.BRIDGE, wire.INET, wire.NETDEV)
"""Where tables of these names are ours."""
_SHARD = re.compile(re.escape(TABLE) + r"-[0-9a-f]{2,4}")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """One table."""

    family: int
    table: str


BRIDGE = Place(family=wire.BRIDGE, table=TABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How replies are known and where rules sit on this host.

    ``fenced``: beginnings of interfaces' names that are VMs' cards by their name alone ("vnet", "vif"): what has
    such a name and no Filter is cut off. Without it, an interface without a Filter is nobody's business here.
    """

    way: Way
    seat: Seat = Seat.BRIDGE
    fenced: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.way is not Way.PLAIN and self.seat is not Seat.BRIDGE:
            raise Defect("connections are tracked at the bridge or above it, not at interfaces")


def shard_of(stem: str) -> Place:
    """Return the table at interfaces in which a port's chains are; ``stem`` as in ``program``."""
    return Place(family=wire.NETDEV, table=f"{TABLE}-{int(stem[1:9], 16) % SHARDS:02x}")


def is_ours(family: int, table: str) -> bool:
    """Say whether a table is ours by its name."""
    if family == wire.NETDEV:
        return _SHARD.fullmatch(table) is not None
    return family in FAMILIES and table == TABLE
