"""Metrics for Prometheus: honest about what is unknown, bounded in number."""

import dataclasses
from collections.abc import Iterator

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.web import scene
from tests.web.fake_facade import FakeFacade
from tests.web.test_overview import crowd
from yamori.web.metrics import exposition


def samples(text: str, metric: str) -> Iterator[Sample]:
    for family in text_string_to_metric_families(text):
        yield from (s for s in family.samples if s.name == metric)


def only(text: str, metric: str, **labels: str) -> float:
    (found,) = (s.value for s in samples(text, metric) if labels.items() <= s.labels.items())
    return found


async def test_metrics_need_the_token(anonymous: httpx.AsyncClient) -> None:
    assert (await anonymous.get("/metrics")).status_code == 401


async def test_what_is_known_has_a_sample_and_what_is_unknown_has_none(api: httpx.AsyncClient) -> None:
    answer = await api.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    text = answer.text
    assert only(text, "yamori_endpoint_up", endpoint="rack-a") == 1
    assert only(text, "yamori_endpoint_up", endpoint="rack-c") == 0
    assert only(text, "yamori_vms", standing="broken") == 1
    assert only(text, "yamori_vms", standing="unknown") == 1
    assert only(text, "yamori_vms_held") == 1
    assert only(text, "yamori_vm_held", name="batch-7") == 1
    assert only(text, "yamori_findings_open", severity="high") == 1
    assert only(text, "yamori_runs", state="abandoned") == 1
    assert only(text, "yamori_vm_objective_broken", name="web-2", objective="cpu_delay") == 1
    assert only(text, "yamori_vm_objective_broken", name="web-1", objective="cpu_delay") == 0
    assert not [s for s in samples(text, "yamori_vm_objective_broken") if s.labels["name"] == "git"]
    assert not [s for s in samples(text, "yamori_vm_cpu_cores") if s.labels["name"] == "backup"]


async def test_a_hostile_name_is_only_a_label(api: httpx.AsyncClient, facade: FakeFacade) -> None:
    view = scene.views()[0]
    name = 'x"} 1\nyamori_vms_held 99\n{"\\' + "y" * 300
    facade.put(dataclasses.replace(view, vm=dataclasses.replace(view.vm, name=name)))
    text = (await api.get("/metrics")).text
    assert only(text, "yamori_vms_held") == 1
    (label,) = {s.labels["name"] for s in samples(text, "yamori_vm_held") if s.labels["vm"] == view.vm.id}
    assert label == name[:128]


async def test_the_number_of_series_is_bounded_and_what_is_left_out_is_counted() -> None:
    text = (await exposition(FakeFacade(crowd(300)), wrong_tokens=3, most_vms=100)).decode()
    assert only(text, "yamori_metrics_vms_left_out") == 200
    assert sum(s.value for s in samples(text, "yamori_vms")) == 300
    assert len({s.labels["vm"] for s in samples(text, "yamori_vm_held")}) == 100
    assert only(text, "yamori_wrong_tokens") == 3


async def test_wrong_tokens_are_counted(api: httpx.AsyncClient) -> None:
    await api.get("/metrics", headers={"Authorization": "Bearer wrong"})
    assert only((await api.get("/metrics")).text, "yamori_wrong_tokens") == 1


async def test_agents_are_counted_and_the_end_of_their_certificates_told(api: httpx.AsyncClient) -> None:
    text = (await api.get("/metrics")).text
    assert only(text, "yamori_agents_enrolled") == 2
    assert only(text, "yamori_agents_connected") == 1
    assert only(text, "yamori_agent_connected", agent="rack-b") == 0
    ends = {s.labels["agent"]: s.value for s in samples(text, "yamori_agent_certificate_expiry_timestamp_seconds")}
    assert set(ends) == {"rack-a", "rack-b"}
    assert ends["rack-a"] == scene.agents()[0].expires_at.timestamp()  # type: ignore[union-attr]
