"""Messages as frames: four bytes of length, most significant first, then so many bytes of JSON."""

from yamori.model.errors import Failed

LARGEST = 4 * 2**20
"""Bytes of a frame's body."""
LARGEST_UNKNOWN = 8192
"""The same while the other side has not said who it is."""
PROGRESS = 16 * 1024
"""Bytes of an unfinished frame that count as a sign of life."""

_HEAD = 4


class Garbled(Failed):
    """What came over the wire is not our protocol."""

    code = "garbled"


def frame(body: bytes) -> bytes:
    """Return a body with its length before it. Raises Garbled for one that is too large to send."""
    if len(body) > LARGEST:
        raise Garbled(f"a message of {len(body)} bytes is too large to send: at most {LARGEST}")
    return len(body).to_bytes(_HEAD, "big") + body


class Frames:
    """Cuts a stream of bytes into bodies. Holds at most one unfinished frame."""

    def __init__(self, largest: int = LARGEST) -> None:
        self.largest = largest
        self._held = bytearray()
        self._wanted: int | None = None

    @property
    def unfinished(self) -> int:
        """Bytes that wait for the rest of their frame."""
        return len(self._held)

    def feed(self, untrusted_bytes: bytes) -> list[bytes]:
        """Take bytes, return the bodies that are complete. Raises Garbled for a length that may not be."""
        self._held += untrusted_bytes
        bodies: list[bytes] = []
        begin = 0
        while True:
            if self._wanted is None:
                if len(self._held) - begin < _HEAD:
                    break
                self._wanted = self._checked(int.from_bytes(self._held[begin : begin + _HEAD], "big"))
                begin += _HEAD
            if len(self._held) - begin < self._wanted:
                break
            bodies.append(bytes(self._held[begin : begin + self._wanted]))
            begin += self._wanted
            self._wanted = None
        del self._held[:begin]
        return bodies

    def _checked(self, length: int) -> int:
        if not 0 < length <= self.largest:
            raise Garbled(f"a frame of {length} bytes: at most {self.largest} are taken")
        return length
