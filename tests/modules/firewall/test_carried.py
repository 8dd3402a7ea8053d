"""What goes out and comes in again means the same wherever nothing was reported as lost, and is never wider."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from tests.modules.firewall.fleets import fleet, vm
from tests.modules.firewall.worlds import SERVICES, VMS, documents, machines, packets
from yamori.model.verdict import State, verdict
from yamori.modules.firewall.carried.inwards import networkpolicy as from_networkpolicy
from yamori.modules.firewall.carried.inwards import nsx as from_nsx
from yamori.modules.firewall.carried.inwards import nwfilter as from_nwfilter
from yamori.modules.firewall.carried.inwards import openstack as from_openstack
from yamori.modules.firewall.carried.inwards import pve as from_pve
from yamori.modules.firewall.carried.lost import Carried, Given
from yamori.modules.firewall.carried.outwards import networkpolicy as to_networkpolicy
from yamori.modules.firewall.carried.outwards import nsx as to_nsx
from yamori.modules.firewall.carried.outwards import nwfilter as to_nwfilter
from yamori.modules.firewall.carried.outwards import openstack as to_openstack
from yamori.modules.firewall.carried.outwards import pve as to_pve
from yamori.modules.firewall.compile import Compiled, compile_groups
from yamori.modules.firewall.groups import DEFAULT
from yamori.modules.firewall.naming import slug
from yamori.modules.firewall.reading import Groups, read_groups, settled
from yamori.modules.firewall.writing import to_text

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Labels = Callable[[str, tuple[str, ...]], dict[str, str]]


def of_openstack(name: str, groups: tuple[str, ...]) -> dict[str, str]:
    """What the list of things to do by hand says: a label for each group."""
    return {f"{from_openstack.LABEL}{to_openstack.IN_NO_GROUP if g == DEFAULT else g}": "member" for g in groups}


def of_networkpolicy(name: str, groups: tuple[str, ...]) -> dict[str, str]:
    return {f"{to_networkpolicy.OF_GROUP}{slug(group)}": "member" for group in groups}


def of_nsx(name: str, groups: tuple[str, ...]) -> dict[str, str]:
    return {f"{to_nsx.BY_HAND}.{slug(group)}": "member" for group in groups}


def of_pve(name: str, groups: tuple[str, ...]) -> dict[str, str]:
    return {from_pve.LABEL: name}


def of_nwfilter(name: str, groups: tuple[str, ...]) -> dict[str, str]:
    return {from_nwfilter.LABEL: to_nwfilter.of_vm(name)}


def around(
    groups: Groups, vms: list[Any], write: Any, read: Any, labels: Labels
) -> tuple[Compiled, Compiled, Given, Carried]:
    """Export, import, and do what was to be done by hand."""
    before_fleet = fleet(*vms)
    before = compile_groups(groups, before_fleet)
    given_ = write(groups, before_fleet) if write in (to_pve.write, to_nwfilter.write) else write(groups)
    text = "".join(f"# file: {name}\n{each}" for name, each in given_.files.items())
    if len(given_.files) == 1:
        (text,) = given_.files.values()
    assume(not text.startswith("# no group"))  # nothing denies: there is no policy to read
    carried = read(text, "back")
    again = [
        vm(each.name, number + 1, **{**each.labels, **labels(each.name, before.cards[f"id-{each.name}/0"].groups)})
        for number, each in enumerate(vms)
    ]
    return before, compile_groups(settled(carried.firewall, "back"), fleet(*again)), given_, carried


@pytest.mark.parametrize(
    ("write", "read", "labels", "services"),
    [
        (
            to_openstack.write,
            from_openstack.read,
            of_openstack,
            ("any", "tcp/443", "tcp/80-90", "udp/53", "icmp/8", "gre", "callers"),
        ),
        (
            to_networkpolicy.write,
            from_networkpolicy.read,
            of_networkpolicy,
            ("any", "tcp/443", "tcp/80-90", "udp/53", "tcp", "sctp"),
        ),
        (to_nsx.write, from_nsx.read, of_nsx, SERVICES),
        (to_pve.write, from_pve.read, of_pve, SERVICES),
        (to_nwfilter.write, from_nwfilter.read, of_nwfilter, SERVICES),
    ],
    ids=["openstack", "networkpolicy", "nsx", "pve", "nwfilter"],
)
@settings(max_examples=25)
@given(data=st.data())
def test_out_and_in_again_means_the_same_where_nothing_is_lost(
    write: Any, read: Any, labels: Labels, services: tuple[str, ...], data: st.DataObject
) -> None:
    groups = read_groups(data.draw(documents(services)), "g")
    before, after, given_, carried = around(groups, data.draw(machines()), write, read, labels)
    lost = [each for each in (*given_.lost, *carried.lost) if not each.by_hand]
    event(f"lost: {bool(lost)}")
    for number, name in enumerate(VMS):
        one, other = before.cards[f"id-{name}/0"].filter, after.cards[f"id-{name}/0"].filter
        for _ in range(6):
            packet = data.draw(packets(number + 1, one.hardware))
            was = verdict(one, packet, State(now=NOW), proven=False).allowed
            now = verdict(other, packet, State(now=NOW), proven=False).allowed
            if not lost:
                assert was == now, (name, packet, given_.files)
            elif not any(each.wider for each in lost):
                assert was or not now, ("wider", name, packet, given_.files, lost)


@settings(max_examples=25)
@given(documents())
def test_a_document_that_is_written_reads_the_same(text: str) -> None:
    firewall = read_groups(text, "g").firewall
    assert read_groups(to_text(firewall), "again").firewall == firewall
