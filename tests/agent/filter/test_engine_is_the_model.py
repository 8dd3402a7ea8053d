"""Random Filters against random frames, sent for real: the kernel and the reference model say the same."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.agent.filter.generated import NOW, filters, packets
from tests.agent.filter.stage import Stage
from tests.agent.functions.space import why_not
from yamori.agent.filter.seat import Seat
from yamori.model.filter_rule import Direction
from yamori.model.verdict import State, verdict

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", params=Seat)
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    made = Stage(shown_to_ip=False, seat=request.param)
    yield made
    made.close()


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_without_tracking_each_packet_gets_the_verdict_of_the_model_by_the_same_rule(
    stage: Stage, data: Any
) -> None:
    wanted = data.draw(filters())
    both = [(way, data.draw(st.lists(packets(way), min_size=10, max_size=25))) for way in Direction]
    stage.clear()
    stage.apply(wanted)
    assert stage.differences(wanted) == [], "what was sent is what is read back"
    for way, sent in both:
        before = Counter(stage.counts(wanted.port))
        told = [verdict(wanted, packet, State(now=NOW), proven=False) for packet in sent]
        arrived = stage.say(sent)
        wrong = [(p, t, a) for p, t, a in zip(sent, told, arrived, strict=True) if t.allowed != a]
        assert not wrong, wrong[0]
        counted = Counter(stage.counts(wanted.port))
        counted.subtract(before)
        expected = Counter((way, each.rule) for each in told) + Counter({(way, "port:arp"): 1})
        counted.subtract(expected)
        assert not +counted, "counted for other ids than the model tells"
        assert not -counted, "not counted for the ids that the model tells"


def test_the_generated_packets_meet_every_decision_of_identity() -> None:
    """What is never generated is never proven: the ids of the model come up in a sample, the same each time."""
    seen: set[str] = set()

    @settings(max_examples=400, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def sample(data: Any) -> None:
        wanted = data.draw(filters())
        for way in Direction:
            for packet in data.draw(st.lists(packets(way), min_size=8, max_size=8)):
                seen.add(verdict(wanted, packet, State(now=NOW), proven=False).rule)

    sample()
    ours = {"arp", "arp-spoof", "nd", "nd-spoof", "mac", "address", "ethertype", "default", "fragment", "mld"}
    assert {f"port:{each}" for each in ours} <= seen
    assert {"r0", "b0", "reply:r0", "port:link-local", "port:headless"} <= seen
