"""Limits that end by themselves: what held before is on the disk before a limit is applied."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from yamori.agent.lapse_file import MOST, Key, Lapse, LapseFile
from yamori.agent.lapse_rules import begun, held, is_ours, same, settled
from yamori.capabilities.acting.limits import LimitsWriter
from yamori.capabilities.sensing.limits import LimitsReader
from yamori.model.errors import Conflict, Invalid, NotFound, Refused, Rejected, Tampered, YamoriError
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind, Limits, allowance, check_sense

_log = logging.getLogger(__name__)

LONGEST_NAP_S = 15.0
"""The loop's clock stands still while the host sleeps; the lapses' clock does not."""
LONGEST_RETRY_S = 300.0
BLIND_AFTER = 3
"""A limit that so many times could not be read (set on one of two cards, then killed) is put back unread."""
LONGEST_LAPSE_S = 366 * 86400.0


class Outcome(StrEnum):
    """How a lapse went."""

    ENDED = "ended"
    """What held before holds again."""
    LEFT = "left"
    """Another hand has changed the limit meanwhile: it stays."""
    GONE = "gone"
    """The VM, its run or the host's run is over, and the limit with it."""
    FAILED = "failed"
    """It could not be put back yet; it is tried again."""
    LOST = "lost"
    """The file was damaged: limits that were to end may hold on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LapseNote:
    """What became of a lapse. ``vm`` and ``kind`` are None where it concerns all of them."""

    outcome: Outcome
    vm: VMId | None
    kind: LimitKind | None
    words: str


def boottime() -> float:
    """Seconds since the host was switched on, sleep included (clock_gettime(2), CLOCK_BOOTTIME)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Identity of this run of the host's kernel (random(4)); empty when it does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def log_note(note: LapseNote) -> None:
    """Write a note to the log."""
    level = logging.WARNING if note.outcome in (Outcome.FAILED, Outcome.LOST) else logging.INFO
    _log.log(level, "limit %s of %s: %s: %s", note.kind, note.vm, note.outcome, note.words)


