"""Gives lives to controllers: a process with one thread that forks them, so that each begins in milliseconds.

Speaks JSON lines: in ``[FUNCTION, ARGUMENTS]``; out ``[PID]`` at once, then ``[WAIT STATUS, RESULT]``. Functions
are those of ``LIVES``.
"""

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class Nursery:
    """The parent's end."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def live(self, function: str, *arguments: Any) -> tuple[int, Any]:
        """Give a life and wait for its end. Returns minus the signal, or the exit code, and the result."""
        self.begin(function, *arguments)
        return self.end()

    def begin(self, function: str, *arguments: Any) -> int:
        """Give a life; return its process id."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([function, arguments]) + "\n")
        self._process.stdin.flush()
        return int(self._read()[0])

    def end(self) -> tuple[int, Any]:
        """Wait for the end of the life given last."""
        status, result = self._read()
        return os.waitstatus_to_exitcode(status), result

    def _read(self) -> list[Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the nursery is gone"
        return list(json.loads(line))


@contextmanager
def nursery() -> Iterator[Nursery]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.crash.nursery"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Nursery(process)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.wait(60)
        process.stdout.close()


def _serve() -> None:
    from tests.crash import lives

    for line in sys.stdin:
        function, arguments = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            try:
                result = lives.LIVES[function](*arguments)
                os.write(writing, json.dumps(result).encode())
                os._exit(0)
            except BaseException:  # noqa: BLE001 -- a forked child must never return into its parent's loop
                traceback.print_exc()
            os._exit(1)
        os.close(writing)
        _say([child])
        with os.fdopen(reading, "rb") as pipe:
            content = pipe.read()
        _, status = os.waitpid(child, 0)
        _say([status, json.loads(content) if content else None])


def _say(answer: list[Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _serve()
