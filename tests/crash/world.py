"""A world outside the process: limits of VMs in a JSON file, every change counted. Replaced atomically."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

Json = dict[str, Any]


class World:
    def __init__(self, path: Path, point: Callable[[str], None] = lambda _: None) -> None:
        self._path = path
        self._point = point

    def read(self) -> Json:
        try:
            return dict(json.loads(self._path.read_text()))
        except FileNotFoundError:
            return {"limits": {}, "effects": []}

    def limits(self, vm: str) -> Json:
        return dict(self.read()["limits"].get(vm, {}))

    def set(self, vm: str, kind: str, value: float | None) -> None:
        """Bring about that a limit is so. Setting what is so already is no effect."""
        world = self.read()
        limits = world["limits"].setdefault(vm, {})
        if limits.get(kind) == value:
            return
        limits[kind] = value
        world["effects"].append([vm, kind, value])
        self._point("before effect")
        aside = self._path.with_suffix(f".{os.getpid()}")
        aside.write_text(json.dumps(world))
        aside.replace(self._path)
        self._point("after effect")
