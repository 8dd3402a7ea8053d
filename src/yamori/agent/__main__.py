"""`python -m yamori.agent COMMAND`: as `yamori agent …`, but it starts faster on a small machine."""

import argparse
import json
import sys
from pathlib import Path

from yamori.agent import program
from yamori.model.errors import Defect, YamoriError

_PLAIN = {"status": program.status, "prepare": program.prepare, "let-go": program.let_go}


def main() -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m yamori.agent", description=__doc__)
    parser.add_argument("command", choices=("run", "enrol", "status", "prepare", "let-go"))
    parser.add_argument("--config", type=Path, help="the agent's file; left out: /etc/yamori/agent.yaml, if any")
    parser.add_argument("--controller", help="HOST:PORT, for enrol")
    parser.add_argument(
        "--token", help="what yamori agent token NAME printed, for enrol; - reads it from standard input"
    )
    asked = parser.parse_args()
    if asked.command == "enrol" and (asked.controller is None or asked.token is None):
        parser.error("enrol needs --controller and --token")
    try:
        if asked.command == "run":
            program.run(asked.config)
        elif asked.command == "enrol":
            token = sys.stdin.readline() if asked.token == "-" else asked.token  # noqa: S105  no password
            told = program.enrol(asked.config, controller=asked.controller, token=token)
            sys.stdout.write(json.dumps(told) + "\n")
        else:
            told = _PLAIN[asked.command](asked.config)
            sys.stdout.write(json.dumps(told) + "\n")
    except Defect:
        raise
    except YamoriError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
