"""A thousand VMs: how many calls a reading takes, counted where they are sent."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.drivers.vsphere.conftest import Connect, settings_of
from tests.drivers.vsphere.simulated import make
from yamori.capabilities.sensing.rates import Rate, rates
from yamori.capabilities.sensing.usage import Column
from yamori.drivers.vsphere import usage
from yamori.drivers.vsphere.session import VSphereSession
from yamori.lab.vsphere import Shape, VCenter

VMS = 1000


@pytest.fixture(scope="module")
def large(vcenter_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VCenter]:
    shape = Shape(cluster_hosts=9, hosts=1, vms=VMS // 2)
    made = make(tmp_path_factory.mktemp("large"), vcenter_program, shape)
    made.start()
    yield made
    made.stop()


def asked(session: VSphereSession) -> Counter[str]:
    link = session.connection.link
    assert link is not None
    return Counter({name: count for name, count in link.wire.calls.items() if name != "WaitForUpdatesEx"})


async def test_a_reading_takes_at_most_three_calls_and_mostly_one(connect: Connect, large: VCenter) -> None:
    session = connect(settings_of(large, timeouts={"read_s": 120}))
    assert session.sensing.usage is not None
    first = await session.sensing.usage.read()
    assert len(first.vms) == VMS
    assert len(first.hosts) == 10
    each: list[int] = []
    before, earlier = asked(session), first
    for _ in range(5):
        frame = await session.sensing.usage.read()
        now = asked(session)
        each.append((now - before).total())
        assert (now - before)["QueryPerf"] <= 1, "one bulk question, not one a VM"
        assert np.isfinite(frame.column(Column.CPU_TIME)).all()
        told = rates(earlier, frame).column(Rate.CPU_CORES)
        assert np.isfinite(told).all()
        assert (told > 0).all()
        before, earlier = now, frame
    assert max(each) <= 3
    assert min(each) == 1, "samples are of 20 seconds: they are not asked for at every reading"


async def test_more_vms_than_fit_one_question_are_asked_about_in_turns(
    connect: Connect, large: VCenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "VMS_A_CALL", 200)
    session = connect(settings_of(large, timeouts={"read_s": 120}))
    assert session.sensing.usage is not None
    known: list[int] = []
    for _ in range(4):
        await session.sensing.inventory.read()
        before = asked(session)
        frame = await session.sensing.usage.read()
        assert (asked(session) - before).total() <= 3
        known.append(int(np.isfinite(frame.column(Column.CPU_TIME)).sum()))
    assert known == sorted(known)
    assert known[-1] == VMS


async def test_a_listing_asks_for_devices_in_bulk(connect: Connect, large: VCenter) -> None:
    session = connect(settings_of(large, timeouts={"read_s": 120}))
    await session.sensing.inventory.vm((await session.sensing.inventory.read()).vms[0].id)
    before = asked(session)
    listing = await session.sensing.inventory.read()
    assert len(listing.vms) == VMS
    assert all(vm.disks and vm.nics for vm in listing.vms)
    assert (asked(session) - before).total() == 2
