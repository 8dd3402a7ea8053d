"""Packets of the model as real frames, checksums and all."""

import struct

from yamori.model.filter_rule import ACK, ICMP, ICMPV6, SYN, TCP, UDP
from yamori.model.packet import IPV4, Address, Arp, Icmp, Ip, Packet


def frame(packet: Packet, serial: int) -> bytes:
    """Build a frame that no other serial number has."""
    head = packet.target_mac + packet.source_mac + packet.kind.to_bytes(2, "big")
    body = packet.body
    if isinstance(body, Arp):
        return head + _arp(body) + serial.to_bytes(4, "big")
    if isinstance(body, Ip):
        tag = b"" if packet.kind in (IPV4, 0x86DD) else b"\x00\x05" + _kind(body)
        return head + tag + _ip(body, serial)
    return head + bytes(46) + serial.to_bytes(4, "big")


def _kind(ip: Ip) -> bytes:
    return b"\x08\x00" if ip.source.version == 4 else b"\x86\xdd"


def _arp(arp: Arp) -> bytes:
    hardware = 1 if arp.ethernet else 6
    head = struct.pack("!HHBBH", hardware, IPV4, 6, 4, arp.operation)
    return head + arp.sender_mac + arp.sender.packed + arp.target_mac + arp.target.packed


def _ip(ip: Ip, serial: int) -> bytes:
    content = b"" if ip.headless else _content(ip)
    if ip.source.version == 4:
        fragment = (ip.offset // 8) if ip.offset else 0
        head = struct.pack(
            "!BBHHHBBH", 0x45, 0, 20 + len(content), serial & 0xFFFF, fragment, ip.hops, ip.protocol, 0
        )
        head += ip.source.packed + ip.target.packed
        return head[:10] + checksum(head) + head[12:] + content
    following, extra = ip.protocol, b""
    if ip.headless:
        extra = struct.pack("!BBHI", 60, 0, 1, serial) + bytes([ip.protocol, 0, 1, 4, 0, 0, 0, 0])
        following = 44
    elif ip.offset:
        extra = struct.pack("!BBHI", ip.protocol, 0, ip.offset // 8 << 3, serial)
        following = 44
    if ip.extended:
        extra = bytes([following, 0, 1, 4, 0, 0, 0, 0]) + extra
        following = 0
    head = struct.pack("!IHBB", 0x6000_0000 | serial & 0xFFFFF, len(extra) + len(content), following, ip.hops)
    return head + ip.source.packed + ip.target.packed + extra + content


def _content(ip: Ip) -> bytes:
    if ip.offset:
        return b"\xee" * 24
    if ip.icmp is not None:
        return _summed(ip, _icmp(ip.icmp), 2, in_v4=False)
    if ip.protocol == TCP:
        assert ip.source_port is not None
        assert ip.target_port is not None
        numbers = 0 if ip.flags & SYN else 1, 1 if ip.flags & ACK else 0
        segment = struct.pack("!HHIIBBHHH", ip.source_port, ip.target_port, *numbers, 0x50, ip.flags, 1024, 0, 0)
        return _summed(ip, segment, 16)
    if ip.protocol == UDP:
        content = b"hello"
        if ip.client is not None:
            content = bytes([1, 1, 6, 0]) + bytes(24) + ip.client + bytes(202)
        assert ip.source_port is not None
        assert ip.target_port is not None
        return _summed(ip, struct.pack("!HHHH", ip.source_port, ip.target_port, 8 + len(content), 0) + content, 6)
    return b"\xdd" * 24


def _icmp(message: Icmp) -> bytes:
    head = struct.pack("!BBH", message.type, message.code, 0)
    if message.quote is not None:
        quote = message.quote
        inner = Ip(
            source=quote.source,
            target=quote.target,
            protocol=quote.protocol,
            source_port=quote.source_port,
            target_port=quote.target_port,
        )
        return head + bytes(4) + _ip(inner, 7)
    if message.claimed is not None:
        return head + bytes(4) + message.claimed.packed + message.options
    return head + struct.pack("!HH", message.identity, 1) + b"ping" * 4


def _summed(ip: Ip, content: bytes, at: int, *, in_v4: bool = True) -> bytes:
    """Write the checksum; over the pseudo header too, except in ICMP over IPv4."""
    pseudo = b""
    if ip.source.version == 6:
        pseudo = ip.source.packed + ip.target.packed + struct.pack("!II", len(content), ip.protocol)
    elif in_v4:
        pseudo = ip.source.packed + ip.target.packed + struct.pack("!HH", ip.protocol, len(content))
    return content[:at] + checksum(pseudo + content) + content[at + 2 :]


def checksum(content: bytes) -> bytes:
    """The Internet checksum (RFC 1071)."""
    total = sum(struct.unpack(f"!{(len(content) + 1) // 2}H", content + b"\0" * (len(content) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)


def echo(address: Address) -> int:
    """The number of ICMP in the family of an address."""
    return ICMP if address.version == 4 else ICMPV6
