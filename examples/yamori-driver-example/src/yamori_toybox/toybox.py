"""Stands for a vendor's library: blocking calls, objects of its own, milliseconds, percents and error codes."""

import threading
import time
import uuid


class ToyError(Exception):
    """What the library raises; ``code`` is one of NO_SUCH, WRONG_STATE, BAD_ARGUMENT."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Machine:
    """A machine in the box. ``state`` is one of on, off, frozen; ``cap_percent`` of one core, 0 for none."""

    def __init__(self, label: str, cores: int, ram_mb: int, busy_percent: float) -> None:
        self.serial = uuid.uuid5(uuid.NAMESPACE_DNS, label).hex.upper()
        self.label = label
        self.cores = cores
        self.ram_mb = ram_mb
        self.busy_percent = busy_percent
        self.cap_percent = 0
        self.state = "on"
        self._cpu_ms = 0.0
        self._since = time.monotonic()

    def cpu_ms(self) -> float:
        """Return the CPU time spent so far."""
        now = time.monotonic()
        if self.state == "on":
            percent = min(self.busy_percent, self.cap_percent or self.busy_percent)
            self._cpu_ms += (now - self._since) * 1000 * percent / 100
        self._since = now
        return self._cpu_ms

    def change(self, state: str) -> None:
        """Go into a state."""
        self.cpu_ms()
        if self.state == "off" and state == "on":
            self._cpu_ms = 0.0
        self.state = state


class Box:
    """A host. Every call blocks, and only one runs at a time."""

    cores = 8
    ram_mb = 32_768
    release = "Toybox 7.1"

    def __init__(self, machines: list[Machine]) -> None:
        self._lock = threading.Lock()
        self._machines = {machine.serial: machine for machine in machines}

    def _get(self, serial: str) -> Machine:
        if serial not in self._machines:
            raise ToyError("NO_SUCH", "no machine has this serial number")
        return self._machines[serial]

    def describe(self) -> list[dict[str, object]]:
        """Return a dictionary for each machine."""
        with self._lock:
            return [
                {"serial": m.serial, "label": m.label, "state": m.state, "cores": m.cores, "ram_mb": m.ram_mb}
                for m in self._machines.values()
            ]

    def meter(self) -> list[tuple[str, float, int, int]]:
        """Return serial, CPU milliseconds, cores and megabytes of each machine that is not off."""
        with self._lock:
            running = [m for m in self._machines.values() if m.state != "off"]
            return [(m.serial, m.cpu_ms(), m.cores, m.ram_mb) for m in running]

    def switch(self, serial: str, wanted: str, allowed: tuple[str, ...]) -> None:
        """Bring a machine into a state, from one of the allowed ones."""
        with self._lock:
            machine = self._get(serial)
            if machine.state not in (*allowed, wanted):
                raise ToyError("WRONG_STATE", f"machine is {machine.state}")
            machine.change(wanted)

    def press_reset(self, serial: str) -> None:
        """Restart a machine that is on or frozen."""
        with self._lock:
            if self._get(serial).state == "off":
                raise ToyError("WRONG_STATE", "machine is off")

    def cap(self, serial: str) -> int:
        """Return a machine's cap in percent of one core, 0 for none."""
        with self._lock:
            return self._get(serial).cap_percent

    def set_cap(self, serial: str, percent: int) -> None:
        """Cap a machine that is not off."""
        with self._lock:
            machine = self._get(serial)
            if machine.state == "off":
                raise ToyError("WRONG_STATE", "machine is off")
            if percent < 0:
                raise ToyError("BAD_ARGUMENT", "percent must not be negative")
            machine.cpu_ms()
            machine.cap_percent = percent


_boxes: dict[str, Box] = {}


def open_box(address: str) -> Box:
    """Return the box at an address; a new one has three machines."""
    if address not in _boxes:
        _boxes[address] = Box([Machine(f"{address}-{n}", 2, 1024 * (n + 1), 60.0) for n in range(3)])
    return _boxes[address]
