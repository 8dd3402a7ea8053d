"""One port whose Filter allows DNS out and some TCP in, and packets that it lets pass, or does not."""

from ipaddress import ip_address, ip_network
from typing import Any

from tests.agent.filter.generated import OWN4
from tests.agent.filter.stage import GUEST, GUEST_MAC, PEER, TAP, Stage
from tests.agent.filter.test_spoofing import OTHER4, out, udp
from yamori.agent.filter.port import Attachment
from yamori.agent.filter.way import Way
from yamori.model.filter import Filter, Rates
from yamori.model.filter_rule import TCP, UDP, Direction, Rate, Rule, Span
from yamori.model.packet import IPV4, Ip, Packet

PLAIN = Filter(
    port="vm1/0",
    mac=GUEST,
    addresses=(ip_network("10.0.0.1"), ip_network("2001:db8::1")),
    rules=(
        Rule(id="dns", direction=Direction.OUT, protocol=UDP, ports=(Span(low=53, high=53),)),
        Rule(
            id="many",
            direction=Direction.IN,
            protocol=TCP,
            peers=tuple(ip_network(f"10.{i}.0.0/16") for i in range(0, 60, 2)),
            ports=tuple(Span(low=p, high=p + 3) for p in range(100, 200, 10)),
        ),
    ),
    rates=Rates(peer_in=Rate(per_second=5, burst=5), connections_in=Rate(per_second=50, burst=5)),
)
DNS = out(udp(OWN4, OTHER4), IPV4)
HTTP = out(udp(OWN4, OTHER4, (5000, 443)), IPV4)


def nft(stage: Stage, *commands: str) -> None:
    for command in commands:
        stage.host.sh(f"nft {command}")


def heal(stage: Stage, wanted: Filter) -> None:
    stage.with_engine(Way.PLAIN, lambda engine: engine.rebuild([Attachment(interface=TAP, filter=wanted)]))


def fence(stage: Stage) -> int:
    """How many packets the fence has stopped."""
    told = stage.host.sh("nft list chain bridge yamori stop").split()
    return int(told[told.index("packets") + 1])


def syn(peer: Any) -> Packet:
    ip = Ip(source=ip_address(peer), target=OWN4, protocol=TCP, source_port=5000, target_port=100, flags=2)
    return Packet(direction=Direction.IN, source_mac=PEER, target_mac=GUEST_MAC, kind=IPV4, body=ip)
