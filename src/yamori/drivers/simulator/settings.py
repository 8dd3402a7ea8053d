"""What an operator or a test may choose: the shape of a world, and what an endpoint sees of it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from yamori.model.support import FEATURES

GIB = 1024**3

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HostShape(_Strict):
    """One physical host. Bytes, seconds, per second."""

    cpus: Annotated[int, Field(ge=1, le=4096)] = 16
    memory_bytes: Annotated[int, Field(gt=0)] = 64 * GIB
    disk_iops: Positive = 20_000.0
    disk_bandwidth: Positive = 1_000_000_000.0
    disk_base_latency_s: Positive = 0.0005
    net_bandwidth: Positive = 1_250_000_000.0
    net_packets_s: Positive = 2_000_000.0
    migration_bandwidth: Positive = 1_000_000_000.0


class VMShape(_Strict):
    """What every VM of the world is like at the beginning."""

    vcpus: Annotated[int, Field(ge=1, le=4096)] = 2
    memory_bytes: Annotated[int, Field(gt=0)] = 2 * GIB
    disk_bytes: Annotated[int, Field(gt=0)] = 20 * GIB
    moves_live: bool = True
    """False: it stands still while it is sent to another host, as paravirtual guests do on some hypervisors."""


class WorldShape(_Strict):
    """A world: so many hosts, named ``host-0`` and on, with so many VMs each.

    ``sla`` and ``tenants`` are dealt out to the VMs in turn as labels. ``jitter`` is the relative standard
    deviation of each VM's demand from step to step. ``step_s`` is the longest step of the physics.
    """

    hosts: Annotated[int, Field(ge=1, le=100_000)] = 2
    vms_per_host: Annotated[int, Field(ge=0, le=100_000)] = 8
    host: HostShape = HostShape()
    vm: VMShape = VMShape()
    seed: int = 1
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.02
    step_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    shared_storage: bool = True
    sla: tuple[Name, ...] = ("gold", "silver", "bronze")
    tenants: tuple[Name, ...] = ("tenant-a", "tenant-b", "tenant-c", "tenant-d")


class SimulatorSettings(_Strict):
    """An endpoint of the simulator."""

    world: Name = "default"
    """Endpoints that name the same world in one process share it."""
    shape: WorldShape | None = None
    """What the world is like. The first endpoint that names it decides; later ones agree or say nothing."""
    hosts: tuple[Name, ...] | None = None
    """The hosts that this endpoint speaks for; all of them by default."""
    follow: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Simulated seconds for each real one; without it time stands still until somebody advances it."""
    without: dict[str, Annotated[str, Field(min_length=1, max_length=200)]] = Field(default_factory=dict)
    """Features taken away, with the reason that the support matrix then gives."""

    @field_validator("without")
    @classmethod
    def _known(cls, value: dict[str, str]) -> dict[str, str]:
        unknown = sorted(set(value) - set(FEATURES))
        if unknown:
            raise ValueError(f"no such feature: {', '.join(unknown)}")
        if "inventory" in value:
            raise ValueError("inventory is the one ability that every endpoint has")
        return value
