"""Frames: bytes in any portions give the same bodies; a length that may not be ends it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yamori.agent.protocol.frames import LARGEST, Frames, Garbled, frame

BODIES = st.lists(st.binary(min_size=1, max_size=200), max_size=8)


@given(BODIES, st.data())
def test_bodies_come_out_as_they_went_in_however_the_bytes_are_cut(
    bodies: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(frame(body) for body in bodies)
    frames, found = Frames(), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        found += frames.feed(stream[:cut])
        stream = stream[cut:]
    assert found == bodies
    assert frames.unfinished == 0


@pytest.mark.parametrize("length", [0, LARGEST + 1, 2**32 - 1])
def test_a_length_that_may_not_be_is_refused_before_anything_is_held(length: int) -> None:
    frames = Frames()
    with pytest.raises(Garbled):
        frames.feed(length.to_bytes(4, "big") + b"x" * 100)


def test_what_is_too_large_is_not_sent() -> None:
    with pytest.raises(Garbled):
        frame(b"x" * (LARGEST + 1))
