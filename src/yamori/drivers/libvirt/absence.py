"""Why a feature is not offered: switched off, never there in this family, or learnt by a failed attempt."""

import gzip
import platform
from pathlib import Path

from yamori.drivers.libvirt.settings import LibvirtSettings
from yamori.model.support import FEATURES

_READ_ONLY = "the connection is read-only"
_NO_ADDRESS = "other hosts cannot reach this one: migrate_to.uri is not set"
_ACTING = ("power", "limits.", "migration.")
_SHAPING = {"CONFIG_NET_SCH_SFQ": "sch_sfq", "CONFIG_NET_CLS_FW": "cls_fw", "CONFIG_NET_ACT_POLICE": "act_police"}


class Absences:
    """Features with the reason why they are not to be had at this endpoint."""

    def __init__(self, settings: LibvirtSettings) -> None:
        self._reasons: dict[str, str] = {
            feature: _READ_ONLY for feature in FEATURES if settings.read_only and feature.startswith(_ACTING)
        }
        self._reasons |= settings.dialect.absent
        self._reasons |= {feature: f"switched off: {reason}" for feature, reason in settings.without.items()}
        self._proven: set[str] = set()
        if (
            settings.dialect.moves
            and settings.same_machine
            and (settings.migrate_to is None or settings.migrate_to.uri is None)
        ):
            for feature in ("migration.live", "migration.encrypted", "migration.copied_storage"):
                self._reasons.setdefault(feature, _NO_ADDRESS)
        if settings.same_machine and settings.dialect.remote:
            missing = missing_for_shaping()
            if missing:
                why = f"libvirt shapes with kernel parts that are absent here: {', '.join(missing)}"
                self._reasons.setdefault("limits.net_in", why)
                self._reasons.setdefault("limits.net_out", why)

    def why(self, feature: str) -> str | None:
        """The reason, None when nothing speaks against it."""
        return self._reasons.get(feature)

    def learn(self, feature: str, reason: str) -> None:
        """Remember that an attempt failed for a reason that will not go away."""
        self._reasons[feature] = reason

    def prove(self, feature: str) -> None:
        """Remember that it worked."""
        self._proven.add(feature)
        self._reasons.pop(feature, None)

    def is_proven(self, feature: str) -> bool:
        """Whether it was seen to work."""
        return feature in self._proven

    def all_of(self, word: str) -> bool:
        """Whether everything of a capability is absent."""
        return all(self.why(feature) for feature in FEATURES if feature.split(".")[0] == word)


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