class LapsingLimits:
    """A LimitsWriter and LimitsReader over others that cannot end a limit by themselves.

    ``runs`` says whether a VM executes here: live limits end with its run. ``tell`` hears what becomes of lapses.
    Nothing ends unless ``run`` is running, or ``tend`` is called.
    """

    def __init__(
        self,
        writer: LimitsWriter,
        reader: LimitsReader,
        path: Path,
        *,
        runs: Callable[[VMId], Awaitable[bool]] | None = None,
        tell: Callable[[LapseNote], None] = log_note,
        clock: Callable[[], float] = boottime,
        boot: str | None = None,
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._file = LapseFile(path)
        self._runs = runs
        self._tell = tell
        self._clock = clock
        self._boot = boot_id() if boot is None else boot
        self._lapses: dict[Key, Lapse] = {}
        self._retry: dict[Key, tuple[int, float]] = {}
        self._saving = asyncio.Lock()
        self._turns: dict[VMId, tuple[asyncio.Lock, int]] = {}
        self._changed = asyncio.Event()

    @property
    def pending(self) -> tuple[Lapse, ...]:
        """All limits that will end by themselves."""
        return tuple(self._lapses.values())

    async def load(self) -> None:
        """Take up what an earlier life of the agent has promised. Raises Failed when the file cannot be read."""
        try:
            boot, lapses = await asyncio.to_thread(self._file.load)
        except Tampered as error:
            kept = await asyncio.to_thread(self._file.set_aside)
            words = f"{error}; kept as {kept}; limits that were to end by themselves may hold on"
            self._tell(LapseNote(outcome=Outcome.LOST, vm=None, kind=None, words=words))
            return
        if lapses and boot and self._boot and boot != self._boot:
            words = f"the host was started anew: {len(lapses)} limits ended with its last run"
            self._tell(LapseNote(outcome=Outcome.GONE, vm=None, kind=None, words=words))
            await asyncio.to_thread(self._file.save, self._boot, ())
            return
        self._lapses = {lapse.key: lapse for lapse in lapses}

    async def read(self, vm: VMId) -> Limits:
        """Read all limits of one VM from the hypervisor."""
        return await self._reader.read(vm)

    async def pin(self, vm: VMId, cpus: frozenset[int] | None) -> None:
        """Let all vCPUs of the VM run only on these host CPUs; does not lapse."""
        await self._writer.pin(vm, cpus)

    async def set(
        self, vm: VMId, limits: Mapping[LimitKind, float | None], *, lapse_s: float | None = None
    ) -> None:
        """Set the named limits of a running VM; with ``lapse_s`` they go back by themselves."""
        check_sense(limits, lapse_s, subject=vm)
        if lapse_s is not None and lapse_s > LONGEST_LAPSE_S:
            raise Invalid(f"a lapse can be at most {LONGEST_LAPSE_S:.0f} s, not {lapse_s}", subject=vm)
        async with _Turn(self._turns, vm):
            if lapse_s is not None:
                await self._set_for(vm, limits, lapse_s)
                return
            await self._writer.set(vm, limits)
            await self._keep(drop=[(vm, kind) for kind in limits])

    async def _set_for(self, vm: VMId, limits: Mapping[LimitKind, float | None], lapse_s: float) -> None:
        until = self._clock() + lapse_s
        if self._runs is not None and not await self._runs(vm):
            raise Conflict("the VM is not running", subject=vm)
        present = await self._reader.read(vm)
        earlier = {kind: self._lapses.get((vm, kind)) for kind in limits}
        fresh = [
            begun(Lapse(vm=vm, kind=kind, before=None, ours=(value,), until=until), earlier[kind], present)
            for kind, value in limits.items()
        ]
        if len(self._lapses) + len(fresh) > MOST:
            raise Conflict("too many limits are waiting for their end", subject=vm)
        await self._keep(fresh)
        try:
            await self._writer.set(vm, limits)
        except Refused:  # nothing was changed
            known = [lapse for lapse in earlier.values() if lapse is not None]
            await self._keep(known, drop=[(vm, kind) for kind, lapse in earlier.items() if lapse is None])
            raise
        with suppress(YamoriError):  # what cannot be read back now is compared with what was asked
            present = await self._reader.read(vm)
            await self._keep(settled(lapse, limits[lapse.kind], present) for lapse in fresh)

    async def run(self) -> None:
        """End what is due, until cancelled."""
        while True:
            self._changed.clear()
            wait = await self.tend()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), min(wait, LONGEST_NAP_S))

    async def tend(self) -> float:
        """End what is due now; return the seconds until something will be due."""
        due = [lapse for lapse in self._lapses.values() if self._when(lapse) <= self._clock()]
        for lapse in sorted(due, key=self._when):
            async with _Turn(self._turns, lapse.vm):
                now = self._lapses.get(lapse.key)
                if now is not None and self._when(now) <= self._clock():
                    await self._finish(now)
        return max(0.0, min((self._when(lapse) for lapse in self.pending), default=math.inf) - self._clock())

    async def end_all(self) -> None:
        """Let everything go back now, as when the agent is removed. What fails stays pending."""
        for lapse in self.pending:
            async with _Turn(self._turns, lapse.vm):
                now = self._lapses.get(lapse.key)
                if now is not None:
                    await self._finish(now)

    def _when(self, lapse: Lapse) -> float:
        return self._retry.get(lapse.key, (0, lapse.until))[1]

    async def _finish(self, lapse: Lapse) -> None:
        try:
            outcome, words = await self._put_back(lapse)
            await self._keep(drop=[lapse.key])
        except Exception as error:  # noqa: BLE001 -- the edge: whatever breaks here, all other limits must still end
            tries = self._retry.get(lapse.key, (0, 0.0))[0] + 1
            pause = min(LONGEST_RETRY_S, float(2 ** min(tries, 16)))
            self._retry[lapse.key] = (tries, self._clock() + pause)
            outcome, words = Outcome.FAILED, f"{error}; tried {tries} times, again in {pause:.0f} s"
        self._tell(LapseNote(outcome=outcome, vm=lapse.vm, kind=lapse.kind, words=words))

    async def _put_back(self, lapse: Lapse) -> tuple[Outcome, str]:
        goal = allowance(lapse.kind, lapse.before)
        try:
            if self._runs is not None and not await self._runs(lapse.vm):
                return Outcome.GONE, "the VM no longer runs here"
            present = await self._reader.read(lapse.vm)
            if lapse.kind in present.values or self._retry.get(lapse.key, (0, 0.0))[0] < BLIND_AFTER:
                now = held(lapse, present)
                if same(lapse.kind, now, lapse.before):
                    return Outcome.ENDED, f"{goal} held already"
                if not is_ours(lapse, now):
                    return Outcome.LEFT, f"{allowance(lapse.kind, now)} was set by another hand"
            await self._writer.set(lapse.vm, {lapse.kind: lapse.before})
            if is_ours(lapse, held(lapse, await self._reader.read(lapse.vm))):
                raise Rejected(f"{goal} was accepted and does not hold", subject=lapse.vm)
        except NotFound:
            return Outcome.GONE, "the VM is no longer here"
        return Outcome.ENDED, f"back to {goal}"

    async def _keep(self, added: Iterable[Lapse] = (), *, drop: Iterable[Key] = ()) -> None:
        """Put a change on the disk, then into memory. Once begun it is done whole, even if the caller is gone."""
        await asyncio.shield(
            asyncio.ensure_future(self._change({each.key: each for each in added}, frozenset(drop)))
        )

    async def _change(self, added: dict[Key, Lapse], dropped: frozenset[Key]) -> None:
        async with self._saving:
            changed = {key: lapse for key, lapse in self._lapses.items() if key not in dropped} | added
            if changed != self._lapses:
                await asyncio.to_thread(self._file.save, self._boot, changed.values())
                for key in (*dropped, *added):
                    self._retry.pop(key, None)
                self._lapses = changed
                self._changed.set()


class _Turn:
    """One change of a VM at a time, and nothing kept of VMs that nobody changes."""

    def __init__(self, turns: dict[VMId, tuple[asyncio.Lock, int]], vm: VMId) -> None:
        self._turns = turns
        self._vm = vm

    async def __aenter__(self) -> None:
        lock, users = self._turns.get(self._vm, (asyncio.Lock(), 0))
        self._turns[self._vm] = lock, users + 1
        try:
            await lock.acquire()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._turns[self._vm][0].release()
        self._leave()

    def _leave(self) -> None:
        lock, users = self._turns.pop(self._vm)
        if users > 1:
            self._turns[self._vm] = lock, users - 1
