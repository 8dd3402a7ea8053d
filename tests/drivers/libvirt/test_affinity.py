"""Pinning through libvirt's C library, on libvirt's built-in test driver, which has the same functions."""

from collections.abc import Iterator
from typing import Any

import libvirt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yamori.drivers.libvirt.affinity import HypervisorPins, affinities, bits_of, flags_of, is_executing
from yamori.drivers.libvirt.connection import start_event_loop
from yamori.drivers.libvirt.subject import Subject, subject_of
from yamori.model.errors import Invalid
from yamori.model.ids import VMId

UUID = VMId("bbbbbbbb-0000-4000-8000-000000000001")
XML = f"""<domain type='test'><name>pinned</name><uuid>{UUID}</uuid><memory unit='MiB'>64</memory>
<vcpu current='2'>3</vcpu><os><type>hvm</type></os></domain>"""


@pytest.fixture
def link() -> Iterator[Any]:
    start_event_loop()
    link = libvirt.open("test:///default")
    link.createXML(XML)
    yield link
    for domain in link.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_TRANSIENT):
        domain.destroy()
    link.close()


@pytest.fixture
def subject(link: Any) -> Subject:
    return subject_of(link, UUID)


def test_every_vcpu_that_is_on_is_pinned_and_freed(link: Any, subject: Subject) -> None:
    pins = HypervisorPins()
    assert pins.read(link, subject) is None
    pins.pin(link, subject, frozenset({0}))
    assert pins.read(link, subject) == {0}
    cpus = link.getInfo()[2]
    assert affinities(subject.handle, 2, cpus) == [(True, *(False,) * (cpus - 1))] * 2
    pins.pin(link, subject, None)
    assert pins.read(link, subject) is None


def test_it_is_what_the_binding_says_as_well(link: Any, subject: Subject) -> None:
    HypervisorPins().pin(link, subject, frozenset({1}))
    cpus = link.getCPUMap(0)[0]
    assert [mask[:cpus] for mask in subject.handle.vcpuPinInfo()[:2]] == affinities(subject.handle, 2, cpus)


def test_a_vm_that_runs_is_seen_to_execute(subject: Subject) -> None:
    assert is_executing(subject.handle, subject.definition.vcpus)


def test_a_cpu_that_is_not_there_is_invalid(link: Any, subject: Subject) -> None:
    with pytest.raises(Invalid):
        HypervisorPins().pin(link, subject, frozenset({link.getInfo()[2]}))


def test_what_libvirt_refuses_is_libvirt_s_error_with_its_code(link: Any, subject: Subject) -> None:
    subject.handle.destroy()
    for ask in (
        lambda: HypervisorPins().pin(link, subject, None),
        lambda: HypervisorPins().read(link, subject),
    ):
        with pytest.raises(libvirt.libvirtError) as refusal:
            ask()
        assert refusal.value.get_error_code() in {libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_DOMAIN}


@given(st.lists(st.booleans(), min_size=1, max_size=300))
def test_masks_survive_the_way_to_libvirt_and_back(mask: list[bool]) -> None:
    assert flags_of(bits_of(tuple(mask)), len(mask)) == tuple(mask)
