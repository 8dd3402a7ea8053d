"""What an operator may configure for one box."""

from pydantic import BaseModel, ConfigDict, Field


class ToyboxSettings(BaseModel):
    """An endpoint of the Toybox driver."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str = Field(min_length=1, max_length=200, description="where the box is")
    timeout_s: float = Field(default=10.0, gt=0, le=600, description="how long one call may take")
