"""Why a feature is not offered: switched off, unknown to vSphere, not permitted, or seen not to be there."""

from collections.abc import Mapping

from yamori.drivers.vsphere.limits import ABSENT
from yamori.drivers.vsphere.settings import VSphereSettings
from yamori.model.support import FEATURES

_READ_ONLY = "the endpoint is set to read_only"
_ACTING = ("power", "limits.", "migration.")
_EXPIRY = "vSphere ends no limit by itself: whoever sets one lets go of it"
_MOVES = tuple(feature for feature in FEATURES if feature.startswith("migration."))
_BANDWIDTH = "vSphere cannot bound what one move sends: its network's shares and limits bound all of them"
_NOT_SEEN = "the server has not been asked yet"


class Absences:
    """Features with the reason why they are not to be had at this endpoint."""

    def __init__(self, settings: VSphereSettings) -> None:
        given = {**ABSENT, "limits.expiry": _EXPIRY, "migration.bandwidth": _BANDWIDTH}
        if settings.read_only:
            given |= {feature: _READ_ONLY for feature in FEATURES if feature.startswith(_ACTING)}
        given |= {feature: f"switched off: {reason}" for feature, reason in settings.without.items()}
        self._given = given
        self._seen: Mapping[str, str] = dict.fromkeys(_MOVES, _NOT_SEEN)

    def why(self, feature: str) -> str | None:
        """The reason, None when nothing speaks against the feature."""
        return self._given.get(feature) or self._seen.get(feature)

    def given(self, feature: str) -> str | None:
        """The reason that was known from the beginning, None when there was none."""
        return self._given.get(feature)

    def saw(self, seen: Mapping[str, str]) -> None:
        """Take what the server was just seen not to have, or not to permit, in place of what was seen before."""
        self._seen = dict(seen)

    def all_of(self, word: str) -> bool:
        """Whether everything of a capability is absent."""
        return all(self.why(feature) for feature in FEATURES if feature.partition(".")[0] == word)
