"""The application over the stand-in, in process: no sockets, no time-outs."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.web.fake_facade import FakeFacade
from tests.web.serving import TOKEN, make_app


@pytest.fixture
def facade() -> FakeFacade:
    return FakeFacade()


@pytest.fixture
async def anonymous(facade: FakeFacade) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=make_app(facade))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8470") as client:
        yield client


@pytest.fixture
def api(anonymous: httpx.AsyncClient) -> httpx.AsyncClient:
    anonymous.headers["Authorization"] = f"Bearer {TOKEN}"
    return anonymous
