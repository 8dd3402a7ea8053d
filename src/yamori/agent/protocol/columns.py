"""Readings as messages: the columns of one host, packed as base64 of little-endian doubles. NaN survives.

Columns are told by name, so that either side may know one more than the other: what is not told is unknown.
"""

import base64
import binascii
from datetime import datetime
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from yamori.agent.protocol.messages import Number, Word
from yamori.capabilities.sensing.usage import Column, HostColumn, UsageFrame
from yamori.model.errors import Invalid
from yamori.model.ids import HostId, VMId

MOST_VMS = 10_000
"""Rows that are taken from one host."""
MOST_COLUMNS = 64

_DOUBLE = np.dtype("<f8")
_NAMES = tuple(column.name.lower() for column in Column)
_HOST_NAMES = tuple(column.name.lower() for column in HostColumn)

VMName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._:-]{0,127}$")]
"""The id of a VM as it may come over the wire."""


class Reading(BaseModel):
    """One reading of one host. ``clock`` names the monotonic clock that ``read_at`` is told by."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    clock: Word
    read_at: Number
    vms: Annotated[tuple[VMName, ...], Field(max_length=MOST_VMS)]
    columns: Annotated[tuple[Word, ...], Field(max_length=MOST_COLUMNS)]
    values: str
    host_columns: Annotated[tuple[Word, ...], Field(max_length=MOST_COLUMNS)]
    host_values: Annotated[str, Field(max_length=1024)]


def pack(frame: UsageFrame, *, clock: str) -> Reading:
    """Write a frame. Raises Invalid unless it is of exactly one host."""
    if len(frame.hosts) != 1:
        raise Invalid(f"an agent speaks for one host, not for {len(frame.hosts)}")
    return Reading(
        clock=clock,
        read_at=float(frame.read_at[0]),
        vms=tuple(str(vm) for vm in frame.vms),
        columns=_NAMES,
        values=_packed(frame.values),
        host_columns=_HOST_NAMES,
        host_values=_packed(frame.host_values),
    )


def unpack(reading: Reading, *, host: HostId, read_at: float, wall: datetime) -> UsageFrame:
    """Read a frame: all rows are on ``host``, whatever the agent calls it. Raises Invalid.

    ``read_at`` is the time of the reading by our own clock. A number that cannot be (infinite, negative) is
    unknown. A VM that is told twice is refused.
    """
    if len(set(reading.vms)) != len(reading.vms):
        raise Invalid("a reading tells a VM twice")
    rows = len(reading.vms)
    return UsageFrame(
        wall=wall,
        vms=tuple(VMId(vm) for vm in reading.vms),
        hosts=(host,),
        host_of=np.zeros(rows, np.int32),
        read_at=np.array([read_at]),
        values=_unpacked(reading.values, rows, reading.columns, _NAMES),
        host_values=_unpacked(reading.host_values, 1, reading.host_columns, _HOST_NAMES),
    )


def _packed(values: NDArray[np.float64]) -> str:
    return base64.b64encode(np.ascontiguousarray(values, _DOUBLE).tobytes()).decode("ascii")


def _unpacked(
    untrusted_text: str, rows: int, untrusted_names: tuple[str, ...], names: tuple[str, ...]
) -> NDArray[np.float64]:
    if len(set(untrusted_names)) != len(untrusted_names):
        raise Invalid("a reading tells a column twice")
    wanted = rows * len(untrusted_names) * _DOUBLE.itemsize
    if len(untrusted_text) > wanted * 4 // 3 + 4:
        raise Invalid("a reading has more numbers than rows and columns")
    try:
        content = base64.b64decode(untrusted_text, validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("the numbers of a reading cannot be read") from None
    if len(content) != wanted:
        raise Invalid(f"a reading has {len(content)} bytes of numbers where {wanted} belong")
    told = np.frombuffer(content, _DOUBLE).astype(np.float64).reshape(rows, len(untrusted_names))
    values = np.full((rows, len(names)), np.nan)
    for index, name in enumerate(untrusted_names):
        if name in names:
            values[:, names.index(name)] = told[:, index]
    values[~(values >= 0) | np.isinf(values)] = np.nan
    return values
