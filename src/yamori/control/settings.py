"""The operator's configuration: which endpoints, which modules, how often. Strict: an unknown key is an error."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from yamori.control.agents import GatewaySettings

NAME = r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$"


def _names_are_unique(endpoints: "list[EndpointSettings]") -> "list[EndpointSettings]":
    seen: set[str] = set()
    for endpoint in endpoints:
        if endpoint.name in seen:
            raise ValueError(f"two endpoints are called {endpoint.name!r}: give each its own name")
        seen.add(endpoint.name)
    return endpoints


def _one_is_this_machine(endpoints: "list[EndpointSettings]") -> "list[EndpointSettings]":
    here = [endpoint.name for endpoint in endpoints if endpoint.agent is AgentPlace.LOCAL]
    if len(here) > 1:
        raise ValueError(f"only one endpoint can be this machine, not {', '.join(here)}: use `agent: remote`")
    return endpoints


def _standard_modules() -> dict[str, dict[str, Any]]:
    return {"guard": {}}


class AgentPlace(StrEnum):
    """Where the agent of a host runs: nowhere, on that host, or within this process (whose host it then is)."""

    NONE = "none"
    REMOTE = "remote"
    LOCAL = "local"


class EndpointSettings(BaseModel):
    """One connection. Whatever else stands beside these keys belongs to the driver, which checks it strictly."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: Annotated[str, Field(pattern=NAME, description="How you call this connection.")]
    driver: Annotated[str, Field(description="The driver's name: libvirt, simulator, or an installed package's.")]

    agent: Annotated[
        AgentPlace,
        Field(
            description="Whether an agent adds what the hypervisor lacks: `remote`, enrolled under this name; "
            "`local`, within this process, for the machine that it runs on; or `none`."
        ),
    ] = AgentPlace.NONE

    def driver_settings(self) -> dict[str, Any]:
        """Return the keys that belong to the driver."""
        return dict(self.model_extra or {})


class RecordingSettings(BaseModel):
    """What is kept of the readings for `yamori policy replay`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: Annotated[bool, Field(description="Record every reading on disk.")] = True
    max_mb: Annotated[int, Field(ge=1, le=1_000_000, description="Oldest records go when this is reached.")] = 256


class FleetSettings(BaseModel):
    """The file that `yamori up --config` reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoints: Annotated[
        list[EndpointSettings],
        Field(min_length=1, max_length=10_000, description="The hypervisors to look after."),
        AfterValidator(_names_are_unique),
        AfterValidator(_one_is_this_machine),
    ]
    tick_s: Annotated[float, Field(ge=0.1, le=60, description="Seconds between two readings.")] = 1.0
    history_s: Annotated[float, Field(ge=10, le=86_400, description="Seconds of history kept for charts.")] = 900.0
    modules: Annotated[
        dict[str, dict[str, Any]],
        Field(description="The security modules that are switched on, each with its settings ({} for defaults)."),
    ] = Field(default_factory=_standard_modules)
    recording: RecordingSettings = RecordingSettings()
    agents: Annotated[
        GatewaySettings, Field(description="Where agents on hosts connect to; open once an endpoint has one.")
    ] = GatewaySettings()
