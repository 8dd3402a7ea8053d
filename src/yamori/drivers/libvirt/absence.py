"""Why a feature is not offered: switched off, never there in this family, or learnt by a failed attempt."""

import gzip
import platform
from pathlib import Path

from yamori.drivers.libvirt.settings import LibvirtSettings
from yamori.model.support import FEATURES

_READ_ONLY = "the connection is read-only"
MOVES = tuple(feature for feature in FEATURES if feature.startswith("migration."))
"""All that there is only where VMs can move."""
_NO_ADDRESS = "other hosts cannot reach this one: migrate_to.uri is not set"
_NO_EXPIRY = "libvirt holds a limit until somebody lifts it: the host agent ends those that it sets"
_ACTING = ("power", "limits.", "migration.")
_SHAPING = {"CONFIG_NET_SCH_SFQ": "sch_sfq", "CONFIG_NET_CLS_FW": "cls_fw", "CONFIG_NET_ACT_POLICE": "act_police"}


class Absences:
    """Features with the reason why they are not to be had at this endpoint."""

    def __init__(self, settings: LibvirtSettings) -> None:
        self._given = {"limits.expiry": _NO_EXPIRY, **_of_shaping(settings), **_of_moves(settings)}
        if settings.read_only:
            self._given |= {feature: _READ_ONLY for feature in FEATURES if feature.startswith(_ACTING)}
        self._given |= settings.dialect.absent
        self._given |= {feature: f"switched off: {reason}" for feature, reason in settings.without.items()}
        self._learnt: dict[str, str] = {}

    def given(self, feature: str) -> str | None:
        """The reason that was known from the beginning, None when there was none."""
        return self._given.get(feature)

    def why(self, feature: str) -> str | None:
        """The reason, learnt ones as well, None when nothing speaks against it."""
        return self._given.get(feature) or self._learnt.get(feature)

    def learn(self, feature: str, reason: str) -> None:
        """Remember that an attempt failed for a reason that will not go away."""
        self._learnt[feature] = reason

    def all_of(self, word: str) -> bool:
        """Whether everything of a capability was ruled out from the beginning."""
        return all(self.given(feature) for feature in FEATURES if feature.split(".")[0] == word)


def _of_moves(settings: LibvirtSettings) -> dict[str, str]:
    given = settings.migrate_to
    if given is not None and settings.dialect.needs_passage and given.passage is None:
        return dict.fromkeys(MOVES, settings.dialect.no_landing)
    if not settings.dialect.moves or (given is not None and (given.uri is not None or not settings.same_machine)):
        return {}
    return dict.fromkeys(MOVES, settings.dialect.no_landing if given is None else _NO_ADDRESS)


def _of_shaping(settings: LibvirtSettings) -> dict[str, str]:
    missing = missing_for_shaping() if settings.same_machine and settings.dialect.remote else []
    if not missing:
        return {}
    why = f"libvirt shapes with kernel parts that are absent here: {', '.join(missing)}"
    return {"limits.net_in": why, "limits.net_out": why}


def missing_for_shaping(boot: Path = Path("/boot"), proc: Path = Path("/proc")) -> list[str]:
    """Kernel parts that libvirt's bandwidth limits need and this machine's kernel was built without.

    Empty when all are there, and also when the kernel's build configuration cannot be read.
    """
    try:
        packed = proc / "config.gz"
        if packed.exists():
            with gzip.open(packed) as file:
                config = file.read(1 << 20).decode("ascii", "replace")
        else:
            config = (boot / f"config-{platform.release()}").read_text("ascii", "replace")
    except OSError:
        return []
    present = {line.partition("=")[0] for line in config.splitlines() if line.endswith(("=y", "=m"))}
    return [part for option, part in _SHAPING.items() if option not in present]
