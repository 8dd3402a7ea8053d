"""What one host needs to say about the passage: its own exit, its certificates, and its peers.

Each host has a loopback address of its own in the passage, the same in every host's settings: libvirt names it as
the place where it waits for a VM's memory, and at the source that very address is the entrance to here.
"""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Port = Annotated[int, Field(ge=1, le=65535)]
Loopback = Annotated[str, StringConstraints(pattern=r"^127(\.(0|[1-9]\d?|1\d\d|2[0-4]\d|25[0-5])){3}$")]
Address = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,255}$")]


class PeerSettings(BaseModel):
    """Another host."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    address: Address
    port: Port
    loopback: Loopback
    """Where its libvirt waits for arriving streams, and where ours hands over those that go there."""
    tls_name: Address
    """Name that the peer's certificate must prove, as server and as client."""


class PassageSettings(BaseModel):
    """One host's passage. Certificates prove names (subject alternative names), no key is ever on a wire."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    listen: Address
    port: Port
    loopback: Loopback
    """Where this host's libvirt waits for arriving streams."""
    first_port: Port = 49400
    ports: int = Field(default=32, ge=1, le=1024)
    """Ports for arriving streams: outside those that libvirt chooses by itself (49152 to 49216), which it would
    find taken by the entrances to other hosts."""
    authority: Path
    certificate: Path
    key: Path
    peers: Mapping[str, PeerSettings]
    stalled_s: float = Field(default=20.0, gt=0, le=300)
    """A stream that moves no byte for so long although there are some to send is broken off."""
    bytes_s: int | None = Field(default=None, ge=1 << 16)
    """What one stream may use, bytes per second; default: all that the network has."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        inner = [self.loopback, *(peer.loopback for peer in self.peers.values())]
        if len(inner) != len(set(inner)):
            raise ValueError("each host needs a loopback address of its own, the same in every host's settings")
        if self.first_port + self.ports > 65536:
            raise ValueError("there are no ports above 65535")
        return self


def server_context(settings: PassageSettings) -> ssl.SSLContext:
    """TLS 1.3 as server; whoever comes must prove a certificate of the same authority. Raises OSError."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, settings)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(settings: PassageSettings) -> ssl.SSLContext:
    """The same as client; the peer must prove its name."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, settings)


def _context(protocol: int, settings: PassageSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cafile=settings.authority)
    context.load_cert_chain(settings.certificate, settings.key)
    return context
