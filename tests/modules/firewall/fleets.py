"""Small fleets that the firewall's tests share."""

from ipaddress import ip_network

from yamori.model.filter_rule import Network
from yamori.model.host import Host
from yamori.model.ids import HostId, VMId
from yamori.model.vm import VM, Nic, PowerState
from yamori.modules.firewall.fleet import Fleet, fleet_of


def vm(name: str, number: int, host: str | None = "h1", **labels: str) -> VM:
    return VM(
        id=VMId(f"id-{name}"),
        name=name,
        host=None if host is None else HostId(host),
        state=PowerState.RUNNING,
        vcpus=1,
        memory_bytes=1 << 28,
        memory_max_bytes=1 << 28,
        nics=(Nic(target=None, mac=mac(number), network=None),),
        labels=labels,
    )


def mac(number: int) -> str:
    return f"52:54:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"


def four(number: int) -> str:
    return f"10.0.{number >> 8 & 255}.{number & 255}"


def addresses(number: int) -> tuple[Network, ...]:
    return (ip_network(four(number)), ip_network(f"2001:db8::{number:x}"))


def fleet(*vms: VM, bare: frozenset[str] = frozenset(), sites: dict[str, str | None] | None = None) -> Fleet:
    """Each VM has the addresses that follow from its MAC."""
    known = {
        nic.mac: addresses(int(nic.mac.replace(":", ""), 16) & 0xFFFFFF)
        for each in vms
        if each.name not in bare
        for nic in each.nics
    }
    hosts = [
        Host(id=HostId(name), name=name, hypervisor="h", hypervisor_version="1", cpus=1, memory_bytes=1, site=site)
        for name, site in (sites or {"h1": "north"}).items()
    ]
    return fleet_of(vms, known, hosts)


SHOP = fleet(
    vm("web1", 1, tier="web", tenant="shop"),
    vm("web2", 2, tier="web", tenant="shop"),
    vm("db1", 3, tier="db", tenant="shop"),
    vm("mon", 4, tier="ops"),
    vm("stray", 5),
)
SHOP_GROUPS = """version: 1
networks:
  office: [192.0.2.0/25, 192.0.2.128/25]
services:
  app: [{protocol: tcp, ports: [8443, 8444]}]
groups:
  web:
    select: {label: {tier: web}}
    mode: enforce
    rates: {packets_in: 20k/s burst 40k, connections_in: 100/s}
    dhcp_servers: [10.0.9.1]
  db:
    select: {label: {tier: db}}
    mode: enforce
  everybody:
    select: {tenant: shop}
    default: {in: deny, out: allow}
    rates: {packets_in: 5k/s}
rules:
  - {id: visitors, from: any, to: web, services: [http, https]}
  - {id: Store + fetch (prod), from: web, to: db, services: [postgresql, app]}
  - {id: office-ssh, from: office, to: [web, db], services: ssh}
  - {id: ping, from: any, to: everybody, services: ping}
"""
