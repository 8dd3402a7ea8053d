"""libvirt's objects as a benchmark hands them on: every call that goes to libvirt is counted."""

from collections.abc import Callable
from typing import Any

from yamori.drivers.libvirt.connection import Connection
from yamori.drivers.libvirt.settings import LibvirtSettings


class Counted:
    """One of libvirt's objects; ``count`` is told of every call of a method."""

    def __init__(self, what: Any, count: Callable[[], None]) -> None:
        self._what = what
        self._count = count

    def __getattr__(self, name: str) -> Any:
        self._count()
        return getattr(self._what, name)


class CountingConnection:
    """All of a connection that reading usage needs, with a count. ``seconds`` is what a call may take."""

    def __init__(self, connection: Connection, *, seconds: float | None = None) -> None:
        self._connection = connection
        self._seconds = seconds
        self._calls = 0

    @property
    def settings(self) -> LibvirtSettings:
        """The connection's."""
        return self._connection.settings

    def calls(self) -> int:
        """How many calls of libvirt were made."""
        return self._calls

    def count(self) -> None:
        """One more."""
        self._calls += 1

    async def call(self, job: Callable[[Any], Any], *, capability: str) -> Any:
        """Run a job with libvirt's connection, as the driver's own connection does. Raises what that raises."""
        return await self._connection.call(
            lambda link: job(Counted(link, self.count)), capability=capability, seconds=self._seconds
        )
