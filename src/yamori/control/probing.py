"""Asks endpoints what they can do, once, without keeping them in view and without changing anything."""

import asyncio
from collections.abc import Mapping

from yamori.control.configuration import Configuration, ConfiguredEndpoint
from yamori.model.errors import Unreachable, YamoriError
from yamori.model.ids import EndpointName
from yamori.model.support import Support

PAUSE_S = 0.2


async def probe(configuration: Configuration, *, limit_s: float) -> Mapping[EndpointName, Support | YamoriError]:
    """Probe every configured endpoint side by side; where one cannot be probed, its error stands in its place.

    ``limit_s``: how long an endpoint may take to be reached.
    """
    answers = await asyncio.gather(*(_probe(endpoint, limit_s) for endpoint in configuration.endpoints))
    return dict(zip((endpoint.name for endpoint in configuration.endpoints), answers, strict=True))


async def _probe(endpoint: ConfiguredEndpoint, limit_s: float) -> Support | YamoriError:
    deadline = asyncio.get_running_loop().time() + limit_s
    try:
        session = await endpoint.manifest.connect(endpoint.name, endpoint.settings)
    except YamoriError as error:
        return error
    try:
        while True:
            try:
                return await session.probe()
            except Unreachable:
                # Sessions connect in the background: the first answers may come too early.
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(PAUSE_S)
    except YamoriError as error:
        return error
    finally:
        await session.close()
