"""Lifecycle and configuration events."""

from collections.abc import AsyncIterator
from typing import Protocol

from yamori.model.change import Change


class Changes(Protocol):
    """Promises: every change after the first step of iteration is told at least once, in order for each VM.

    The iterator ends with Unreachable when the connection is lost: the reader lists afresh and watches again.
    """

    def watch(self) -> AsyncIterator[Change]:
        """Tell changes until closed."""
        ...
