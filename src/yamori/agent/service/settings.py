"""What an operator says about the agent on a host: /etc/yamori/agent.yaml. Nothing need be said."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from yamori.agent.functions import HostSettings
from yamori.agent.passage.settings import PassageSettings
from yamori.agent.service.privileges import USER
from yamori.control.agents import Address
from yamori.model.errors import Invalid
from yamori.policy.document import parse

CONFIG = Path("/etc/yamori/agent.yaml")
STATE_DIR = Path("/var/lib/yamori-agent")
LARGEST = 262_144


class AgentSettings(BaseModel):
    """The service itself; ``host`` is what it may do on this host."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    controller: Annotated[
        Address | None,
        Field(description="HOST:PORT of the controller, where it is another than the one enrolled with."),
    ] = None
    state_dir: Annotated[
        str,
        Field(pattern=r"^/[^\x00-\x1f\x7f]*$", max_length=4096, description="Where the agent keeps its identity."),
    ] = str(STATE_DIR)
    user: Annotated[
        str, Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$", description="Who it runs as, when root starts it.")
    ] = USER
    passage: Annotated[
        PassageSettings | None,
        Field(description="How the memory of moving VMs goes to other Xen hosts; left out: it does not."),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Both parts of the file."""

    agent: AgentSettings
    host: HostSettings

    @property
    def state_dir(self) -> Path:
        """Where the agent keeps its identity."""
        return Path(self.agent.state_dir)


def read_settings(config: Path | None) -> Settings:
    """Read the file; None reads the usual one if it is there. Raises Invalid with line, column and mend."""
    path = config or CONFIG
    try:
        with path.open("rb") as file:
            untrusted_text = file.read(LARGEST)
    except FileNotFoundError:
        if config is not None:
            raise Invalid("there is no such file", subject=str(path)) from None
        untrusted_text = b""
    except OSError as error:
        raise Invalid(f"cannot be read: {error.strerror}", subject=str(path)) from error
    if all(line.strip().startswith((b"#", b"---")) or not line.strip() for line in untrusted_text.splitlines()):
        return Settings(agent=AgentSettings(), host=HostSettings())  # nothing need be said
    document = parse(untrusted_text, str(path))
    value = document.value
    document.refuse_nothing()
    agent = document.validate(AgentSettings, without=("host",))
    has_host = isinstance(value, dict) and "host" in value
    host = document.validate(HostSettings, at=("host",)) if has_host else HostSettings()
    return Settings(agent=agent, host=host)
