"""Developer's entry: ``python -m yamori.lab up|down|status|leftovers NAME``; ``yamori lab`` is the operator's."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time

from yamori.lab.lab import Lab, clear_lab
from yamori.lab.leftovers import find_leftovers, status
from yamori.lab.spec import Accelerator, LabSpec
from yamori.model.errors import YamoriError


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m yamori.lab", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up", help="make a lab that stays until it is taken down")
    up.add_argument("name")
    up.add_argument("--hosts", type=int, default=2)
    up.add_argument("--guests", type=int, default=4, help="guests per host")
    up.add_argument("--memory", type=int, default=640, help="MiB per guest")
    up.add_argument("--accelerator", choices=[str(choice) for choice in Accelerator], default="auto")
    for verb in ("down", "config"):
        verbs.add_parser(verb).add_argument("name")
    verbs.add_parser("status")
    verbs.add_parser("leftovers")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


async def _run(arguments: argparse.Namespace) -> object:
    if arguments.verb == "up":
        begun = time.monotonic()
        spec = LabSpec(
            name=arguments.name,
            hosts=arguments.hosts,
            guests_per_host=arguments.guests,
            guest_memory_mib=arguments.memory,
            accelerator=Accelerator(arguments.accelerator),
            detached=True,
        )
        lab = await Lab.up(spec, progress=lambda text: _say(f"{time.monotonic() - begun:6.1f} s  {text}"))
        return lab.fleet_config()
    if arguments.verb == "down":
        return (await clear_lab(arguments.name)).as_record()
    if arguments.verb == "config":
        return Lab.open(arguments.name).fleet_config()
    if arguments.verb == "status":
        return [entry.as_record() for entry in status()]
    return [entry.as_record() for entry in find_leftovers()]


def main() -> int:
    """Run one verb; 0 when it was done."""
    try:
        sys.stdout.write(json.dumps(asyncio.run(_run(_parse())), indent=2) + "\n")
    except YamoriError as error:
        _say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        _say("interrupted; what was made is cleared")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
