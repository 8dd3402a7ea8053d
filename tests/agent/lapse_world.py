"""A VM with limits, a clock that a test moves, and a list of what was said: what tests of lapses share."""

from collections.abc import Mapping

from yamori.agent.lapse import LapseNote
from yamori.model.errors import NotFound, YamoriError
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind, Limits

VM_A = VMId("11111111-1111-4111-8111-111111111111")
CAP, IOPS, WEIGHT = LimitKind.CPU_CAP, LimitKind.DISK_IOPS, LimitKind.CPU_WEIGHT


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class World:
    """Limits as a hypervisor keeps them: CPU caps in whole hundredths."""

    def __init__(self) -> None:
        self.held: dict[VMId, dict[LimitKind, float | None]] = {VM_A: dict.fromkeys(LimitKind)}
        self.hidden: dict[LimitKind, str] = {}
        self.refusal: YamoriError | None = None
        self.writes: list[tuple[VMId, dict[LimitKind, float | None]]] = []
        self.running = True

    async def runs(self, vm: VMId) -> bool:
        return self.running

    async def read(self, vm: VMId) -> Limits:
        if vm not in self.held:
            raise NotFound("there is no such VM", subject=vm)
        values = {k: v for k, v in self.held[vm].items() if k not in self.hidden}
        return Limits(values=values, unknown=dict(self.hidden))

    async def set(
        self, vm: VMId, limits: Mapping[LimitKind, float | None], *, lapse_s: float | None = None
    ) -> None:
        assert lapse_s is None, "who keeps lapses does not hand them on"
        if self.refusal is not None:
            raise self.refusal
        if vm not in self.held:
            raise NotFound("there is no such VM", subject=vm)
        self.writes.append((vm, dict(limits)))
        for kind, value in limits.items():
            rounded = round(value, 2) if value is not None and kind is CAP else value
            self.held[vm][kind] = rounded

    async def pin(self, vm: VMId, cpus: frozenset[int] | None) -> None:
        raise AssertionError("nobody pins here")


class Ear:
    def __init__(self) -> None:
        self.notes: list[LapseNote] = []

    def __call__(self, note: LapseNote) -> None:
        self.notes.append(note)

    @property
    def outcomes(self) -> list[str]:
        return [note.outcome.value for note in self.notes]
