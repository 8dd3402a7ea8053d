"""Allowances made of rules in order let nothing through that the rules in order do not."""

from ipaddress import ip_address, ip_network
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from yamori.model.filter_rule import TCP, UDP, Span
from yamori.modules.firewall.carried.ordered import ANYBODY, Party, Step, allowances
from yamori.modules.firewall.carried.sheet import Sheet
from yamori.modules.firewall.service import Match

NETS = [
    ip_network(n) for n in ("10.0.0.0/8", "10.0.0.0/24", "10.0.0.7", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32")
]
PEERS = [
    ip_address(a)
    for a in ("10.0.0.7", "10.0.0.8", "10.9.0.1", "192.0.2.5", "8.8.8.8", "2001:db8::1", "2001:db9::1")
]
MATCHES = [
    Match(),
    Match(protocol=TCP),
    Match(protocol=TCP, ports=(Span(low=80, high=90),)),
    Match(protocol=TCP, ports=(Span(low=85, high=85),)),
    Match(protocol=UDP, ports=(Span(low=53, high=53),), client_ports=(Span(low=1000, high=2000),)),
    Match(protocol=47),
]


def steps(number: int) -> st.SearchStrategy[Step]:
    parties = st.just(ANYBODY) | st.lists(st.sampled_from(NETS), min_size=1, max_size=2).map(
        lambda n: Party(networks=tuple(n))
    )
    many = st.lists(st.sampled_from(MATCHES), min_size=1, max_size=2).map(tuple)
    return st.builds(Step, title=st.just(f"{number}"), allow=st.booleans(), peer=parties, matches=many)


def fits(step: Step, peer: Any, protocol: int, port: int, client: int) -> bool:
    near = step.peer.networks is None or any(peer.version == n.version and peer in n for n in step.peer.networks)
    return near and any(
        m.protocol in (None, protocol)
        and (not m.ports or any(port in s for s in m.ports))
        and (not m.client_ports or any(client in s for s in m.client_ports))
        for m in step.matches
    )


@given(st.data())
def test_what_is_made_of_an_ordered_list_is_the_same_or_less(data: st.DataObject) -> None:
    listed = [data.draw(steps(n)) for n in range(data.draw(st.integers(0, 6)))]
    otherwise = data.draw(st.booleans())
    sheet = Sheet("t")
    kept, rest = allowances(sheet, listed, otherwise=otherwise, title="t")
    lost = sheet.carried().lost
    event(f"lost: {bool(lost)}")
    for peer in PEERS:
        for protocol, port, client in [(TCP, 85, 1500), (TCP, 80, 9), (UDP, 53, 1500), (UDP, 53, 9), (47, 0, 0)]:
            first = next((s for s in listed if fits(s, peer, protocol, port, client)), None)
            was = otherwise if first is None else first.allow
            now = rest or any(fits(s, peer, protocol, port, client) for s in kept)
            assert was or not now, (listed, kept, peer, protocol, port)
            if not lost:
                assert was == now, (listed, kept, peer, protocol, port)
