"""A fleet written down in a file: to check, trace and export groups where no hypervisor is asked."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from yamori.model.filter_rule import Network
from yamori.model.host import Host
from yamori.model.ids import HostId, VMId
from yamori.model.vm import VM, Nic, PowerState
from yamori.modules.firewall.fleet import Fleet, fleet_of
from yamori.modules.firewall.networks import Networks
from yamori.policy.document import parse
from yamori.policy.selectors import STRICT

_MAC = Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$")]


class CardLine(BaseModel):
    """One card."""

    model_config = STRICT

    mac: _MAC = Field(description="Its MAC.")
    addresses: Networks = Field(default=(), description="The addresses that are its own.")


class VMLine(BaseModel):
    """One VM."""

    model_config = STRICT

    name: str = Field(min_length=1, max_length=200, description="Its name.")
    id: str | None = Field(default=None, min_length=1, max_length=100, description="Left out: made of its name.")
    labels: dict[str, str] = Field(default={}, description="Its labels.")
    host: str | None = Field(default=None, description="The host it is on.")
    site: str | None = Field(default=None, description="That host's site.")
    cards: tuple[CardLine, ...] = Field(default=(), max_length=64, description="Its cards, in order.")


class FleetFile(BaseModel):
    """A whole fleet."""

    model_config = STRICT

    version: Literal[1] = Field(description="The version of this format.")
    vms: tuple[VMLine, ...] = Field(max_length=100_000, description="Its VMs.")


def read_fleet(untrusted_text: str | bytes, source: str) -> Fleet:
    """Read a fleet. Raises Invalid with place and mend."""
    document = parse(untrusted_text, source)
    document.refuse_nothing()
    file = document.validate(FleetFile)
    vms: dict[VMId, VM] = {}
    hosts: dict[HostId, Host] = {}
    addresses: dict[str, tuple[Network, ...]] = {}
    for number, line in enumerate(file.vms):
        vm = _vm(line)
        if vm.id in vms:
            raise document.error(("vms", number), "another VM has this id already", "give each an id")
        vms[vm.id] = vm
        for index, card in enumerate(line.cards):
            mac = card.mac.lower()
            if mac in addresses:
                raise document.error(("vms", number, "cards", index, "mac"), "another card has this MAC already")
            addresses[mac] = card.addresses
        if vm.host is not None:
            hosts[vm.host] = Host(
                id=vm.host,
                name=vm.host,
                hypervisor="unknown",
                hypervisor_version="unknown",
                cpus=None,
                memory_bytes=None,
                site=line.site,
            )
    return fleet_of(vms.values(), addresses, hosts.values())


def _vm(line: VMLine) -> VM:
    return VM(
        id=VMId(line.id or re.sub(r"[^A-Za-z0-9_.-]", "-", line.name)),
        name=line.name,
        host=None if line.host is None else HostId(line.host),
        state=PowerState.UNKNOWN,
        vcpus=0,
        memory_bytes=0,
        memory_max_bytes=0,
        nics=tuple(Nic(target=None, mac=card.mac.lower(), network=None) for card in line.cards),
        labels=line.labels,
    )
