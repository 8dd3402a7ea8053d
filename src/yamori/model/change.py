"""Something happened to a VM on a host, told by the hypervisor."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from yamori.model.ids import HostId, VMId


class ChangeKind(StrEnum):
    """What happened."""

    DEFINED = "defined"
    UNDEFINED = "undefined"
    STARTED = "started"
    STOPPED = "stopped"
    PAUSED = "paused"
    RESUMED = "resumed"
    MIGRATED_IN = "migrated_in"
    MIGRATED_OUT = "migrated_out"
    RECONFIGURED = "reconfigured"
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change. A hint to look again, never a substitute for looking."""

    vm: VMId
    host: HostId
    kind: ChangeKind
    at: datetime
