"""What an agent answers is believed only where it can be so."""

import asyncio
import json
from typing import Any

import pytest

from tests.agent.fleet import Controller, shown, until
from tests.agent.gateway.byhand import heard, hello
from yamori.agent.protocol.channel import Channel
from yamori.agent.protocol.frames import frame
from yamori.agent.protocol.messages import Message, write
from yamori.agent.service.identity import Identity
from yamori.model.errors import Failed, Unreachable
from yamori.model.ids import HostId, VMId
from yamori.model.limits import LimitKind
from yamori.model.migration import Landing, StorageMode
from yamori.trust.ledger import RecordKind


class Liar:
    """An agent by hand that answers each call with what it is given."""

    def __init__(self, controller: Controller, identity: Identity) -> None:
        self._controller = controller
        self._identity = identity

    async def answer(self, *answers: Any) -> None:
        channel = await shown(self._controller.address, self._identity)
        self._send(channel, hello())
        held, left = b"", list(answers)
        try:
            while left:
                held += await channel.receive()
                while len(held) >= 4 and len(held) >= 4 + int.from_bytes(held[:4], "big"):
                    length = int.from_bytes(held[:4], "big")
                    message = json.loads(held[4 : 4 + length])
                    held = held[4 + length :]
                    if message["kind"] == "call":
                        value = left.pop(0)
                        told = {"kind": "answer", "id": message["id"], "value": value}
                        channel.send(frame(json.dumps(told).encode()))
            await heard(channel)
        finally:
            await channel.close()

    def _send(self, channel: Channel, message: Message) -> None:
        channel.send(frame(write(message)))


VM = {
    "id": "v1",
    "name": "n",
    "host": "elsewhere",
    "state": "running",
    "vcpus": 1,
    "memory_bytes": 1,
    "memory_max_bytes": 1,
}
HOST = {
    "id": "other-host",
    "name": "x",
    "hypervisor": "h",
    "hypervisor_version": "1",
    "cpus": 1,
    "memory_bytes": 1,
}
LIES: dict[str, list[Any]] = {
    "inventory": [
        None,
        "x",
        {"hosts": [], "vms": []},
        {"hosts": [HOST, HOST], "vms": []},
        {"hosts": [HOST], "vms": [VM, VM]},
        {"hosts": [HOST], "vms": [VM | {"id": "../../etc"}]},
        {"hosts": [HOST], "vms": [VM | {"vcpus": -1}]},
        {"hosts": [HOST], "vms": [VM | {"surprise": 1}]},
        {"hosts": [HOST], "vms": [VM | {"labels": {f"k{i}": "v" for i in range(300)}}]},
    ],
    "usage": [
        {},
        {
            "clock": "c",
            "read_at": 1.0,
            "vms": ["a"],
            "columns": ["running"],
            "values": "",
            "host_columns": [],
            "host_values": "",
        },
        {
            "clock": "c",
            "read_at": 1.0,
            "vms": ["a", "a"],
            "columns": [],
            "values": "",
            "host_columns": [],
            "host_values": "",
        },
        {
            "clock": "c",
            "read_at": "1",
            "vms": [],
            "columns": [],
            "values": "",
            "host_columns": [],
            "host_values": "",
        },
        {
            "clock": "c",
            "read_at": 1.0,
            "vms": [],
            "columns": [],
            "values": "AAAA" * 1000,
            "host_columns": [],
            "host_values": "",
        },
    ],
    "limits": [{"values": {"cpu_cap": -1}}, {"values": {"warp": 1}}, {"values": [], "unknown": {}}],
    "probe": [{"driver": "x"}, {"driver": "x", "hypervisor": "y", "cells": {"usage": {"level": "best"}}}],
    "set": [True, {}],
    "landing": [
        None,
        {"address": None},
        {"address": "10.0.0.1:49400"},
        {"address": "127.0.9.1:49400@10.0.0.1:1"},
        {"address": "127.0.9.1:80"},
        {"address": "127.0.9.1:49400", "uri": "xen+tcp://elsewhere/"},
    ],
    "start": [True, {}],
    "status": [
        {},
        {"phase": "arrived", "processed_bytes": 1, "error": None},
        {"phase": "running", "processed_bytes": -1, "error": None},
        {"phase": "running", "processed_bytes": 2**80, "error": None},
        {"phase": "running", "processed_bytes": True, "error": None},
        {"phase": "failed", "processed_bytes": 1, "error": "e" * 5000},
    ],
    "cancel": [True],
}


@pytest.mark.parametrize(
    ("what", "lie"), [(what, lie) for what, lies in LIES.items() for lie in lies], ids=lambda v: str(v)[:40]
)
async def test_an_answer_that_cannot_be_ends_the_connection_and_nothing_else(
    controller: Controller, what: str, lie: Any
) -> None:
    identity = await controller.enrolled()
    session = controller.session()
    lying = asyncio.create_task(Liar(controller, identity).answer(lie))
    await until(controller.connected)
    assert session.sensing.usage is not None
    assert session.sensing.limits is not None
    assert session.acting.limits is not None
    moves, watch = session.acting.migration, session.sensing.migration
    assert moves is not None
    assert watch is not None
    landing = Landing(host=HostId("b"), family="xen", uri="", address="127.0.9.1:49400", tls_name=None)
    ask = {
        "inventory": session.sensing.inventory.read,
        "usage": session.sensing.usage.read,
        "limits": lambda: session.sensing.limits.read(VMId("v1")),  # type: ignore[union-attr]
        "probe": session.probe,
        "landing": lambda: moves.landing(VMId("v1"), HostId("rack-a")),
        "start": lambda: moves.start(
            VMId("v1"), landing, storage=StorageMode.SHARED, bandwidth_bytes_s=None, key="k"
        ),
        "status": lambda: watch.status(VMId("v1")),
        "cancel": lambda: moves.cancel(VMId("v1")),
        "set": lambda: session.acting.limits.set(VMId("v1"), {LimitKind.CPU_CAP: 1.0}),  # type: ignore[union-attr]
    }[what]
    with pytest.raises(Failed, match="cannot be believed"):
        await ask()
    assert not controller.connected()
    await lying
    with pytest.raises(Unreachable):
        await session.probe()


async def test_a_host_speaks_for_itself_only(controller: Controller) -> None:
    identity = await controller.enrolled()
    hostile = VM | {"name": "a\x1b[31m\nb" + "c" * 500}
    lying = asyncio.create_task(Liar(controller, identity).answer({"hosts": [HOST], "vms": [hostile]}))
    await until(controller.connected)
    listing = await controller.session().sensing.inventory.read()
    lying.cancel()
    await asyncio.gather(lying, return_exceptions=True)
    assert [host.id for host in listing.hosts] == ["rack-a"]
    (vm,) = listing.vms
    assert vm.host == "rack-a"
    assert vm.name.isprintable()
    assert len(vm.name) <= 256


async def test_what_an_agent_says_at_its_end_is_not_put_on_the_ledger_as_our_refusal(
    controller: Controller,
) -> None:
    identity = await controller.enrolled()
    channel = await shown(controller.address, identity)
    channel.send(frame(write(hello())))
    await until(controller.connected)
    word = {"kind": "refusal", "code": "untrusted", "message": "the ledger\x1b[2J is mine", "mend": None}
    channel.send(frame(json.dumps(word).encode()))
    await until(lambda: not controller.connected())
    await heard(channel)
    await channel.close()
    (view,) = await controller.gateway.agents()
    assert view.error == "the ledger [2J is mine"
    assert await controller.records(RecordKind.AGENT_REFUSED) == []
