"""What the reading routes answer."""

import dataclasses
import json
import math
from typing import Any

import httpx
import jsonschema
import pytest

from tests.web import scene
from tests.web.fake_facade import FakeFacade
from yamori.control.facade import Served, Standing
from yamori.model.errors import Invalid
from yamori.model.sla import Objective
from yamori.web.answer import shown
from yamori.web.api.table import PREFIX, ROUTES, Route

PARTS = {"{vm}": scene.vm_id(3), "{run}": "run-0007", "{finding}": "finding-0004"}
READING = [r for r in ROUTES.values() if not r.writes and r.name != "events"]


def path_of(route: Route) -> str:
    path = route.full_path
    for part, value in PARTS.items():
        path = path.replace(part, value)
    return path


@pytest.mark.parametrize("route", READING, ids=lambda r: r.name)
async def test_every_reading_route_answers_as_its_description_says(api: httpx.AsyncClient, route: Route) -> None:
    described = (await api.get(f"{PREFIX}/openapi.json")).json()
    told = described["paths"][route.full_path]["get"]["responses"]["200"]
    schema = {**told["content"]["application/json"]["schema"], "components": described["components"]}
    answer = await api.get(path_of(route))
    assert answer.status_code == 200, answer.text
    jsonschema.validate(answer.json(), schema)


async def test_a_vm_is_found_by_id_and_by_name_and_has_its_standing(api: httpx.AsyncClient) -> None:
    by_id = (await api.get(f"{PREFIX}/vms/{scene.vm_id(1)}")).json()
    by_name = (await api.get(f"{PREFIX}/vms/web-2")).json()
    assert by_id == by_name
    assert by_name["standing"] == "broken"


async def test_a_name_of_two_vms_is_a_conflict_that_says_what_to_do(
    api: httpx.AsyncClient, facade: FakeFacade
) -> None:
    view = scene.views()[0]
    facade.put(dataclasses.replace(view, vm=dataclasses.replace(view.vm, id=scene.vm_id(99))))
    answer = await api.get(f"{PREFIX}/vms/web-1")
    assert answer.status_code == 409
    assert answer.json()["error"]["mend"] == "use the id"


async def test_pages_of_vms_join_to_the_whole_without_gap_or_overlap(api: httpx.AsyncClient) -> None:
    seen: list[str] = []
    after: int | None = 0
    while after is not None:
        page = (await api.get(f"{PREFIX}/vms", params={"after": after, "limit": 5})).json()
        assert page["total"] == len(scene.ROWS)
        seen += [v["vm"]["id"] for v in page["items"]]
        after = page["next"]
    assert sorted(seen) == sorted(scene.vm_id(n) for n in range(len(scene.ROWS)))


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"standing": "broken"}, {"web-2"}),
        ({"standing": "unknown"}, {"git"}),
        ({"held": "true"}, {"batch-7"}),
        ({"search": "TENANT=shop"}, {"web-1", "web-2", "shop-db"}),
        ({"host": "rack-a", "search": "web"}, {"web-1", "web-2"}),
        ({"host": "nowhere"}, set()),
        ({"id": [scene.vm_id(1), scene.vm_id(4), "gone"]}, {"web-2", "mail"}),
    ],
)
async def test_vms_are_chosen_by_what_is_asked(
    api: httpx.AsyncClient, query: dict[str, Any], names: set[str]
) -> None:
    items = (await api.get(f"{PREFIX}/vms", params=query)).json()["items"]
    assert {v["vm"]["name"] for v in items} == names


async def test_what_is_not_a_number_is_null_never_zero(api: httpx.AsyncClient, facade: FakeFacade) -> None:
    view = scene.views()[0]
    broken = Served(objective=Objective.CPU_DELAY, value=math.inf, bound=math.nan, standing=Standing.UNKNOWN)
    rates = {**view.rates, "cpu_cores": math.nan}
    facade.put(dataclasses.replace(view, rates=rates, served=(broken,)))
    answer = await api.get(f"{PREFIX}/vms/{view.vm.id}")
    found = json.loads(answer.text, parse_constant=_refuse)
    assert found["rates"]["cpu_cores"] is None
    assert found["served"][0]["value"] is None
    fleet = (await api.get(f"{PREFIX}/fleet")).text
    json.loads(fleet, parse_constant=_refuse)


def _refuse(word: str) -> Any:
    raise AssertionError(f"{word} in JSON")


def test_a_value_without_a_plain_form_is_our_defect_not_the_callers_fault() -> None:
    with pytest.raises(Exception, match="cannot be written") as caught:
        shown({"x": object()})
    assert not isinstance(caught.value, Invalid)


async def test_waiting_for_a_run_that_has_ended_returns_it(api: httpx.AsyncClient) -> None:
    answer = await api.get(f"{PREFIX}/runs/run-0007/wait")
    assert answer.json()["state"] == "verified"


async def test_waiting_is_bounded_and_then_shows_the_run_as_it_is(
    api: httpx.AsyncClient, facade: FakeFacade
) -> None:
    run = await facade.run(scene.runs()[0].id)
    facade._runs[run.id] = dataclasses.replace(run, state=type(run.state).APPLYING)
    answer = await api.get(f"{PREFIX}/runs/{run.id}/wait", params={"timeout_s": 0})
    assert answer.json()["state"] == "applying"


async def test_limits_are_read_back_with_what_is_unknown_and_why(api: httpx.AsyncClient) -> None:
    found = (await api.get(f"{PREFIX}/vms/batch-7/limits")).json()
    assert found["limits"]["values"]["cpu_cap"] == 0.35
    assert found["limits"]["unknown"]["net_in"]
    assert "net_in" not in found["settable"]
    refused = await api.get(f"{PREFIX}/vms/git/limits")
    assert refused.status_code == 422
    assert refused.json()["error"]["code"] == "unsupported"


async def test_an_endpoint_that_was_never_reached_has_no_matrix(api: httpx.AsyncClient) -> None:
    found = (await api.get(f"{PREFIX}/support")).json()
    assert found["endpoints"]["rack-c"] is None
    assert set(found["endpoints"]["rack-a"]["cells"]) == set(found["features"])
    hosts = found["endpoints"]["rack-b"]["hosts"]
    assert set(hosts["rack-b/old"]["cells"]) == {"limits.memory"}
    assert hosts["rack-b/new"] == {"hypervisor": "QEMU 7.2.0", "cells": {}}


async def test_open_findings_only_when_asked(api: httpx.AsyncClient) -> None:
    every = (await api.get(f"{PREFIX}/findings")).json()["items"]
    opened = (await api.get(f"{PREFIX}/findings", params={"open": "true"})).json()["items"]
    assert {f["id"] for f in every} == {"finding-0004", "finding-0003"}
    assert {f["id"] for f in opened} == {"finding-0004"}


async def test_health_tells_nobody_more_than_that_it_is_up(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get(f"{PREFIX}/health")
    assert answer.json() == {"status": "up"}
    assert "1.2.3" not in answer.text + str(answer.headers)
