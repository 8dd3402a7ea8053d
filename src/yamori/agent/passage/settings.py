"""What one host needs to say about the passage: where its agent listens, and the agents of the other hosts.

Each host has a loopback address of its own in the passage, the same in every host's settings: libvirt names it as
the place where it waits for a VM's memory, and at the source that very address is the entrance to here.
"""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

LOOPBACK = r"127(\.(0|[1-9]\d?|1\d\d|2[0-4]\d|25[0-5])){3}"
"""Addresses that never leave a machine (RFC 1122 section 3.2.1.3)."""

Port = Annotated[int, Field(ge=1024, le=65535)]
"""None that needs a right of its own to listen on."""
Loopback = Annotated[str, StringConstraints(pattern=rf"^{LOOPBACK}$")]
Address = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,255}$")]
AgentName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$")]


class PeerSettings(BaseModel):
    """The agent of another host."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    address: Annotated[Address, Field(description="Name or address of the other host.")]
    port: Annotated[Port, Field(description="Where its agent listens for memory streams.")] = 49300
    loopback: Annotated[Loopback, Field(description="Its own loopback address in the passage.")]


class PassageSettings(BaseModel):
    """One host's end of the passage. Who a peer is, its certificate says: the one that it got when it enrolled."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    listen: Annotated[Address, Field(description="Address that the other hosts reach, and nobody else.")]
    port: Annotated[Port, Field(description="Where memory streams of other hosts come in.")] = 49300
    loopback: Annotated[Loopback, Field(description="This host's own, the same in all hosts' files.")]
    first_port: Annotated[
        Port, Field(description="First loopback port for arriving streams; outside libvirt's own, 49152 to 49216.")
    ] = 49400
    ports: Annotated[
        int, Field(ge=1, le=1024, description="How many there are: so many VMs may arrive at once.")
    ] = 32
    peers: Annotated[
        Mapping[AgentName, PeerSettings],
        Field(max_length=1024, description="Other hosts, by their agents' names."),
    ]
    stalled_s: Annotated[
        float, Field(gt=0, le=300, description="A stream that moves nothing for so long is broken off; seconds.")
    ] = 20.0
    bytes_s: Annotated[
        int | None,
        Field(ge=1 << 16, description="What one stream may use at most, bytes per second; default: all there is."),
    ] = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        inner = [self.loopback, *(peer.loopback for peer in self.peers.values())]
        if len(inner) != len(set(inner)):
            raise ValueError("each host needs a loopback address of its own, the same in every host's settings")
        if self.first_port + self.ports > 65536:
            raise ValueError("there are no ports above 65535")
        return self

    def has(self, port: int) -> bool:
        """Say whether a port is one of those for arriving streams."""
        return self.first_port <= port < self.first_port + self.ports
