"""The fleet by host: bounded, honest about what it leaves out, and worst first."""

import dataclasses

from tests.web import scene
from yamori.control.facade import Contact, Served, Standing, VMView
from yamori.model.ids import EndpointName, HostId, VMId
from yamori.model.sla import Objective
from yamori.web.overview import BUDGET, HOSTS, ordered, summarise, tile
from yamori.web.standing import standing_of


def crowd(count: int, *, hosts: int = 1) -> list[VMView]:
    """Many VMs, all kept."""
    view = scene.views()[0]
    return [
        dataclasses.replace(
            view,
            vm=dataclasses.replace(
                view.vm, id=VMId(f"vm-{n}"), name=f"vm-{n:06d}", host=HostId(f"host-{n % hosts}")
            ),
            endpoint=EndpointName(f"host-{n % hosts}"),
        )
        for n in range(count)
    ]


def served(standing: Standing, value: float | None = 0.2) -> tuple[Served, ...]:
    return (Served(objective=Objective.CPU_DELAY, value=value, bound=0.1, standing=standing),)


def test_unknown_outweighs_kept_and_broken_outweighs_all() -> None:
    view = scene.views()[0]
    kept, unknown, broken = (served(s)[0] for s in (Standing.KEPT, Standing.UNKNOWN, Standing.BROKEN))
    assert standing_of(dataclasses.replace(view, served=(kept, unknown))) is Standing.UNKNOWN
    assert standing_of(dataclasses.replace(view, served=(unknown, broken))) is Standing.BROKEN
    assert standing_of(dataclasses.replace(view, served=())) is Standing.NOT_PROMISED


def test_counts_are_of_all_vms_and_tiles_of_those_that_need_a_look() -> None:
    views = crowd(5_000)
    views[1234] = dataclasses.replace(views[1234], served=served(Standing.BROKEN))
    views[77] = dataclasses.replace(views[77], served=served(Standing.UNKNOWN, None))
    views[4000] = dataclasses.replace(views[4000], hold=scene.hold())
    found = summarise(ordered(views), [], tiles=10)
    host = found.hosts[0]
    assert found.vms == host.vms == 5_000
    assert (found.held, found.standings[Standing.BROKEN], found.standings[Standing.UNKNOWN]) == (1, 1, 1)
    assert len(host.tiles) == 10
    assert host.more == 4_990
    assert {"vm-001234", "vm-000077", "vm-004000"} <= {t.name for t in host.tiles}


def test_a_hundred_thousand_vms_on_many_hosts_still_fit_a_screen() -> None:
    views = crowd(100_000, hosts=1_000)
    views[5] = dataclasses.replace(views[5], served=served(Standing.BROKEN))
    found = summarise(ordered(views), [], tiles=48)
    assert found.vms == 100_000
    assert len(found.hosts) == HOSTS
    assert found.hosts_more == 1_000 - HOSTS
    assert sum(len(h.tiles) for h in found.hosts) <= BUDGET
    assert "host-5" in {h.id for h in found.hosts}, "the host with trouble is among those shown"


def test_an_endpoint_that_is_down_is_shown_although_it_has_no_host() -> None:
    found = summarise([], scene.endpoints())
    down = [h for h in found.hosts if h.contact is Contact.DOWN]
    assert [h.endpoint for h in down] == ["rack-c"]
    assert down[0].error == "no route to host"


def test_a_vm_of_an_endpoint_that_is_gone_is_still_shown() -> None:
    found = summarise(crowd(1), [])
    assert found.hosts[0].contact is Contact.DOWN
    assert found.hosts[0].vms == 1


def test_searching_leaves_only_hosts_with_matches() -> None:
    found = summarise(ordered(scene.views()), scene.endpoints(), search="git")
    assert [h.id for h in found.hosts] == ["rack-b"]
    assert [t.name for t in found.hosts[0].tiles] == ["git"]


def test_an_unknown_rate_has_no_bar_and_a_known_one_stays_between_nothing_and_full() -> None:
    view = scene.views()[0]
    rates = {
        "cpu_cores": 99.0,
        "memory_resident_bytes": float("nan"),
        "disk_bytes_s": -1.0,
        "net_rx_bytes_s": None,
    }
    bars = tile(dataclasses.replace(view, rates=rates)).bars
    assert bars == {"cpu": 1.0, "memory": None, "disk": 0.0, "net": None}
