"""Start, stop, pause, resume, reset."""

from yamori.model.ids import VMId
from yamori_toybox.connection import Connection
from yamori_toybox.translate import serial


class ToyboxPower:
    """The capability ``power``. Each verb names the states from which the box may come to the wanted one."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def start(self, vm: VMId) -> None:
        await self._connection.call(lambda box: box.switch(serial(vm), "on", ("off",)))

    async def stop(self, vm: VMId, *, force: bool = False) -> None:
        allowed = ("on", "frozen") if force else ("on",)
        await self._connection.call(lambda box: box.switch(serial(vm), "off", allowed))

    async def pause(self, vm: VMId) -> None:
        await self._connection.call(lambda box: box.switch(serial(vm), "frozen", ("on",)))

    async def resume(self, vm: VMId) -> None:
        await self._connection.call(lambda box: box.switch(serial(vm), "on", ("frozen",)))

    async def reset(self, vm: VMId) -> None:
        await self._connection.call(lambda box: box.press_reset(serial(vm)))
