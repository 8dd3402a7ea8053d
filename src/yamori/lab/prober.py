"""The paced client, a process of its own so that nobody else's work delays its clock.

Started by ``ServiceProbe`` with its settings as JSON in the first argument; prints one JSON list a finished
request: [sent, guest, latency, cpu, memory, disk, disk errors], times in seconds, ``sent`` on CLOCK_MONOTONIC.
An unanswered request has null in place of its times.
"""

from __future__ import annotations

import json
import random
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field

from yamori.lab.nsenter import socket_in
from yamori.lab.wire import SERVICE_PORT, Work, parse_answer, request
from yamori.model.errors import Invalid

_LOST_AFTER_SECONDS = 4.0
_MOST_OUTSTANDING = 4
"""A client does not pile up requests that nobody answers: past this many the turn counts as missed."""


@dataclass(slots=True, kw_only=True)
class Target:
    """One guest that is asked, and what is on the way to it."""

    name: str
    channel: socket.socket
    next_at: float
    sequence: int = 0
    outstanding: dict[int, float] = field(default_factory=dict)


def _report(target: Target, sent: float, times: list[float | int] | None) -> None:
    parts: list[float | int | None] = [None] * 5 if times is None else [*times]
    sys.stdout.write(json.dumps([round(sent, 6), target.name, *parts]) + "\n")
    sys.stdout.flush()


def _send(target: Target, work: Work, now: float) -> None:
    for sequence, sent in list(target.outstanding.items()):
        if now - sent > _LOST_AFTER_SECONDS:
            del target.outstanding[sequence]
            _report(target, sent, None)
    if len(target.outstanding) >= _MOST_OUTSTANDING:
        _report(target, now, None)
        return
    target.sequence += 1
    target.outstanding[target.sequence] = now
    try:
        target.channel.send(request(target.sequence, work))
    except OSError:
        # the guest is away (a crash test, for instance); the request times out like any other
        return


def _receive(target: Target) -> None:
    try:
        untrusted_datagram = target.channel.recv(2048)
        answer = parse_answer(untrusted_datagram)
    except (OSError, Invalid):
        return
    sent = target.outstanding.pop(answer.sequence, None)
    if sent is not None:
        latency = time.monotonic() - sent
        parts = (latency, answer.cpu_seconds, answer.memory_seconds, answer.disk_seconds)
        _report(target, sent, [*(round(part, 6) for part in parts), answer.disk_errors])


def pace(namespace: str, addresses: dict[str, str], work: Work, rate: float) -> None:
    """Ask every guest ``rate`` times a second, independent of its answers, until this process is ended."""
    period = 1.0 / rate
    begin = time.monotonic()
    targets = []
    with selectors.DefaultSelector() as selector:
        for name, address in addresses.items():
            channel = socket_in(namespace, socket.SOCK_DGRAM)
            channel.connect((address, SERVICE_PORT))
            channel.settimeout(0)
            # guests are asked out of step, or their bursts would meet
            target = Target(name=name, channel=channel, next_at=begin + random.random() * period)  # noqa: S311
            selector.register(channel, selectors.EVENT_READ, target)
            targets.append(target)
        while True:
            now = time.monotonic()
            for target in targets:
                if target.next_at <= now:
                    _send(target, work, now)
                    # jitter of half a period keeps guests from falling into step
                    target.next_at = max(now, target.next_at) + period * (0.75 + random.random() / 2)  # noqa: S311
            wait = max(0.0, min(target.next_at for target in targets) - time.monotonic())
            for key, _ in selector.select(wait):
                _receive(key.data)


def main() -> None:
    """Read the settings and pace until killed or until nobody listens any more."""
    settings = json.loads(sys.argv[1])
    try:
        pace(settings["namespace"], settings["addresses"], Work(**settings["work"]), settings["rate"])
    except BrokenPipeError:
        sys.stderr.close()


if __name__ == "__main__":
    main()
