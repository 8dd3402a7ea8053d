"""SLA classes as a policy writes them: own ones, and changes to gold, silver and bronze."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from yamori.model.sla import STANDARD_CLASSES, Objective, SLAClass
from yamori.policy.document import Misplaced
from yamori.policy.quantities import ByteRate, Count, Fraction, Seconds
from yamori.policy.selectors import STRICT

ClassName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
Share = Annotated[Fraction, Field(ge=0, le=1)]


class Objectives(BaseModel):
    """Upper bounds on what a host may do to a guest. A missing one is taken from the class extended, if any."""

    model_config = STRICT

    cpu_delay: Share | None = Field(
        default=None, description="Share of time that runnable vCPUs wait, such as 5%."
    )
    memory_lost: Share | None = Field(default=None, description="Share of resident memory paged out by the host.")
    disk_latency: Seconds | None = Field(default=None, description="Mean time of a disk operation, such as 20ms.")
    net_drops: Share | None = Field(default=None, description="Share of packets dropped by the host.")


class Floors(BaseModel):
    """What a throttle must always leave to a VM. The higher of the class's floor and the rule's floor counts."""

    model_config = STRICT

    cpu: Count | None = Field(default=None, description="Cores, such as 0.25.")
    memory: Share | None = Field(default=None, description="Share of the VM's memory, such as 50%.")
    disk_iops: Count | None = Field(default=None, description="Operations per second for each disk.")
    disk_bandwidth: ByteRate | None = Field(
        default=None, description="Bytes per second for each disk, such as 1M."
    )
    net: ByteRate | None = Field(default=None, description="Bytes per second for each card and direction.")


class ClassSpec(BaseModel):
    """A class of service: a change to gold, silver or bronze, or an own one that may extend another."""

    model_config = STRICT

    description: str | None = Field(default=None, description="For people.")
    extends: ClassName | None = Field(
        default=None, description="The class whose values hold where none are given."
    )
    objectives: Objectives = Field(default=Objectives(), description="What a guest of this class is owed.")
    not_promised: tuple[Objective, ...] = Field(
        default=(), description="Objectives of the extended class to drop."
    )
    throttleable: bool | None = Field(default=None, description="Whether such a VM may ever be throttled.")
    floors: Floors = Field(default=Floors(), description="What a throttle always leaves.")


def build(specs: dict[str, ClassSpec]) -> dict[str, SLAClass]:
    """Make the classes that hold: the three standard ones, changed and added to. Raises Misplaced."""
    return {
        name: _resolve(name, specs, ())
        for name in [*STANDARD_CLASSES, *(n for n in specs if n not in STANDARD_CLASSES)]
    }


def _resolve(name: str, specs: dict[str, ClassSpec], trail: tuple[str, ...]) -> SLAClass:
    spec = specs.get(name)
    if name in trail or len(trail) > 20:
        what = f"classes extend one another in a circle: {' → '.join([*trail, name])}"
        raise Misplaced(what, ("classes", trail[-1], "extends"))
    standard = STANDARD_CLASSES.get(name)
    if spec is None:
        if standard is None:
            known = ", ".join([*STANDARD_CLASSES, *specs])
            what = f"class {trail[-1]!r} extends {name!r}, which is not known (known: {known})"
            raise Misplaced(what, ("classes", trail[-1], "extends"))
        return standard
    if spec.extends is not None:
        start = _resolve(spec.extends, specs, (*trail, name))
    else:
        start = standard or SLAClass(name=name)
    return _changed(name, start, spec)


def _changed(name: str, start: SLAClass, spec: ClassSpec) -> SLAClass:
    given = {Objective(key): value for key, value in spec.objectives.model_dump(exclude_none=True).items()}
    objectives = {k: v for k, v in {**start.objectives, **given}.items() if k not in spec.not_promised}
    floors = spec.floors

    def or_else(value: float | None, otherwise: float) -> float:
        return otherwise if value is None else value

    return SLAClass(
        name=name,
        objectives=objectives,
        throttleable=start.throttleable if spec.throttleable is None else spec.throttleable,
        floor_cpu_cores=or_else(floors.cpu, start.floor_cpu_cores),
        floor_memory_fraction=or_else(floors.memory, start.floor_memory_fraction),
        floor_disk_iops=or_else(floors.disk_iops, start.floor_disk_iops),
        floor_disk_bandwidth=or_else(floors.disk_bandwidth, start.floor_disk_bandwidth),
    )
