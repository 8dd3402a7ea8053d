"""The one limit that Toybox has: a cap on CPU time."""

import math
from collections.abc import Mapping

from yamori.model.errors import Invalid, Unsupported
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind, Limits
from yamori_toybox.connection import Connection
from yamori_toybox.translate import cores, percent, serial

WHY = "Toybox limits CPU time only"


class ToyboxLimitsReader:
    """The sensing capability ``limits``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read(self, vm: VMId) -> Limits:
        cap = await self._connection.call(lambda box: box.cap(serial(vm)))
        return Limits(
            values={LimitKind.CPU_CAP: cores(cap)},
            unknown={kind: WHY for kind in LimitKind if kind is not LimitKind.CPU_CAP},
        )


class ToyboxLimitsWriter:
    """The acting capability ``limits``. Everything is checked before anything is changed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def set(
        self, vm: VMId, limits: Mapping[LimitKind, float | None], *, lapse_s: float | None = None
    ) -> None:
        await self._connection.call(lambda box: box.cap(serial(vm)))
        for kind, value in limits.items():
            if kind is not LimitKind.CPU_CAP:
                raise Unsupported(f"limits.{kind}", WHY, subject=vm)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise Invalid(f"{kind} must be a number above 0", subject=vm)
        if LimitKind.CPU_CAP in limits:
            wanted = percent(limits[LimitKind.CPU_CAP])
            await self._connection.call(lambda box: box.set_cap(serial(vm), wanted))

    async def pin(self, vm: VMId, cpus: frozenset[int] | None) -> None:
        del cpus
        raise Unsupported("limits.cpu_pinning", WHY, subject=vm)
