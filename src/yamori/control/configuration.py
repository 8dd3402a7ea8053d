"""Reads fleet.yaml whole: control's, each driver's and each module's part, checked before anything runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from yamori.control.seat import Seat, seat
from yamori.control.settings import AgentPlace, FleetSettings
from yamori.manifest.discovery import driver, module
from yamori.manifest.driver import DriverManifest
from yamori.model.errors import Invalid, NotFound, Unsupported
from yamori.model.ids import EndpointName
from yamori.policy.document import Document, parse


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredEndpoint:
    """One endpoint with its driver's card and checked settings."""

    name: EndpointName
    manifest: DriverManifest
    settings: BaseModel
    agent: AgentPlace = AgentPlace.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """All that the operator configured, checked."""

    settings: FleetSettings
    endpoints: Sequence[ConfiguredEndpoint]
    seats: Sequence[Seat]


def configure(untrusted_text: str | bytes, source: str) -> Configuration:
    """Read a configuration. Raises Invalid: each line names file, line, column, what is wrong and the mend."""
    document = parse(untrusted_text, source)
    document.refuse_nothing()
    settings = document.validate(FleetSettings)
    complaints: list[str] = []
    endpoints = []
    for index, endpoint in enumerate(settings.endpoints):
        at = ("endpoints", index)
        try:
            manifest = driver(endpoint.driver)
            own = document.validate(manifest.settings, at=at, without=("name", "driver", "agent"))
            endpoints.append(
                ConfiguredEndpoint(
                    name=EndpointName(endpoint.name), manifest=manifest, settings=own, agent=endpoint.agent
                )
            )
        except (NotFound, Unsupported) as error:
            complaints.append(document.line((*at, "driver"), error.message, error.mend))
        except Invalid as error:
            complaints.append(error.message)
    seats = _seats(settings.modules, document, complaints)
    if complaints:
        raise Invalid("\n".join(complaints), subject=document.source)
    return Configuration(settings=settings, endpoints=endpoints, seats=seats)


def _seats(modules: Mapping[str, object], document: Document, complaints: list[str]) -> list[Seat]:
    seats: list[Seat] = []
    for name in modules:
        at = ("modules", name)
        try:
            manifest = module(name)
            if not isinstance(document.value, dict) or "modules" not in document.value:
                seats.append(seat(manifest, {}))
            else:
                seats.append(Seat(manifest, document.validate(manifest.settings, at=at)))
        except (NotFound, Unsupported) as error:
            complaints.append(document.line(at, error.message, error.mend))
        except Invalid as error:
            complaints.append(error.message)
    return seats
