"""What an operator may configure."""

from pydantic import BaseModel, ConfigDict, Field


class LeakSettings(BaseModel):
    """When sending is unusual, and what to ask for then."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    floor_bytes_s: float = Field(default=5e6, gt=0, description="less than this is never a leak")
    factor: float = Field(default=10.0, gt=1, description="so many times the usual rate is unusual")
    learn: int = Field(default=10, ge=1, description="readings before a VM's usual rate counts as known")
    patience: int = Field(default=3, ge=1, description="readings in a row before it is a finding")
    expires_after_s: float = Field(default=300.0, gt=0, description="how long the throttle lasts")
