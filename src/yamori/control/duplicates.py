"""Watches for the worst: a VM that executes in two places."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from yamori.model.ids import HostId, VMId

SIGHTINGS = 3
"""Two listings are never of the same instant: a VM that moved between them looks double once, not three times."""


@dataclass(slots=True)
class Duplicates:
    """Counts consecutive sightings; tells each duplicate once."""

    _seen: dict[VMId, int] = field(default_factory=dict)

    def look(self, twice: Mapping[VMId, tuple[HostId, ...]]) -> list[tuple[VMId, tuple[HostId, ...]]]:
        """Take one moment's sightings; return those that are now certain and were not before."""
        for vm in [vm for vm in self._seen if vm not in twice]:
            del self._seen[vm]
        certain = []
        for vm, where in twice.items():
            self._seen[vm] = self._seen.get(vm, 0) + 1
            if self._seen[vm] == SIGHTINGS:
                certain.append((vm, where))
        return certain
