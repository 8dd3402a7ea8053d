"""What an operator may set of the guard. Times are seconds; every number has a stated meaning."""

from pydantic import BaseModel, ConfigDict, Field


class GuardSettings(BaseModel):
    """Settings of the guard."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    broken_ticks: int = Field(default=2, ge=1, le=8)
    """So many of the last ``of_ticks`` readings must break an objective before a VM counts as suffering."""
    of_ticks: int = Field(default=3, ge=1, le=8)
    """How many of the last readings ``broken_ticks`` looks at."""
    stale_ticks: int = Field(default=10, ge=1, le=200)
    """After so many readings without a value a VM no longer counts as suffering, but as unknown."""
    confidence: float = Field(default=0.5, ge=0, le=1)
    """A cause is named only from this confidence on."""
    window_ticks: int = Field(default=16, ge=4, le=120)
    """Readings over which co-movement of use and suffering is measured."""
    usual_s: float = Field(default=300.0, gt=0)
    """Time constant of what is usual for a VM."""
    margin: float = Field(default=1.25, ge=1)
    """A throttle gives back what the victims lack times this."""
    settle_s: float = Field(default=2.0, ge=0)
    """A throttle is not judged before this time has passed."""
    load_s: float = Field(default=10.0, ge=0)
    """What looks like ordinary load is throttled only when the suffering has lasted so long: it may pass."""
    clear_s: float = Field(default=3.0, ge=0)
    """Victims must be served for so long before they count as recovered."""
    gone_s: float = Field(default=5.0, ge=0)
    """An offender must stay below its limit for so long before the reason counts as gone."""
    probe_s: float = Field(default=15.0, gt=0)
    """After so long without suffering a limit is loosened one step, to see; doubles with each failure."""
    probe_wait_max_s: float = Field(default=600.0, gt=0)
    """The longest wait that this doubling leads to."""
    loosen: float = Field(default=1.5, gt=1)
    """One step of loosening multiplies the limit by this."""
    expires_s: float = Field(default=60.0, gt=0)
    """A throttle that is not renewed ends after this."""
    balloon_s: float = Field(default=5.0, ge=0)
    """A guest that has not followed its balloon for so long is held by its CPU instead."""
    overload_s: float = Field(default=5.0, ge=0)
    """Suffering without a cause is told after this."""
    again_s: float = Field(default=30.0, gt=0)
    """A move that was not made, or did not help, is followed after this by that of the next VM in question."""
    migrate_s: float = Field(default=120.0, ge=0)
    """Suffering without a cause that lasts so long makes the guard propose to move a victim away."""
    blind_s: float = Field(default=10.0, gt=0)
    """What is known of a host that cannot be read is kept for so long."""
    unusual: float = Field(default=8.0, gt=0)
    """Use so many usual deviations above the usual is unusual."""
    unusual_s: float = Field(default=60.0, gt=0)
    """Unusual use is told, as a low finding without a proposal, when it lasts so long."""
    unusual_most: int = Field(default=20, ge=0)
    """At most so many findings of unusual use are open at once."""
