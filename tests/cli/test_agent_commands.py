"""`yamori agent` on the controller: a token with its command, the list, and striking off."""

import subprocess
import sys

from tests.cli.conftest import Type
from tests.web.serving import Served


def test_a_token_comes_with_the_command_to_type_on_the_host(service: Served, run: Type) -> None:
    told = run("agent", "token", "rack-b")
    assert told.code == 0
    assert told.lines == ["yamori agent enrol --controller 10.0.0.1:8471 --token ya1:rack-b:00:11:22"]
    assert "on the host of rack-b" in told.err
    found = run("agent", "token", "rack-b", "--json").json
    assert found["command"] == told.lines[0]
    assert service.facade.acted[0] == ("invite_agent", "rack-b", "token")


def test_the_list_tells_who_is_connected_and_why_not(service: Served, run: Type) -> None:
    told = run("agent", "list")
    assert told.code == 0
    rows = {line.split()[0]: line for line in told.lines[1:]}
    assert "enrolled" in rows["rack-a"]
    assert " yes " in rows["rack-a"]
    assert "no word for 10 s" in rows["rack-b"]
    assert "revoked" in rows["rack-c"]
    assert [a["name"] for a in run("agent", "list", "--json").json] == ["rack-a", "rack-b", "rack-c"]


def test_revoking_asks_back_and_is_done_with_a_reason(service: Served, run: Type) -> None:
    asked = run("agent", "revoke", "rack-a")
    assert asked.code == 2
    assert "--yes" in asked.err
    assert service.facade.acted == []
    told = run("agent", "revoke", "rack-a", "--reason", "stolen", "--yes")
    assert (told.code, told.out) == (0, "rack-a is revoked\n")
    assert service.facade.acted == [("revoke_agent", "rack-a", "token", "stolen")]
    assert run("agent", "revoke", "nobody", "--yes").code == 2


def test_a_token_that_is_none_is_refused_before_anything_is_asked_and_not_repeated() -> None:
    """In a process of its own: as root the command would become another user."""
    told = subprocess.run(
        [sys.executable, "-m", "yamori.agent", "enrol", "--controller", "127.0.0.1:9", "--token", "-"],
        input="ya1:secret-of-somebody\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 1
    assert "this is not a token" in told.stderr
    assert "secret-of-somebody" not in told.stderr
