"""The benchmark of one reading, small: it runs with each driver, counts calls and speaks JSON."""

import json
from pathlib import Path

import pytest

from yamori.bench import BENCHES
from yamori.bench.__main__ import table


@pytest.mark.parametrize("driver", sorted(BENCHES["collect"].drivers))
def test_one_reading_is_measured_beside_asking_vm_by_vm(driver: str, vcenter_program: Path) -> None:
    result = BENCHES["collect"].drivers[driver](0.01, lambda _text: None)
    told = json.loads(json.dumps(dict(result.json)))
    assert (told["bench"], told["driver"], told["vms"]) == ("collect", driver, 10)
    assert result.title in table(result)
    ours = told["ways"]["ours"]
    assert ours["wall_s"] > 0
    if driver == "simulator":
        return
    assert ours["calls"] <= 4
    assert told["ways"]["one_by_one"]["calls"] >= 20
    assert told["one_by_one_over_ours"]["calls"] > 1
