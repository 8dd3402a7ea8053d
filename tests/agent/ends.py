"""Two wires with nothing between them, and greetings for the tests."""

from datetime import UTC, datetime

from yamori.agent.protocol.events import Event, Offered, Opened
from yamori.agent.protocol.messages import HIGHEST, LOWEST, Hello
from yamori.agent.protocol.wire import Role, Wire

WALL = datetime(2026, 1, 1, tzinfo=UTC)


def hello(lowest: int = LOWEST, highest: int = HIGHEST) -> Hello:
    return Hello(lowest=lowest, highest=highest, software="9.9", clock="boot-1", wall=WALL)


def pair(now: float = 0.0) -> tuple[Wire, Wire]:
    """Return agent and controller, greeted."""
    agent, controller = Wire(Role.AGENT, now=now, hello=hello()), Wire(Role.CONTROLLER, now=now)
    (offered,) = controller.receive(agent.out(), now)
    assert isinstance(offered, Offered)
    controller.welcome(offered.hello, software="9.9", wall=WALL)
    (opened,) = agent.receive(controller.out(), now)
    assert isinstance(opened, Opened)
    return agent, controller


def pump(source: Wire, target: Wire, now: float = 0.0) -> list[Event]:
    return target.receive(source.out(), now)
