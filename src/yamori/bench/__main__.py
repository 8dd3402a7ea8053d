"""Runs one benchmark from the shell: ``python -m yamori.bench NAME [--json] [--scale X] [--data FOLDER]``."""

import argparse
import json
import os
import sys

from yamori.bench import BENCHES
from yamori.bench.choice import chosen
from yamori.bench.result import BenchResult
from yamori.model.errors import Invalid, NotFound


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m yamori.bench")
    parser.add_argument("name", choices=sorted(BENCHES))
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--scale", type=float, default=1.0, help="1.0 is the full size")
    parser.add_argument("--data", help="folder with the real series and traces")
    parser.add_argument("--driver", help="measure one driver alone, where the benchmark can")
    parser.add_argument("--guests", type=int, help="how many real VMs, where --driver is a real hypervisor")
    parser.add_argument("--lab", help="measure in this lab, which is up, instead of making one")
    options = parser.parse_args()
    if options.data:
        os.environ["YAMORI_DATA"] = options.data
    bench = BENCHES[options.name]
    try:
        run = chosen(bench, driver=options.driver, scale=options.scale, guests=options.guests, lab=options.lab)
    except (NotFound, Invalid) as error:
        parser.error(str(error))
    result = run(lambda text: print(text, file=sys.stderr))  # noqa: T201
    print(json.dumps(dict(result.json), indent=1) if options.json else table(result))  # noqa: T201
    return 0


def table(result: BenchResult) -> str:
    """Lay out rows as aligned text."""
    widths = [max(len(row[i]) for row in result.rows) for i in range(len(result.rows[0]))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in result.rows]
    return "\n".join([result.title, "", *lines, "", *result.notes])


if __name__ == "__main__":
    sys.exit(main())
