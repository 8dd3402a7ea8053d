import pytest

from tests.workflow.bench import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()
