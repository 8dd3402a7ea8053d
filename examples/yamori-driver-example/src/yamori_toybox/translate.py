"""From the vendor's words and units to Yamori's values, and back. Pure."""

from collections.abc import Mapping

from yamori.model.ids import HostId, VMId
from yamori.model.vm import VM, PowerState

MIB = 1024 * 1024
STATES = {"on": PowerState.RUNNING, "frozen": PowerState.PAUSED, "off": PowerState.STOPPED}


def vm(described: Mapping[str, object], host: HostId) -> VM:
    """Make a VM from a description. A state that we do not know is unknown."""
    memory = int(str(described["ram_mb"])) * MIB
    return VM(
        id=VMId(str(described["serial"]).lower()),
        name=str(described["label"])[:200],
        host=host,
        state=STATES.get(str(described["state"]), PowerState.UNKNOWN),
        vcpus=int(str(described["cores"])),
        memory_bytes=memory,
        memory_max_bytes=memory,
    )


def serial(vm: VMId) -> str:
    """Return the vendor's serial number of a VM."""
    return vm.upper()


def cores(percent: int) -> float | None:
    """Return a cap in cores; None where there is none."""
    return percent / 100 if percent else None


def percent(cores: float | None) -> int:
    """Return a cap in the vendor's percents; the smallest it knows is 1."""
    return 0 if cores is None else max(1, round(cores * 100))
