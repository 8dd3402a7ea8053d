"""Traffic to and from a guest of the lab, made in the lab's own networks: bounded in time and rate."""

import contextlib
import ctypes
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

from yamori.lab.lab import Lab
from yamori.lab.spec import GuestPlan

LONGEST_S = 150.0
PAYLOAD = bytes(1400)
_NEW_NETWORK = 0x4000_0000
_ECHO, _REPLY = 8, 0


def enters(namespace: str) -> Callable[[], None]:
    """Make the calling thread one of a network namespace."""

    def enter() -> None:
        handle = os.open(Path("/run/netns") / namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            assert ctypes.CDLL(None, use_errno=True).setns(handle, _NEW_NETWORK) == 0
        finally:
            os.close(handle)

    return enter


class Flood:
    """Echo requests to a guest, which it answers: traffic towards it and from it, seen from the lab's switch."""

    def __init__(self, lab: Lab, plan: GuestPlan, packets_s: int = 1500) -> None:
        self._address = lab.layout.guest_address(plan.number)
        self._enter = enters(lab.layout.switch_namespace)
        self._pause = 1.0 / packets_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flood")
        self.answered = 0
        """Bytes of answers that have arrived."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=30)

    def answered_per_s(self, seconds: float) -> float:
        """Bytes per second that come from the guest now."""
        before, at = self.answered, time.monotonic()
        time.sleep(seconds)
        return (self.answered - before) / (time.monotonic() - at)

    def _run(self) -> None:
        self._enter()
        end = time.monotonic() + LONGEST_S
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
            raw.setblocking(False)
            number = 0
            while not self._stop.is_set() and time.monotonic() < end:
                number += 1
                with contextlib.suppress(OSError):  # the queue is full: just what is wanted
                    raw.sendto(_echo(number), (self._address, 0))
                self._take(raw)
                time.sleep(self._pause)

    def _take(self, raw: socket.socket) -> None:
        while True:
            try:
                packet, (sender, _) = raw.recvfrom(65536)
            except OSError:
                return
            if sender == self._address and packet[20] == _REPLY:
                self.answered += len(packet)


def _echo(number: int) -> bytes:
    body = struct.pack("!HH", 0x5941, number & 0xFFFF) + PAYLOAD
    words = struct.unpack(f"!{len(body) // 2}H", body)
    total = sum(words) + (_ECHO << 8)
    total = (total & 0xFFFF) + (total >> 16)
    total += total >> 16
    return struct.pack("!BBH", _ECHO, 0, ~total & 0xFFFF) + body
