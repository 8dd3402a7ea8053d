# ruff: noqa: T201 -- answers are told on standard output
"""Played in a dom0 of the lab by the agent's own functions: one JSON line of answers for each line of orders.

Orders: {"set": [vm, {kind: value}, lapse or null]}, {"limits": vm}, {"usage": seconds}, {"probe": null}.
"""

import asyncio
import json
import sys

from yamori.agent.functions import HostSettings, open_host
from yamori.capabilities.sensing.usage import Column, UsageFrame
from yamori.capabilities.session import Session
from yamori.model.errors import YamoriError
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind


def plain(frame: UsageFrame) -> dict[str, dict[str, float | None]]:
    return {
        vm: {c.name: None if v != v else v for c, v in zip(Column, row, strict=True)}
        for vm, row in zip(frame.vms, frame.values.tolist(), strict=True)
    }


async def obey(session: Session, order: dict[str, object]) -> object:
    assert session.acting.limits is not None
    assert session.sensing.limits is not None
    assert session.sensing.usage is not None
    match order:
        case {"set": [str(vm), dict(limits), lapse]}:
            wanted = {LimitKind(kind): value for kind, value in limits.items()}
            await session.acting.limits.set(VMId(vm), wanted, lapse_s=lapse)
            return None
        case {"limits": str(vm)}:
            held = await session.sensing.limits.read(VMId(vm))
            return {kind.value: value for kind, value in held.values.items()}
        case {"usage": float(seconds) | int(seconds)}:
            before = await session.sensing.usage.read()
            await asyncio.sleep(seconds)
            after = await session.sensing.usage.read()
            elapsed = float(after.read_at[0] - before.read_at[0])
            return {"elapsed": elapsed, "before": plain(before), "after": plain(after)}
        case {"probe": None}:
            return {name: [cell.level.value, cell.reason] for name, cell in (await session.probe()).cells.items()}
    raise ValueError(order)


async def main(state_dir: str) -> None:
    session = await open_host(HostSettings(state_dir=state_dir))
    for line in sys.stdin:
        order = json.loads(line)
        try:
            print(json.dumps({"answer": await obey(session, order)}), flush=True)
        except YamoriError as error:
            print(json.dumps({"error": error.code, "words": str(error)}), flush=True)
    await session.close()


asyncio.run(main(sys.argv[1]))
