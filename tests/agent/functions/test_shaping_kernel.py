"""Real traffic control in namespaces of the test's own: exact, known to be ours, and nothing left behind."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.agent.functions.space import Space, why_not
from yamori.agent.functions import shaping, traffic
from yamori.agent.functions.means import find_out
from yamori.agent.functions.netlink import KernelRefused, make_link
from yamori.agent.functions.shaping import Means, Way
from yamori.model.errors import Conflict, Unsupported

pytestmark = pytest.mark.lab
HERE, THERE, PORT = "10.99.0.1", "10.99.0.2", 5001
RATES = [1, 999, 125_000, 1_234_567, 4_294_967_295, 4_294_967_296, 98_765_432_101]


@pytest.fixture
def host() -> Iterator[Space]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    space = Space()
    yield space
    space.close()


@pytest.fixture
def guest(host: Space) -> Iterator[Space]:
    """Joined to the host by ``vnet7`` there and ``eth0`` here."""
    space = Space()
    host.ip("link add vnet7 type veth peer name eth0")
    host.ip(f"link set eth0 netns {space.tid}")
    host.ip(f"addr add {HERE}/24 dev vnet7")
    host.ip("link set vnet7 up")
    space.ip(f"addr add {THERE}/24 dev eth0")
    space.ip("link set eth0 up")
    yield space
    space.close()


@pytest.fixture(scope="module")
def means() -> Means:
    return find_out()


def arrived(into: socket.socket) -> int:
    """How many bytes came at once; none while TCP waits to send again what was dropped."""
    try:
        return len(into.recv(65536))
    except TimeoutError:
        return 0


def best_of_some(least: float, sender: Space, receiver: Space, address: str) -> float:
    """The most that arrived in some tries, up to one with more than the least: TCP may wait long after a loss."""
    seen = [throughput(sender, receiver, address)]
    while max(seen) <= least and len(seen) < 4:
        seen.append(throughput(sender, receiver, address))
    return max(seen)


def throughput(sender: Space, receiver: Space, address: str, seconds: float = 3.0) -> float:
    """Bytes per second that arrive by TCP, once the first burst is over."""

    def listen() -> socket.socket:
        return socket.create_server((address, PORT))

    with closing(receiver.run(listen)) as server, closing(sender.run(socket.socket)) as out:
        server.settimeout(20)
        out.settimeout(20)
        out.connect((address, PORT))
        into, _ = server.accept()
        stop = time.monotonic() + seconds + 1

        def flood() -> None:
            out.settimeout(0.2)
            while time.monotonic() < stop:
                try:
                    out.send(bytes(16384))
                except TimeoutError:
                    continue

        thread = threading.Thread(target=flood)
        thread.start()
        with closing(into):
            into.settimeout(0.2)
            settled = time.monotonic() + 1
            while time.monotonic() < settled:
                arrived(into)
            begun, got = time.monotonic(), 0
            while time.monotonic() < stop:
                got += arrived(into)
            rate = got / (time.monotonic() - begun)
            thread.join()  # before the connection is closed under it
    return rate


@pytest.mark.parametrize("rate", RATES)
def test_a_rate_is_read_back_to_the_byte(host: Space, guest: Space, means: Means, rate: int) -> None:
    link = host.link("vnet7")
    assert host.ask(lambda n: shaping.read_towards(n, link)) is None
    assert host.ask(lambda n: shaping.read_from(n, link)) is None
    for _ in range(2):
        host.ask(lambda n: shaping.set_towards(n, link, rate))
        host.ask(lambda n: shaping.set_from(n, link, rate, means))
        assert host.ask(lambda n: shaping.read_towards(n, link)) == rate
        assert host.ask(lambda n: shaping.read_from(n, link)) == rate


def test_nothing_is_left_behind(host: Space, guest: Space, means: Means) -> None:
    link = host.link("vnet7")
    before = (host.names(), host.sh("tc qdisc show"), host.sh("tc filter show dev vnet7 ingress"))
    for rate in (100_000, 200_000, None, None):
        host.ask(lambda n, r=rate: shaping.set_towards(n, link, r))
        host.ask(lambda n, r=rate: shaping.set_from(n, link, r, means))
    assert (host.names(), host.sh("tc qdisc show"), host.sh("tc filter show dev vnet7 ingress")) == before


def test_an_interface_without_any_queue_by_libvirt_s_wish_has_none_again_after(host: Space, guest: Space) -> None:
    link = host.link("vnet7")
    host.sh("tc qdisc add dev vnet7 root noqueue")
    assert host.sh("tc qdisc show dev vnet7").startswith("qdisc noqueue")
    for rate in (100_000, 200_000):
        host.ask(lambda n, r=rate: shaping.set_towards(n, link, r))
        assert host.ask(lambda n: shaping.read_towards(n, link)) == rate
    for _ in range(2):
        host.ask(lambda n: shaping.set_towards(n, link, None))
        assert host.ask(lambda n: shaping.read_towards(n, link)) is None
        assert host.sh("tc qdisc show dev vnet7").startswith("qdisc noqueue")


@pytest.mark.parametrize("foreign", ["htb default 1", "tbf rate 1mbit burst 16k latency 50ms", "pfifo"])
def test_another_hand_s_queue_is_left_alone(host: Space, guest: Space, foreign: str) -> None:
    link = host.link("vnet7")
    host.sh(f"tc qdisc add dev vnet7 root handle 1: {foreign}")
    before = _settings(host)
    for deed in (
        lambda n: shaping.set_towards(n, link, 100_000),
        lambda n: shaping.set_towards(n, link, None),
        lambda n: shaping.read_towards(n, link),
        lambda n: shaping.check(n, link, towards=True, outwards=False),
    ):
        with pytest.raises(Conflict, match="another hand"):
            host.ask(deed)
    assert _settings(host) == before


def _settings(host: Space) -> str:
    """What is set, without what it has counted: a packet may pass at any moment."""
    return re.sub(r"direct_packets_stat \d+", "", host.sh("tc qdisc show dev vnet7"))


def test_another_hand_s_filter_is_left_alone(host: Space, guest: Space, means: Means) -> None:
    link = host.link("vnet7")
    host.sh("tc qdisc add dev vnet7 ingress")
    host.sh("tc filter add dev vnet7 parent ffff: protocol ip prio 7 u32 match u32 0 0 flowid 1:1")
    before = host.sh("tc filter show dev vnet7 ingress")
    assert "prio 7" in before or "pref 7" in before
    for rate in (100_000, None):
        with pytest.raises(Conflict, match="another hand"):
            host.ask(lambda n, r=rate: shaping.set_from(n, link, r, means))
    assert host.sh("tc filter show dev vnet7 ingress") == before
    assert host.names() == {"vnet7"}


def test_a_clsact_of_another_hand_is_used_and_stays(host: Space, guest: Space, means: Means) -> None:
    link = host.link("vnet7")
    host.sh("tc qdisc add dev vnet7 clsact")
    host.ask(lambda n: shaping.set_from(n, link, 100_000, means))
    assert host.ask(lambda n: shaping.read_from(n, link)) == 100_000
    host.ask(lambda n: shaping.set_from(n, link, None, means))
    assert "clsact" in host.sh("tc qdisc show dev vnet7")
    assert host.sh("tc filter show dev vnet7 ingress") == ""


def test_what_comes_in_by_another_way_than_now_is_changed_over(host: Space, guest: Space, means: Means) -> None:
    """A kernel module that comes or goes between two settings changes the way; no trace of the other stays."""
    if means.way is not Way.POLICE:
        pytest.skip("this kernel has one way only")
    link = host.link("vnet7")
    detour = Means(queue=True, way=Way.DETOUR, match=means.match)
    for each in (detour, means, detour, means):
        host.ask(lambda n, m=each: shaping.set_from(n, link, 100_000, m))
        assert host.ask(lambda n: shaping.read_from(n, link)) == 100_000
    assert host.names() == {"vnet7"}


def test_a_detour_of_an_interface_that_is_gone_is_swept_away(host: Space, guest: Space) -> None:
    detour = Means(queue=True, way=Way.DETOUR, match=traffic.Match.U32)
    link = host.link("vnet7")
    host.ask(lambda n: shaping.set_from(n, link, 100_000, detour))
    assert len(host.names()) == 2
    host.ask(shaping.sweep)
    assert len(host.names()) == 2, "one that is in use stays"
    host.ip("link del vnet7")
    host.ask(shaping.sweep)
    assert host.names() == set()


def test_a_detour_that_was_not_finished_is_swept_away(host: Space, guest: Space) -> None:
    link = host.link("vnet7")
    host.ask(lambda n: make_link(n, f"yamori-{link.index}", "ifb"))
    host.ask(lambda n: traffic.open_ingress(n, link.index))
    host.ip("link add yamori-x type ifb")  # a name that only resembles ours
    host.ask(shaping.sweep)
    assert host.names() == {"vnet7", "yamori-x"}
    assert "ingress" not in host.sh("tc qdisc show dev vnet7")


def test_an_interface_that_is_gone_is_refused_by_the_kernel(host: Space, guest: Space, means: Means) -> None:
    link = host.link("vnet7")
    host.ip("link del vnet7")
    with pytest.raises(KernelRefused):
        host.ask(lambda n: shaping.set_towards(n, link, 100_000))


def test_where_the_kernel_has_no_way_it_is_refused_before_anything_is_changed(host: Space, guest: Space) -> None:
    link = host.link("vnet7")
    nothing = Means(queue=False, way=None, match=None, missing="act_police: not there")
    with pytest.raises(Unsupported, match="act_police"):
        host.ask(lambda n: shaping.set_from(n, link, 100_000, nothing))
    assert "ingress" not in host.sh("tc qdisc show dev vnet7")


def test_finding_out_leaves_the_namespace_as_it_was(host: Space, means: Means) -> None:
    before = (host.names(), host.sh("tc qdisc show"))
    assert host.run(find_out) == means
    assert (host.names(), host.sh("tc qdisc show")) == before


def test_traffic_towards_the_guest_keeps_to_the_rate(host: Space, guest: Space) -> None:
    link = host.link("vnet7")
    host.ask(lambda n: shaping.set_towards(n, link, 500_000))
    assert 100_000 < throughput(host, guest, THERE) < 700_000
    host.ask(lambda n: shaping.set_towards(n, link, None))
    assert throughput(host, guest, THERE) > 2_000_000


def test_traffic_from_the_guest_keeps_to_the_rate(host: Space, guest: Space, means: Means) -> None:
    link = host.link("vnet7")
    host.ask(lambda n: shaping.set_from(n, link, 500_000, means))
    assert 50_000 < best_of_some(50_000, guest, host, HERE) < 700_000
    host.ask(lambda n: shaping.set_from(n, link, None, means))
    assert throughput(guest, host, HERE) > 2_000_000
