"""What happens on this endpoint's hosts, as it happens."""

from collections.abc import AsyncIterator

from yamori.drivers.simulator.connection import Connection
from yamori.model.change import Change
from yamori.model.errors import Unreachable


class SimulatorChanges:
    """The sensing capability ``changes``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def watch(self) -> AsyncIterator[Change]:
        """Tell changes until closed; ends with Unreachable when the line is cut or the reader lags too far."""
        connection = self._connection
        connection.check_open()
        watcher = connection.join()
        try:
            while True:
                while watcher.queue:
                    event = watcher.queue.popleft()
                    yield Change(
                        vm=connection.world.ids[event.row],
                        host=connection.host_ids[event.host],
                        kind=event.kind,
                        at=event.at,
                    )
                if watcher.broken:
                    raise Unreachable("the feed of changes has ended", subject=connection.endpoint)
                await watcher.bell.wait()
        finally:
            connection.leave(watcher)
