"""In a real dom0: what the agent's functions set holds, by effect, and what they count is so."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab_session import why_not
from yamori.lab.attack import AttackKind
from yamori.lab.lab import Lab, clear_lab
from yamori.lab.spec import LabSpec
from yamori.lab.xen.host import XenHost
from yamori.model.errors import YamoriError

pytestmark = [pytest.mark.lab, pytest.mark.xen, pytest.mark.full, pytest.mark.timeout(900)]
PROGRAM = Path(__file__).with_name("xen_program.py")
CAP, WEIGHT = "cpu_cap", "cpu_weight"
VALUES = {
    CAP: (0.5, 0.25),
    WEIGHT: (0.5, 2.0),
    "disk_iops": (200.0, 101.0),
    "disk_bandwidth": (8e6, 4e6),
    "net_in": (2_048_000.0, 1_024_001.0),
    "net_out": (2_048_000.0, 1_024_001.0),
}


@pytest.fixture(scope="module")
def xen_lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    present = request.config.getoption("--lab")
    if present is not None:
        yield Lab.open(present)
        return
    reason = why_not()
    if reason is not None:
        pytest.skip(f"NO LAB ON THIS MACHINE: {reason}")
    name = f"testx-{os.getpid()}"
    try:
        made = asyncio.run(Lab.up(LabSpec(name=name, hosts=0, xen_hosts=1, xen_guests_per_host=2)))
    except YamoriError as error:
        pytest.skip(f"NO XEN ON THIS MACHINE: {error}")
    try:
        yield made
    finally:
        asyncio.run(clear_lab(name))


@pytest.fixture(scope="module")
def dom0(xen_lab: Lab) -> XenHost:
    host = xen_lab.xen_host(xen_lab.spec.xen_host_names()[0])
    host.refresh_source()
    host.put("/root/xen_program.py", PROGRAM.read_bytes())
    host.run(["mkdir", "-p", "/root/state"])
    return host


def ask(dom0: XenHost, *orders: dict[str, Any]) -> list[dict[str, Any]]:
    lines = "".join(json.dumps(order) + "\n" for order in orders).encode()
    told = dom0.run(["python3", "/root/xen_program.py", "/root/state"], timeout_seconds=300, stdin=lines)
    answers = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    assert len(answers) == len(orders), told[-2000:]
    return answers


@pytest.fixture
def vms(xen_lab: Lab) -> tuple[str, str]:
    plans = [plan for plan in xen_lab.spec.guests() if plan.host == xen_lab.spec.xen_host_names()[0]]
    return plans[0].uuid, plans[1].uuid


def rate(answer: dict[str, Any], vm: str, column: str) -> float:
    told = answer["answer"]
    return float((told["after"][vm][column] - told["before"][vm][column]) / told["elapsed"])


def test_the_agent_offers_what_xen_lacks(dom0: XenHost) -> None:
    (answer,) = ask(dom0, {"probe": None})
    cells = answer["answer"]
    claimed = {name for name, (level, _) in cells.items() if level == "agent"}
    counted = {
        "usage",
        *(f"usage.{part}" for part in ("cpu_delay", "memory_resident", "net_drops", "disk_latency")),
    }
    assert claimed >= {f"limits.{kind}" for kind in VALUES} | counted | {"limits.expiry"}, cells


def test_what_is_set_is_read_back_and_lifting_leaves_nothing(dom0: XenHost, vms: tuple[str, str]) -> None:
    vm = vms[0]
    links = dom0.run(["ip", "-br", "link"])
    orders: list[dict[str, Any]] = []
    for kind, values in VALUES.items():
        for value in values:
            orders += [{"set": [vm, {kind: value}, None]}, {"limits": vm}]
    orders += [{"set": [vm, dict.fromkeys(VALUES), None]}, {"limits": vm}]
    answers = ask(dom0, *orders)
    assert not [answer for answer in answers if "error" in answer]
    at = 1
    for kind, values in VALUES.items():
        for value in values:
            assert answers[at]["answer"][kind] == pytest.approx(value, rel=0.001)
            at += 2
    assert set(answers[-1]["answer"].values()) == {None}
    assert dom0.run(["sh", "-c", "find /sys/fs/cgroup/yamori -mindepth 1 -type d"]).strip() == ""
    assert dom0.run(["ip", "-br", "link"]) == links
    assert "5941:" not in dom0.run(["tc", "qdisc", "show"])


async def test_a_burner_keeps_to_its_cap_and_its_neighbour_waits_less(
    xen_lab: Lab, dom0: XenHost, vms: tuple[str, str]
) -> None:
    names = [plan.name for plan in xen_lab.spec.guests() if plan.uuid in vms]
    for name in names:
        await xen_lab.attack(name, AttackKind.CPU, seconds=240)
    try:
        hog, neighbour = vms
        free, _, held, _ = await asyncio.to_thread(
            ask,
            dom0,
            {"usage": 8},
            {"set": [hog, {CAP: 0.25}, None]},
            {"usage": 10},
            {"set": [hog, {CAP: None}, None]},
        )
    finally:
        for name in names:
            await xen_lab.stop_attack(name)
    assert rate(free, hog, "CPU_TIME") > 0.3
    assert rate(held, hog, "CPU_TIME") == pytest.approx(0.25, abs=0.05)
    for vm in vms:  # a burner either runs or waits
        assert rate(free, vm, "CPU_TIME") + rate(free, vm, "CPU_DELAY") == pytest.approx(1.0, abs=0.25)
    assert rate(held, neighbour, "CPU_DELAY") < rate(free, neighbour, "CPU_DELAY")


async def test_a_disk_flood_keeps_to_its_bound(xen_lab: Lab, dom0: XenHost, vms: tuple[str, str]) -> None:
    name = next(plan.name for plan in xen_lab.spec.guests() if plan.uuid == vms[0])
    await xen_lab.attack(name, AttackKind.DISK, seconds=240)
    try:
        free, _, _, held, _, back = await asyncio.to_thread(
            ask,
            dom0,
            {"usage": 6},
            {"set": [vms[0], {"disk_iops": 40.0}, None]},
            {"usage": 3},
            {"usage": 8},
            {"set": [vms[0], {"disk_iops": None}, None]},
            {"usage": 6},
        )
    finally:
        await xen_lab.stop_attack(name)

    def operations(answer: dict[str, Any]) -> float:
        return rate(answer, vms[0], "DISK_READ_OPS") + rate(answer, vms[0], "DISK_WRITE_OPS")

    assert operations(free) > 80
    assert operations(held) <= 40 * 1.4
    assert operations(back) > operations(free) / 2


def test_a_limit_ends_by_itself_in_the_agent_s_next_life(dom0: XenHost, vms: tuple[str, str]) -> None:
    set_for_a_second, held = ask(dom0, {"set": [vms[0], {CAP: 0.5}, 8.0]}, {"limits": vms[0]})
    assert set_for_a_second == {"answer": None}
    assert held["answer"][CAP] == 0.5
    _, after = ask(dom0, {"usage": 9}, {"limits": vms[0]})
    assert after["answer"][CAP] is None
