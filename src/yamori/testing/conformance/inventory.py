"""What `capabilities/sensing/inventory.py` promises."""

import asyncio
from typing import ClassVar

import pytest

from yamori.capabilities.session import Session
from yamori.model.errors import NotFound
from yamori.model.ids import VMId
from yamori.model.vm import PowerState
from yamori.testing.conformance.contract import UNKNOWN_IDS, Contract
from yamori.testing.conformance.values import assert_ours


class InventoryContract(Contract):
    """Hosts and VMs. The one capability that every driver has."""

    feature: ClassVar[str] = "inventory"

    async def test_the_vm_is_listed_as_running(self, session: Session, vm: VMId) -> None:
        listing = await session.sensing.inventory.read()
        found = [each for each in listing.vms if each.id == vm]
        assert len(found) == 1
        assert found[0].state is PowerState.RUNNING

    async def test_reading_one_vm_tells_the_same_as_the_list(self, session: Session, vm: VMId) -> None:
        listing = await session.sensing.inventory.read()
        listed = next(each for each in listing.vms if each.id == vm)
        alone = await session.sensing.inventory.vm(vm)
        for name in ("id", "name", "host", "vcpus", "memory_max_bytes", "disks", "nics", "labels", "persistent"):
            assert getattr(alone, name) == getattr(listed, name), name

    async def test_no_vm_is_listed_twice(self, session: Session, vm: VMId) -> None:
        ids = [each.id for each in (await session.sensing.inventory.read()).vms]
        assert len(ids) == len(set(ids))
        assert vm in ids

    async def test_every_vm_is_on_a_host_that_is_listed(self, session: Session, vm: VMId) -> None:
        listing = await session.sensing.inventory.read()
        hosts = {host.id for host in listing.hosts}
        assert hosts
        assert len(hosts) == len(listing.hosts)
        assert all(each.host is None or each.host in hosts for each in listing.vms)

    async def test_sizes_are_sizes_and_what_is_not_known_is_none(self, session: Session, vm: VMId) -> None:
        listing = await session.sensing.inventory.read()
        for each in listing.vms:
            assert each.vcpus >= 1
            assert 0 < each.memory_bytes <= each.memory_max_bytes
            assert all(disk.capacity_bytes is None or disk.capacity_bytes >= 0 for disk in each.disks)
        for host in listing.hosts:
            assert host.cpus is None or host.cpus >= 1, "a host without CPUs: say None when they are not known"
            assert host.memory_bytes is None or host.memory_bytes > 0

    @pytest.mark.parametrize("unknown", UNKNOWN_IDS, ids=range(len(UNKNOWN_IDS)))
    async def test_an_id_that_no_vm_has_is_not_found(self, session: Session, unknown: str) -> None:
        with pytest.raises(NotFound):
            await session.sensing.inventory.vm(VMId(unknown))

    async def test_reading_twice_gives_the_same(self, session: Session, vm: VMId) -> None:
        first, second = await session.sensing.inventory.read(), await session.sensing.inventory.read()
        assert {host.id for host in first.hosts} == {host.id for host in second.hosts}
        assert await session.sensing.inventory.vm(vm) == await session.sensing.inventory.vm(vm)

    async def test_many_may_read_at_once(self, session: Session, vm: VMId) -> None:
        listings = await asyncio.gather(*(session.sensing.inventory.read() for _ in range(8)))
        assert all(vm in {each.id for each in listing.vms} for listing in listings)
        read = await asyncio.gather(*(session.sensing.inventory.vm(vm) for _ in range(8)))
        assert {each.name for each in read} == {read[0].name}

    async def test_nothing_of_the_vendor_comes_out(self, session: Session, vm: VMId) -> None:
        assert_ours(await session.sensing.inventory.read(), "listing")
        assert_ours(await session.sensing.inventory.vm(vm), "vm")
