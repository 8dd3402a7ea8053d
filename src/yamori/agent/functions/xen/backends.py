"""What dom0's kernel serves to guests: disks and cards, and their counters, from sysfs and /proc.

Only the kernel writes here (Linux, drivers/block/xen-blkback, drivers/net/xen-netback); names are checked all the
same, for a card's name may be chosen in a guest's configuration.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_DEVICE = re.compile(r"(vbd|vif)-(\d{1,5})-(\d{1,9})")
_NUMBERS = re.compile(r"([0-9a-f]{1,8}):([0-9a-f]{1,8})\n?")
_SECTOR = 512.0
_MOST_DEVICES = 100_000
_CARD_COUNTERS = 16
_TICK_S = 1e-3
_READ_TICKS, _WRITE_TICKS = 3, 7
"""Fields of a block device's stat (Documentation/block/stat.rst)."""

Numbers = tuple[int, int]
"""Major and minor number of a block device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One device of one domain, ``vbd`` or ``vif``."""

    kind: str
    domain: int
    device: int

    @property
    def name(self) -> str:
        """Its name in sysfs."""
        return f"{self.kind}-{self.domain}-{self.device}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskCounters:
    """Since the disk was attached; times since its device was made, NaN where the device is not its alone."""

    read_ops: float
    write_ops: float
    read_bytes: float
    write_bytes: float
    read_s: float
    write_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CardCounters:
    """From the guest's view: ``in`` is towards the guest."""

    in_bytes: float
    out_bytes: float
    in_packets: float
    out_packets: float
    in_drops: float
    out_drops: float


class Backends:
    """Reads them. Blocking. ``root`` is where the file system begins, for tests with recorded trees."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._devices = root / "sys/bus/xen-backend/devices"
        self._blocks = root / "sys/dev/block"
        self._proc = root / "proc"

    def list(self) -> tuple[Backend, ...]:
        """All disks and cards that this kernel serves."""
        try:
            names = [path.name for path in self._devices.iterdir()]
        except OSError:
            return ()
        found = []
        for name in names[:_MOST_DEVICES]:
            parsed = _DEVICE.fullmatch(name)
            if parsed is not None:
                found.append(Backend(kind=parsed[1], domain=int(parsed[2]), device=int(parsed[3])))
        return tuple(found)

    def block(self, disk: Backend) -> Numbers | None:
        """The block device behind a disk; None while it is not connected."""
        parsed = _NUMBERS.fullmatch(_text(self._devices / disk.name / "physical_device"))
        return None if parsed is None else (int(parsed[1], 16), int(parsed[2], 16))

    def read_only(self, disk: Backend) -> bool:
        """Whether the guest may only read."""
        return not _text(self._devices / disk.name / "mode").startswith("w")

    def size(self, block: Numbers) -> int | None:
        """Bytes of a block device."""
        told = _text(self._block(block) / "size").strip()
        return int(told) * 512 if told.isdigit() else None

    def whole(self, block: Numbers) -> Numbers | None:
        """The disk that a partition lies on, or the device itself: only whole devices can be throttled."""
        path = self._block(block)
        if not (path / "partition").exists():
            return block if path.exists() else None
        found = re.fullmatch(r"(\d+):(\d+)\n?", _text(path.resolve().parent / "dev"))
        return None if found is None else (int(found[1]), int(found[2]))

    def disk_counters(self, disk: Backend, *, alone: bool) -> DiskCounters:
        """Counters of one disk; NaN for what cannot be read. ``alone``: nobody else uses its block device."""
        folder = self._devices / disk.name / "statistics"
        told = {name: _number(folder / name) for name in ("rd_req", "wr_req", "rd_sect", "wr_sect")}
        block = self.block(disk) if alone else None
        times = [] if block is None else _text(self._block(block) / "stat").split()
        return DiskCounters(
            read_ops=told["rd_req"],
            write_ops=told["wr_req"],
            read_bytes=told["rd_sect"] * _SECTOR,
            write_bytes=told["wr_sect"] * _SECTOR,
            read_s=_field(times, _READ_TICKS) * _TICK_S,
            write_s=_field(times, _WRITE_TICKS) * _TICK_S,
        )

    def shared(self, blocks: Iterable[Numbers | None]) -> frozenset[Numbers]:
        """Of these devices, each told once a disk, those that somebody else uses too."""
        seen: set[Numbers] = set()
        twice: set[Numbers] = set()
        for block in blocks:
            if block is not None:
                (twice if block in seen else seen).add(block)
        mounted = self._mounted()
        held = {block for block in seen if self._is_held(block)}
        return frozenset(twice | held | (seen & mounted))

    def card_names(self, card: Backend) -> tuple[str, ...]:
        """Names of a card's interfaces in dom0: the paravirtual one, and that of the emulated card beside it."""
        try:
            names = sorted(path.name for path in (self._devices / card.name / "net").iterdir())
        except OSError:
            return ()
        return tuple(name for own in names[:1] for name in (own, f"{own}-emu"))

    def interfaces(self) -> Mapping[str, CardCounters]:
        """Counters of all interfaces in one read (proc(5), /proc/net/dev)."""
        found: dict[str, CardCounters] = {}
        for line in _text(self._proc / "net/dev", 1 << 22).splitlines()[2:]:
            name, colon, rest = line.rpartition(":")
            told = rest.split()
            if colon and len(told) >= _CARD_COUNTERS:
                found[name.strip()] = CardCounters(
                    out_bytes=_field(told, 0),
                    out_packets=_field(told, 1),
                    out_drops=_field(told, 3),
                    in_bytes=_field(told, 8),
                    in_packets=_field(told, 9),
                    in_drops=_field(told, 11),
                )
        return found

    def _block(self, block: Numbers) -> Path:
        return self._blocks / f"{block[0]}:{block[1]}"

    def _is_held(self, block: Numbers) -> bool:
        try:
            return any((self._block(block) / "holders").iterdir())
        except OSError:
            return False

    def _mounted(self) -> set[Numbers]:
        found = set()
        for line in _text(self._proc / "self/mountinfo", 1 << 22).splitlines():
            words = line.split(maxsplit=3)
            numbers = words[2].split(":") if len(words) > 2 else []
            if len(numbers) == 2 and all(number.isdigit() for number in numbers):
                found.add((int(numbers[0]), int(numbers[1])))
        return found


def _text(path: Path, most: int = 4096) -> str:
    try:
        with path.open("rb") as file:
            return file.read(most).decode("ascii", "replace")
    except OSError:
        return ""


def _number(path: Path) -> float:
    return _field([_text(path).strip()], 0)


def _field(words: list[str], place: int) -> float:
    """A counter; the kernel's have 64 bits, so that anything longer than 20 digits is none."""
    parsed = re.fullmatch(r"[0-9]{1,20}", words[place]) if place < len(words) else None
    return math.nan if parsed is None else float(parsed[0])
