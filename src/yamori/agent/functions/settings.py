"""What an operator says about what the agent may do on its host. Nothing need be said."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

AbsolutePath = Annotated[str, StringConstraints(pattern=r"^/[^\x00-\x1f\x7f]*$", max_length=4096)]
InterfaceName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$")]


class Function(StrEnum):
    """One thing that the agent does. Each can be switched off, and needs rights of its own."""

    NET = "net"
    """Bound what goes to and comes from a VM (limits.net_in, limits.net_out)."""
    CPU = "cpu"
    """Bound a Xen VM's CPU time (limits.cpu_cap, limits.cpu_weight)."""
    DISK = "disk"
    """Bound a Xen VM's disks (limits.disk_iops, limits.disk_bandwidth)."""
    USAGE = "usage"
    """Count what Xen VMs use."""
    WAITING = "waiting"
    """Count how long the vCPUs of Xen VMs wait for a CPU, from the hypervisor's trace buffers."""
    PASSAGE = "passage"
    """Carry the memory of moving Xen VMs to another host, encrypted (migration)."""


class HostSettings(BaseModel):
    """One host, as its agent sees it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$", description="What the agent calls its host.")
    ] = "host"
    hypervisor: Annotated[
        Literal["auto", "qemu", "xen"], Field(description="The hypervisor here; auto looks for Xen's dom0.")
    ] = "auto"
    functions: Annotated[
        frozenset[Function],
        Field(description="What the agent does; those that do not fit the hypervisor do nothing."),
    ] = frozenset(Function)
    bridges: Annotated[
        tuple[InterfaceName, ...],
        Field(max_length=256, description="Only cards on these bridges are touched; empty: all cards of VMs."),
    ] = ()
    libvirt_uri: Annotated[
        str,
        Field(max_length=2048, description="Where VMs and their cards are looked up, read only, on a QEMU host."),
    ] = "qemu:///system"
    state_dir: Annotated[
        AbsolutePath, Field(description="Where the agent remembers which limits must end by themselves.")
    ] = "/var/lib/yamori-agent"
    cgroup: Annotated[
        AbsolutePath, Field(description="Control group (version 2) in which disks of Xen VMs are bounded.")
    ] = "/sys/fs/cgroup/yamori"

    @field_validator("cgroup", "state_dir")
    @classmethod
    def _is_straight(cls, path: str) -> str:
        if ".." in path.split("/"):
            raise ValueError("a path without .. is needed")
        return path
