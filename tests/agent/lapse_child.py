# ruff: noqa: T201 -- what was acknowledged is told on standard output
"""A short life of an agent that is killed at one point: python -m tests.agent.lapse_child FOLDER POINT.

What the hypervisor holds lies in world.json of the folder, so that it outlives the agent. Points are counted
before and after every write to the disk and every change of the world. Prints each deed that was acknowledged.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.agent.lapse_world import CAP, IOPS, VM_A, WEIGHT, World
from yamori.agent import lapse_file
from yamori.agent.lapse import LapsingLimits


class Death:
    def __init__(self, point: int) -> None:
        self.left = point

    def near(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def deadly(*args: Any, **kwargs: Any) -> Any:
            self.near()
            result = real(*args, **kwargs)
            self.near()
            return result

        return deadly


class LastingWorld(World):
    def __init__(self, folder: Path, death: Death | None = None) -> None:
        super().__init__()
        self._path = folder / "world.json"
        self._death = death
        if self._path.exists():
            told = json.loads(self._path.read_text())
            self.held[VM_A] |= {kind: told[kind.value] for kind in self.held[VM_A]}

    async def set(self, vm: Any, limits: Any, *, lapse_s: float | None = None) -> None:
        if self._death is not None:
            self._death.near()
        await super().set(vm, limits, lapse_s=lapse_s)
        aside = self._path.with_suffix(".new")
        with aside.open("w") as file:
            json.dump(self.held[VM_A], file)
        aside.rename(self._path)
        if self._death is not None:
            self._death.near()


async def live(folder: Path, death: Death) -> None:
    world = LastingWorld(folder, death)
    lapsing = LapsingLimits(world, world, folder / "lapses.json", clock=lambda: 1000.0, boot="this")
    await lapsing.load()
    await lapsing.set(VM_A, {WEIGHT: 2.0})
    print("weight", flush=True)
    await lapsing.set(VM_A, {CAP: 0.5, IOPS: 100.0}, lapse_s=60)
    await lapsing.set(VM_A, {CAP: 0.25}, lapse_s=90)
    await lapsing.set(VM_A, {WEIGHT: 0.5}, lapse_s=60)
    await lapsing.set(VM_A, {IOPS: 40.0})
    print("iops", flush=True)
    await lapsing.set(VM_A, {CAP: 0.75}, lapse_s=30)
    await lapsing.set(VM_A, {WEIGHT: 2.0})
    print("done", flush=True)


def main() -> None:
    folder, death = Path(sys.argv[1]), Death(int(sys.argv[2]))
    real_write = os.write

    def torn(handle: int, content: bytes) -> int:
        return real_write(handle, content[: len(content) // 2 + 1])  # the kernel may write less than it was given

    lapse_file.os.write = death.around(torn)  # type: ignore[attr-defined]
    lapse_file.os.fsync = death.around(os.fsync)  # type: ignore[attr-defined]
    Path.replace = death.around(Path.replace)  # type: ignore[method-assign]
    asyncio.run(live(folder, death))


if __name__ == "__main__":
    main()
