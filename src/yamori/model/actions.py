"""The closed vocabulary of verbs. Each declares as data what it does to the world; policy reasons about that."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from yamori.model.ids import HostId, VMId
from yamori.model.limits import LimitKind


class Effect(StrEnum):
    """What an action does besides its purpose."""

    REVERSIBLE = "reversible"
    DISRUPTIVE = "disruptive"
    DESTRUCTIVE = "destructive"
    EXPOSES_DATA = "exposes_data"
    SPENDS_MONEY = "spends_money"


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """Bound what one VM may use, until ``expires_after_s`` seconds have passed at the latest.

    Limits that the VM has already and that are stricter stay. Replaces an earlier throttle of ours.
    """

    verb: ClassVar[str] = "throttle"
    effects: ClassVar[frozenset[Effect]] = frozenset({Effect.REVERSIBLE})
    rights: ClassVar[frozenset[str]] = frozenset({"limits.set"})
    undone_by: ClassVar[str | None] = "release"

    vm: VMId
    limits: Mapping[LimitKind, float]
    expires_after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Give a VM back the limits that it had before our throttle."""

    verb: ClassVar[str] = "release"
    effects: ClassVar[frozenset[Effect]] = frozenset({Effect.REVERSIBLE})
    rights: ClassVar[frozenset[str]] = frozenset({"limits.set"})
    undone_by: ClassVar[str | None] = None

    vm: VMId


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrate:
    """Move a running VM to another host of the same family, encrypted. ``to`` None: control chooses.

    ``stopping`` allows that it stands still while it is sent; a VM that can move live does so all the same.
    """

    verb: ClassVar[str] = "migrate"
    effects: ClassVar[frozenset[Effect]] = frozenset({Effect.REVERSIBLE, Effect.DISRUPTIVE})
    rights: ClassVar[frozenset[str]] = frozenset({"migration.start"})
    undone_by: ClassVar[str | None] = "migrate"

    vm: VMId
    to: HostId | None = None
    stopping: bool = False


Action = Throttle | Release | Migrate
VERBS: Mapping[str, type[Throttle] | type[Release] | type[Migrate]] = {
    a.verb: a for a in (Throttle, Release, Migrate)
}
