"""A stage for each place where rules may sit."""

from collections.abc import Iterator

import pytest

from tests.agent.filter.stage import Stage
from tests.agent.functions.space import why_not
from yamori.agent.filter.seat import Seat


@pytest.fixture(params=Seat)
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    made = Stage(shown_to_ip=False, seat=request.param)
    yield made
    made.close()
