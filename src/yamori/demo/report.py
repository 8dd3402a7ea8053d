"""What the story showed: every line a measured number. The JSON shape is documented in the reference."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from yamori.model.plain import to_plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """One measure before, during and after: before the attack, from attack to containment, and contained.

    ``after`` is measured while the attack still goes on. None where nothing could be measured.
    """

    unit: str
    before: float | None
    during: float | None
    after: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One attack and what became of it. Times in seconds since the attack began.

    ``detect_s``: a finding named the offender. ``throttle_s``: the first throttle was verified by reading back.
    ``contain_s``: from then on no neighbour suffered from anything for STEADY_S: no promised objective was broken
    in two of three readings.
    ``objective`` is what the neighbours lacked most of what they were promised: the mean of the worst served one,
    as Yamori measures it; ``bound`` is what was promised, ``objective_peak`` the largest single reading between
    attack and containment.
    ``asked`` and ``read_back`` are the limits of the first throttle, as decided and as the hypervisor tells them;
    ``..._at_end`` the same when the attack ended, after the guard has tightened or loosened.
    ``asked_steadily`` are the limits of the longest while in which they did not change, ``used_steadily`` what the
    offender then used, measured; None where that was too short.
    ``service`` is the worst neighbour's 95th percentile of latency, as a client outside of Yamori measures it.
    """

    attack: str
    offender: str
    host: str
    neighbours: tuple[str, ...]
    detect_s: float | None = None
    throttle_s: float | None = None
    contain_s: float | None = None
    finding: str | None = None
    objective_name: str | None = None
    bound: float | None = None
    objective: Phases | None = None
    objective_peak: float | None = None
    service: Phases | None = None
    asked: Mapping[str, float] = field(default_factory=dict)
    read_back: Mapping[str, float | None] = field(default_factory=dict)
    asked_at_end: Mapping[str, float] = field(default_factory=dict)
    read_back_at_end: Mapping[str, float | None] = field(default_factory=dict)
    asked_steadily: Mapping[str, float] = field(default_factory=dict)
    used_steadily: Mapping[str, float | None] = field(default_factory=dict)
    release_s: float | None = None
    after_release: Mapping[str, float | None] = field(default_factory=dict)
    failures: tuple[str, ...] = ()

    @property
    def verified(self) -> bool:
        """Whether every effect was seen."""
        return not self.failures


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The whole story."""

    stage: str
    vms: int
    hosts: int
    acts: tuple[Act, ...]
    ledger_records: int | None
    left_behind: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()

    @property
    def verified(self) -> bool:
        """Whether every effect of every act was seen and nothing was left behind."""
        return not self.failures and not self.left_behind and all(act.verified for act in self.acts)

    def plain(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        body: dict[str, Any] = to_plain(self)
        body["verified"] = self.verified
        for act, plain in zip(self.acts, body["acts"], strict=True):
            plain["verified"] = act.verified
        return body
