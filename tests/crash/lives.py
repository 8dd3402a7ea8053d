"""What a child of the nursery can do with its life."""

from collections.abc import Callable
from typing import Any

from tests.crash.controller import STORIES, one_life


def story(state: str, world: str, name: str, kill_at: int) -> int:
    return one_life(state, world, STORIES[name], kill_at)


LIVES: dict[str, Callable[..., Any]] = {"story": story}
