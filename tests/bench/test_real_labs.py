"""The benchmark of one reading on real hypervisors, small: calls are counted, the lab is gone afterwards."""

import json

import pytest

from tests.lab_session import why_not
from yamori.bench import BENCHES
from yamori.bench.__main__ import table
from yamori.bench.result import LabWish
from yamori.lab.leftovers import status

pytestmark = [pytest.mark.lab, pytest.mark.skipif(why_not() is not None, reason=f"NO LAB: {why_not()}")]


def measured(driver: str, guests: int) -> dict[str, object]:
    told: list[str] = []
    result = BENCHES["collect"].labs[driver](LabWish(scale=0.1, guests=guests), told.append)
    name = next(text.removeprefix("collect: lab ") for text in told if text.startswith("collect: lab bench-"))
    assert name not in {entry.name for entry in status()}
    assert result.title in table(result)
    found: dict[str, object] = json.loads(json.dumps(dict(result.json)))
    assert (found["driver"], found["vms"]) == (driver, guests)
    return found


def check(told: dict[str, object], *, calls: int) -> None:
    """Our calls are the same whatever the number of VMs; the exporters' grow with it."""
    sizes = told["sizes"]
    assert isinstance(sizes, list)
    whole, half = sizes
    assert half["vms"] == whole["vms"] // 2
    for size in sizes:
        assert size["ways"]["ours"]["calls"] == calls
        assert all(way["wall_s"] > 0 and way["cpu_s"] > 0 for way in size["ways"].values())
        assert size["ways"]["one_by_one"]["calls"] >= 1 + 3 * size["vms"]
    assert whole["one_by_one_over_ours"]["calls"] > half["one_by_one_over_ours"]["calls"]


@pytest.mark.timeout(600)
def test_a_qemu_host_is_read_with_two_calls_however_many_vms_it_has() -> None:
    check(measured("libvirt-qemu", 2), calls=2)


@pytest.mark.xen
@pytest.mark.full
@pytest.mark.timeout(1800)
def test_a_xen_host_is_read_with_one_call_over_its_agents_line() -> None:
    check(measured("xen", 2), calls=1)
