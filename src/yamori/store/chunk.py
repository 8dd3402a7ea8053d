"""The format of a recording: a file of chunks, each a reading of the fleet, compressed and checked.

A chunk: ``YAM1``, length of the payload, its CRC-32 (both u32 big-endian), the payload (zlib). The payload:
length of a JSON head (u32), the head, then the arrays that it lists, as little-endian bytes.
"""

import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yamori.model.errors import Invalid

MAGIC = b"YAM1"
PREFIX = struct.Struct(">4sII")
_LENGTH = struct.Struct(">I")
LARGEST = 1 << 30
"""Bytes of a payload, packed or unpacked. A fleet of 100,000 VMs takes 20 MiB and its inventory."""
LEVEL = 1
"""zlib's fastest: a reading is written every second."""
TYPES: dict[str, np.dtype[Any]] = {name: np.dtype(name) for name in ("|u1", "<i4", "<f8")}

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """What one chunk says: a JSON head, and arrays by name."""

    head: dict[str, Any]
    arrays: Arrays


def pack(chunk: Chunk) -> bytes:
    """Return a chunk as bytes."""
    listed = {n: [a.dtype.newbyteorder("<").str, list(a.shape)] for n, a in chunk.arrays.items()}
    head = json.dumps({**chunk.head, "arrays": listed}, separators=(",", ":"), allow_nan=False).encode()
    squeezer = zlib.compressobj(LEVEL)
    parts = [squeezer.compress(_LENGTH.pack(len(head)) + head)]
    # Column by column: numbers of one kind stand together, which packs better and quicker than row by row.
    parts += [squeezer.compress(_little(array).tobytes("F")) for array in chunk.arrays.values()]
    parts.append(squeezer.flush())
    payload = b"".join(parts)
    if len(payload) > LARGEST:
        raise Invalid("a reading is too large to be recorded")
    return PREFIX.pack(MAGIC, len(payload), zlib.crc32(payload)) + payload


def unpack(untrusted_payload: bytes) -> Chunk:
    """Read the payload of a chunk. Raises Invalid."""
    opener = zlib.decompressobj()
    try:
        plain = opener.decompress(untrusted_payload, LARGEST)
    except zlib.error as error:
        raise Invalid(f"a chunk cannot be unpacked: {error}") from None
    if not opener.eof or len(plain) < _LENGTH.size:
        raise Invalid("a chunk is cut short, or unpacks to more than is allowed")
    end = _LENGTH.size + _LENGTH.unpack_from(plain)[0]
    try:
        head = json.loads(plain[_LENGTH.size : end])
        listed = head.pop("arrays")
        items = [
            (str(n), TYPES[kind], tuple(int(length) for length in shape)) for n, (kind, shape) in listed.items()
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Invalid(f"the head of a chunk does not fit: {error}") from None
    arrays: Arrays = {}
    for name, kind, shape in items:
        size = kind.itemsize * _product(shape)
        if end + size > len(plain):
            raise Invalid(f"a chunk is too short for its array {name[:40]!r}")
        arrays[name] = np.frombuffer(plain, kind, offset=end, count=_product(shape)).reshape(shape, order="F")
        end += size
    if end != len(plain):
        raise Invalid("a chunk holds more than its head lists")
    return Chunk(head=head, arrays=arrays)


def _little(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _product(shape: tuple[int, ...]) -> int:
    total = 1
    for length in shape:
        if length < 0:
            raise Invalid("an array has a negative length")
        total *= length
    return total
