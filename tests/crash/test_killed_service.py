"""`kill -9` of the whole service at random moments while it throttles and moves real VMs: same final state."""

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.by_hand import ByHand
from yamori.lab.lab import Lab
from yamori.lab.spec import GuestPlan
from yamori.model.errors import YamoriError
from yamori.model.ids import VMId
from yamori.model.run import ENDED, RunState
from yamori.web.client import Client

KILLS = int(os.environ.get("YAMORI_KILLS", "6"))
"""So many kills of each kind; the acceptance run takes 25."""
PATIENCE_S = 120.0
POLICY = """
version: 1
brakes: {every: {window: {within: 1m, fleet: 1000, host: 1000}}, disruptive: {window: {within: 1m, fleet: 1000}}}
rules: []
"""


class Service:
    """A `yamori up` of its own process, that can be killed and started again on the same state."""

    def __init__(self, folder: Path, fleet: dict[str, Any]) -> None:
        self.state = folder / "state"
        self._config = folder / "fleet.yaml"
        self._config.write_text(json.dumps({**fleet, "tick_s": 0.5, "recording": {"enabled": False}}))
        self._policy = folder / "policy.yaml"
        self._policy.write_text(POLICY)
        self._log = (folder / "log").open("wb")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Client:
        """Start, and wait until every endpoint is reached."""
        (self.state / "service.json").unlink(missing_ok=True)
        command = [sys.executable, "-c", "from yamori.cli.main import main; main()", "up"]
        command += ["--config", str(self._config), "--policy", str(self._policy)]
        command += ["--state-dir", str(self.state), "--listen", "127.0.0.1:0"]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL)
        until(lambda: (self.state / "service.json").exists(), "the service starts")
        client = Client.from_state_dir(self.state)
        until(lambda: all(e["contact"] == "up" for e in client.endpoints()), "the hosts are reached")
        return client

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Kill it and let go."""
        self.kill()
        self._log.close()


def until(look: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with contextlib.suppress(YamoriError):
            if found := look():
                return found
        assert time.monotonic() < deadline, f"waited too long until {what}"
        time.sleep(0.1)


@pytest.fixture
def service(lab: Lab, tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path, lab.fleet_config())
    yield made
    made.close()


def guest_of(lab: Lab, sla: str) -> GuestPlan:
    return next(plan for plan in lab.spec.guests() if plan.sla == sla)


def strike(client: Client, service: Service, request: Callable[[Client], Any], after_s: float) -> None:
    """Ask, and kill the service at some moment of the work."""

    def ask() -> None:
        with contextlib.suppress(YamoriError):
            request(client)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(after_s)
    service.kill()
    asking.join()


def settled(client: Client) -> list[dict[str, Any]]:
    """Wait until the resumed service has ended every run; return them, newest first."""
    until(lambda: all(RunState(r["state"]) in ENDED for r in client.runs(limit=100)), "all runs have ended")
    return client.runs(limit=100)


def check_one_copy(by_hand: ByHand, lab: Lab, plan: GuestPlan) -> str:
    """Exactly one QEMU executes the guest, on exactly one host. Returns the host."""
    until(lambda: len(by_hand.qemus(plan.name)) == 1, f"{plan.name} runs in one QEMU")
    where = [host for host in lab.hosts if plan.uuid in by_hand.active(host)]
    assert len(where) == 1
    return where[0]


@pytest.mark.lab
@pytest.mark.timeout(1800)
def test_a_throttle_survives_kill_9_at_any_moment(lab: Lab, by_hand: ByHand, service: Service) -> None:
    plan = guest_of(lab, "silver")
    by_hand.bring_home(VMId(plan.uuid))
    dice = random.Random(4)
    states: set[str] = set()
    client = service.start()
    for _ in range(KILLS):
        strike(
            client,
            service,
            lambda c: c.throttle(plan.uuid, {"cpu_cap": 0.5}, expires_after_s=600.0, reason="kill test"),
            dice.uniform(0.0, 0.6),
        )
        client.close()
        client = service.start()
        states.update(run["state"] for run in settled(client))
        held = client.vm(plan.uuid)["hold"] is not None
        cap = client.limits(plan.uuid)["limits"]["values"]["cpu_cap"]
        assert (cap == pytest.approx(0.5, rel=0.03)) if held else (cap is None)
        assert client.vm(plan.uuid)["drift"] == []
        assert client.verify_ledger() > 0
        if held:
            released = client.wait(client.release(plan.uuid)["run"]["id"], timeout_s=60)
            assert released["state"] == "verified"
            assert client.limits(plan.uuid)["limits"]["values"]["cpu_cap"] is None
        check_one_copy(by_hand, lab, plan)
    client.close()
    assert states <= {"verified", "refused", "undone"}


@pytest.mark.lab
@pytest.mark.timeout(3600)
def test_a_move_survives_kill_9_at_any_moment_and_never_leaves_two_copies(
    lab: Lab, by_hand: ByHand, service: Service
) -> None:
    plan = guest_of(lab, "gold")
    by_hand.bring_home(VMId(plan.uuid))
    dice = random.Random(5)
    try:
        client = service.start()
        for _ in range(KILLS):
            here = check_one_copy(by_hand, lab, plan)
            there = next(host for host in lab.hosts if host != here)
            strike(client, service, lambda c, to=there: c.migrate(plan.uuid, to=to), dice.uniform(0.0, 4.0))
            client.close()
            client = service.start()
            last = next(iter(settled(client)), None)
            now = check_one_copy(by_hand, lab, plan)
            if last is not None and last["state"] == "verified":
                assert now == last["decision"]["action"]["to"]
            assert client.verify_ledger() > 0
        client.close()
    finally:
        service.kill()
        by_hand.bring_home(VMId(plan.uuid))
