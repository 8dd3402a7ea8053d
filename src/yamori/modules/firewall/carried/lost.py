"""What was carried over, and what was not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from yamori.modules.firewall.groups import Firewall


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """One thing that cannot be said, and why. ``by_hand``: nothing is lost once a person has done it.

    ``wider``: without it more passes than before. An import never has such a loss.
    """

    what: str
    why: str
    by_hand: bool = False
    wider: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What an import gives."""

    firewall: Firewall
    lost: tuple[Lost, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What an export gives: texts by the name of the file."""

    files: Mapping[str, str]
    lost: tuple[Lost, ...]
