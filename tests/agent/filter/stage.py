"""A guest, a host with a bridge, and a peer, each a namespace; frames go through them as they are."""

import os
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypeVar

from tests.agent.filter.frames import frame
from tests.agent.functions.space import Space
from yamori.agent.filter.engine import Engine
from yamori.agent.filter.layout import shard_of
from yamori.agent.filter.port import Attachment
from yamori.agent.filter.program import stem
from yamori.agent.filter.seat import Seat
from yamori.agent.filter.watch import Difference, port_differences, table_differences
from yamori.agent.filter.way import Way
from yamori.agent.filter.wire import Nft
from yamori.model.filter import Filter
from yamori.model.filter_rule import Direction
from yamori.model.packet import ARP, Arp, Packet

T = TypeVar("T")
GUEST, PEER, ELSEWHERE = "52:54:00:00:00:01", bytes.fromhex("02aa00000002"), bytes.fromhex("02aa00000099")
GUEST_MAC = bytes.fromhex(GUEST.replace(":", ""))
EVERYBODY, GROUP = b"\xff" * 6, bytes.fromhex("333300000001")
TAP, UPLINK = "tap0", "up0"
_PATIENCE_S = 20.0
_ANY = 0x0003


class Stage:
    """``say`` sends frames from one side and returns which arrived at the other."""

    def __init__(self, *, shown_to_ip: bool, seat: Seat = Seat.BRIDGE) -> None:
        self.seat = seat
        self.host, self.guest, self.peer = Space(), Space(), Space()
        self.host.ip("link add br0 type bridge mcast_snooping 0")
        self.host.ip("link set br0 address 02:aa:00:00:00:50 up")
        for name, space in ((TAP, self.guest), (UPLINK, self.peer)):
            self._plug(name, space)
        self.host.run(_silence)
        for switch in ("iptables", "ip6tables", "arptables"):
            on = "1" if shown_to_ip and switch != "arptables" else "0"
            self.host.run(lambda s=switch, o=on: Path(f"/proc/sys/net/bridge/bridge-nf-call-{s}").write_text(o))
        self._ends = {Direction.OUT: self.guest.run(_raw), Direction.IN: self.peer.run(_raw)}
        self.serial = 0
        time.sleep(0.1)

    def _plug(self, name: str, space: Space) -> None:
        self.host.ip(f"link add {name} type veth peer name eth0 netns {space.tid}")
        space.run(_silence)
        space.ip("link set eth0 arp off")
        space.ip("link set eth0 up")
        self.host.ip(f"link set {name} master br0 up")

    def plug_anew(self, between: "Callable[[Stage], None]") -> None:
        """Remove the guest's interface on the host, do something, and make another of the same name."""
        self._ends.pop(Direction.OUT).close()
        self.host.ip(f"link del {TAP}")
        between(self)
        self._plug(TAP, self.guest)
        self._ends[Direction.OUT] = self.guest.run(_raw)
        time.sleep(0.1)

    def detour(self) -> None:
        """Send what comes from the guest round by an interface that could queue it, as a bound on it may do."""
        self.host.ip("link add round0 type ifb")
        self.host.ip("link set round0 up")
        self.host.sh(f"tc qdisc add dev {TAP} handle ffff: ingress")
        match = "u32 match u32 0 0 action mirred egress redirect dev round0"
        self.host.sh(f"tc filter add dev {TAP} parent ffff: protocol all {match}")

    def end_detour(self) -> None:
        """Let it come straight again."""
        self.host.sh(f"tc qdisc del dev {TAP} ingress")

    def with_engine(self, way: Way, work: Callable[[Engine], T], fenced: tuple[str, ...] = ()) -> T:
        """Do something with an engine in the host's namespace."""

        def call() -> T:
            with Nft() as nft:
                return work(Engine(nft, way, fenced, seat=self.seat_of(way)))

        return self.host.run(call)

    def seat_of(self, way: Way) -> Seat:
        """Where rules sit: connections are tracked at the bridge only."""
        return self.seat if way is Way.PLAIN else Seat.BRIDGE

    def table_of(self, port: str) -> str:
        """The table that a port's chains are in, as `nft` names it."""
        return "bridge yamori" if self.seat is Seat.BRIDGE else f"netdev {shard_of(stem(port)).table}"

    def apply(self, wanted: Filter, way: Way = Way.PLAIN) -> None:
        """Make a Filter hold at the guest's card."""
        self.with_engine(way, lambda engine: engine.apply([Attachment(interface=TAP, filter=wanted)]))

    def clear(self) -> None:
        """Take all Filters away, with what they have counted."""
        self.with_engine(Way.PLAIN, lambda engine: engine.withdraw())

    def counts(self, port: str, way: Way = Way.PLAIN) -> Mapping[tuple[Direction, str], int]:
        """What each rule has counted."""
        found = self.with_engine(way, lambda engine: engine.counts(port))
        return {key: count.packets for key, count in found.items() if count.packets}

    def say(self, packets: Sequence[Packet]) -> list[bool]:
        """Send packets one after the other, all the same way; tell which came through."""
        direction = packets[0].direction
        frames = []
        for packet in packets:
            assert packet.direction is direction
            self.serial += 1
            frames.append(frame(packet, self.serial))
        arrived = self.send(direction, frames)
        return [each in arrived for each in frames]

    def send(self, direction: Direction, frames: Sequence[bytes]) -> set[bytes]:
        """Send frames, then one that always passes; return what came before that one, which must come."""
        self.serial += 1
        last = frame(_always(direction), self.serial)
        other = self._ends[Direction.IN if direction is Direction.OUT else Direction.OUT]
        with _one_cpu():
            for each in (*frames, last):
                self._ends[direction].send(each)
        arrived: set[bytes] = set()
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            try:
                content, (_, _, kind, _, _) = other.recvfrom(65535)
            except TimeoutError:
                continue
            if kind == socket.PACKET_OUTGOING:
                continue
            if content == last:
                return arrived
            arrived.add(content)
        raise AssertionError("the frame that always passes did not come")

    def differences(self, wanted: Filter, interface: str = TAP, *, detoured: bool = False) -> list[Difference]:
        """What is not in the kernel as it should be, with this one Filter."""
        return self.differences_of([Attachment(interface=interface, filter=wanted, detoured=detoured)])

    def differences_of(self, attached: Sequence[Attachment]) -> list[Difference]:
        """What is not in the kernel as it should be."""

        def look(engine: Engine) -> list[Difference]:
            with Nft() as asked:
                found = [d for each in attached for d in port_differences(asked, engine.layout, each)]
                return found + table_differences(asked, engine.layout, attached)

        return self.with_engine(Way.PLAIN, look)

    def learned(self, mac: bytes) -> str:
        """The bridge's port behind which it believes a MAC to be."""
        text = ":".join(f"{octet:02x}" for octet in mac)
        lines = self.host.sh("bridge fdb show br br0").splitlines()
        places = [line.split()[2] for line in lines if line.startswith(text) and "permanent" not in line]
        assert len(places) == 1, lines
        return places[0]

    def send_without_last(self, direction: Direction, packet: Packet) -> bool:
        """Send one packet where nothing at all may pass: true if it comes within a second."""
        self.serial += 1
        content = frame(packet, self.serial)
        other = self._ends[Direction.IN if direction is Direction.OUT else Direction.OUT]
        self._ends[direction].send(content)
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            try:
                if other.recvfrom(65535)[0] == content:
                    return True
            except TimeoutError:
                continue
        return False

    def forget_connections(self) -> None:
        """Let the host's connection tracking begin anew (IPCTNL_MSG_CT_DELETE of everything)."""

        def call() -> None:
            with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)) as asked:
                asked.settimeout(10)
                asked.send(struct.pack("=IHHIIBBH", 20, 1 << 8 | 2, 5, 1, 0, 0, 0, 0))
                assert struct.unpack_from("=i", asked.recv(4096), 16)[0] == 0

        self.host.run(call)

    def connections(self) -> int:
        """How many connections the host's tracking knows."""
        return int(
            self.host.run(lambda: Path("/proc/thread-self/net/stat/nf_conntrack").read_text())
            .split("\n")[1]
            .split()[0],
            16,
        )

    def close(self) -> None:
        """End the namespaces."""
        for end in self._ends.values():
            end.close()
        for space in (self.guest, self.peer, self.host):
            space.close()


def _always(direction: Direction) -> Packet:
    """Asking for an address without having one: allowed at any port, either way."""
    source = GUEST_MAC if direction is Direction.OUT else PEER
    body = Arp(
        operation=1,
        sender_mac=source,
        sender=IPv4Address(0),
        target_mac=bytes(6),
        target=IPv4Address("192.0.2.99"),
    )
    return Packet(direction=direction, source_mac=source, target_mac=EVERYBODY, kind=ARP, body=body)


def _raw() -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ANY))
    made.bind(("eth0", _ANY))
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    made.settimeout(0.5)
    return made


def _silence() -> None:
    """Nothing speaks by itself here."""
    for each in Path("/proc/sys/net/ipv6/conf").iterdir():
        (each / "disable_ipv6").write_text("1")


@contextmanager
def _one_cpu() -> Iterator[None]:
    """Frames sent on one CPU keep their order through veth."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
