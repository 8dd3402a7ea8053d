"""`python -m yamori.agent.passage FILE`: carry memory streams between hosts, as the YAML in FILE says."""

import asyncio
import logging
import signal
import sys
from pathlib import Path

from yamori.agent.passage.passage import Passage
from yamori.agent.passage.settings import PassageSettings
from yamori.policy.document import parse


async def run(settings: PassageSettings) -> None:
    """Carry until told to stop by a signal."""
    passage = Passage(settings)
    await passage.open()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    loop.add_signal_handler(signal.SIGUSR1, lambda: loop.create_task(passage.break_off()))
    logging.getLogger(__name__).info("listening on %s port %d", settings.listen, settings.port)
    await stopped.wait()
    await passage.close()


def main() -> int:
    """Read the settings and carry."""
    if len(sys.argv) != 2:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    path = Path(sys.argv[1])
    document = parse(path.read_bytes(), str(path))
    document.refuse_nothing()
    asyncio.run(run(document.validate(PassageSettings)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
