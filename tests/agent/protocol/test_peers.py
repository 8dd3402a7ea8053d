"""Agents prove themselves to one another, and none of them can pass for the controller."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from yamori.agent.protocol.tls import Secured, agent_context, controller_context, peer_context
from yamori.model.errors import BadCertificate, YamoriError
from yamori.trust.authority import CONTROLLER_NAME, Authority, keep_authority
from yamori.trust.certificates import key_pem, new_key, read_certificate, request_pem

DAY = timedelta(days=1)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return keep_authority(tmp_path, now())


def peer(
    authority: Authority, name: str, *, server_side: bool, trusted: Authority | None = None
) -> ssl.SSLContext:
    key = new_key()
    issued = authority.issue_agent(name, request_pem(key), now(), DAY)
    return peer_context((trusted or authority).pem, issued.pem, key_pem(key), server_side=server_side)


def meet(client: Secured, server: Secured) -> None:
    """Shake hands as far as both go. Raises what either finds."""
    client.receive(b"")
    for _ in range(4):
        server.receive(client.out())
        client.receive(server.out())


def ends(client: ssl.SSLContext, server: ssl.SSLContext) -> tuple[Secured, Secured]:
    return Secured(client, server_side=False), Secured(server, server_side=True)


def test_two_agents_prove_their_names_to_one_another(authority: Authority) -> None:
    client, server = ends(
        peer(authority, "rack-a", server_side=False), peer(authority, "rack-b", server_side=True)
    )
    meet(client, server)
    assert read_certificate(client.peer() or b"").agent == "rack-b"
    assert read_certificate(server.peer() or b"").agent == "rack-a"


def test_whoever_shows_no_certificate_gets_nowhere(authority: Authority) -> None:
    client, server = ends(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), peer(authority, "rack-b", server_side=True))
    with pytest.raises(YamoriError):
        meet(client, server)
    anonymous = agent_context(authority.pem)
    anonymous.check_hostname = False
    client, server = ends(anonymous, peer(authority, "rack-b", server_side=True))
    with pytest.raises(YamoriError):
        meet(client, server)
    assert not server.is_open


def test_agents_of_another_fleet_are_nobody(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = keep_authority(tmp_path / "other", now())
    for server_side in (False, True):
        liar = peer(other, "rack-a", server_side=server_side, trusted=authority)
        honest = peer(authority, "rack-b", server_side=not server_side)
        pair = ends(honest, liar) if server_side else ends(liar, honest)
        with pytest.raises(YamoriError):
            meet(*pair)


def test_an_agent_cannot_pass_for_the_controller(authority: Authority) -> None:
    for name in ("rack-a", f"{CONTROLLER_NAME}.x"):
        pair = ends(agent_context(authority.pem), peer(authority, name, server_side=True))
        with pytest.raises(BadCertificate, match="not this agent's controller"):
            meet(*pair)


def test_an_agent_whose_certificate_bears_the_controllers_name_elsewhere_cannot_either(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a DNS name counts: not the common name, which libraries fall back to."""
    monkeypatch.setattr("yamori.trust.authority.CONTROLLER_NAME", "another")
    server = peer(authority, CONTROLLER_NAME, server_side=True)
    with pytest.raises(BadCertificate, match="not this agent's controller"):
        meet(*ends(agent_context(authority.pem), server))


def test_the_controller_cannot_pass_for_a_peer(authority: Authority) -> None:
    identity = authority.issue_server(now())
    client, server = ends(
        peer(authority, "rack-a", server_side=False),
        controller_context(authority.pem, identity.pem, identity.key),
    )
    meet(client, server)
    with pytest.raises(BadCertificate, match="not that of an agent"):
        read_certificate(client.peer() or b"")
