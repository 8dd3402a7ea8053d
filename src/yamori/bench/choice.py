"""Which measurement is meant by what was asked."""

from collections.abc import Callable
from functools import partial

from yamori.bench.result import Bench, BenchResult, LabWish, Progress
from yamori.model.errors import Invalid, NotFound


def chosen(
    bench: Bench, *, driver: str | None, scale: float, guests: int | None = None, lab: str | None = None
) -> Callable[[Progress], BenchResult]:
    """Return what is to be run. Raises NotFound for an unknown driver, Invalid for what it has no use for."""
    if driver is not None and driver in bench.labs:
        return partial(bench.labs[driver], LabWish(scale=scale, guests=guests, lab=lab))
    if driver is not None and driver not in bench.drivers:
        known = ", ".join((*bench.drivers, *bench.labs))
        mend = f"there are: {known}" if known else f"{bench.name} measures no single driver"
        raise NotFound("there is no such driver to measure", subject=driver, mend=mend)
    if guests is not None or lab is not None:
        real = ", ".join(f"--driver {name}" for name in bench.labs)
        mend = f"use them with {real}" if real else f"{bench.name} needs no lab"
        raise Invalid("guests and a lab are for real hypervisors only", mend=mend)
    return partial(bench.run if driver is None else bench.drivers[driver], scale)
