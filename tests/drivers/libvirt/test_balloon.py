"""A limit on memory: asked of the guest, and held by the host only where its memory can be paged out."""

import pytest

from yamori.drivers.libvirt import balloon
from yamori.drivers.libvirt.translate import Definition, definition
from yamori.model.errors import Invalid, Unsupported
from yamori.model.limits import LimitKind

MIB = 1 << 20
FILE = "<memoryBacking><source type='file'/></memoryBacking>"
LOCKED = "<memoryBacking><source type='file'/><locked/></memoryBacking>"
HUGE = "<memoryBacking><source type='file'/><hugepages/></memoryBacking>"
UNLIMITED_KIB = 9_007_199_254_740_991


class Handle:
    """Notes what would be set. Values in KiB, as libvirt takes them."""

    def __init__(self) -> None:
        self.balloon: list[int] = []
        self.bounds: list[int] = []

    def setMemoryFlags(self, kib: int, _: int) -> int:
        self.balloon.append(kib)
        return 0

    def setMemoryParameters(self, asked: dict[str, int], _: int) -> int:
        assert set(asked) == {"hard_limit"}
        self.bounds.append(asked["hard_limit"])
        return 0


def _vm(backing: str = "", *, current: int = 512, bound: int | None = None, model: str = "virtio") -> Definition:
    tune = "" if bound is None else f"<memtune><hard_limit unit='MiB'>{bound}</hard_limit></memtune>"
    return definition(
        f"<domain><name>a</name><uuid>6695eb01-f6a4-8304-79aa-97f2502e193f</uuid><memory unit='MiB'>512</memory>"
        f"<currentMemory unit='MiB'>{current}</currentMemory>{backing}{tune}"
        f"<devices><memballoon model='{model}'/></devices></domain>"
    )


def _set(found: Definition, value: float | None) -> Handle:
    handle = Handle()
    for call in balloon.plan(handle, found, {LimitKind.MEMORY: value}):
        call()
    return handle


@pytest.mark.parametrize(
    ("current", "bound", "told"),
    [(512, None, None), (256, None, 256), (512, 300, 300), (256, 300, 256), (400, 300, 300), (512, 4096, None)],
)
def test_the_stricter_of_balloon_and_bound_is_what_holds(
    current: int, bound: int | None, told: int | None
) -> None:
    assert balloon.read(_vm(FILE, current=current, bound=bound)) == (None if told is None else told * MIB)


def test_memory_in_a_file_is_asked_for_and_held() -> None:
    handle = _set(_vm(FILE), 200.0 * MIB)
    assert (handle.balloon, handle.bounds) == ([200 * 1024], [200 * 1024])


@pytest.mark.parametrize("backing", ["", LOCKED, HUGE])
def test_memory_that_cannot_be_paged_out_is_never_bounded_by_the_host(backing: str) -> None:
    handle = _set(_vm(backing), 200.0 * MIB)
    assert (handle.balloon, handle.bounds) == ([200 * 1024], [])


def test_without_a_balloon_the_host_alone_holds() -> None:
    handle = _set(_vm(FILE, model="none"), 200.0 * MIB)
    assert (handle.balloon, handle.bounds) == ([], [200 * 1024])


def test_release_gives_all_back_and_takes_the_bound_away() -> None:
    handle = _set(_vm(FILE, current=200, bound=200), None)
    assert (handle.balloon, handle.bounds) == ([512 * 1024], [UNLIMITED_KIB])


def test_release_of_a_vm_that_is_not_bounded_leaves_its_control_group_alone() -> None:
    assert _set(_vm(FILE), None).bounds == []


def test_with_neither_it_cannot_be_limited() -> None:
    with pytest.raises(Unsupported, match="no balloon"):
        balloon.plan(Handle(), _vm(model="none"), {LimitKind.MEMORY: 200.0 * MIB})


@pytest.mark.parametrize("mib", [0.0, 63.0, 513.0])
def test_what_makes_no_sense_is_refused_before_anything_is_set(mib: float) -> None:
    with pytest.raises(Invalid, match="make sense"):
        balloon.plan(Handle(), _vm(FILE), {LimitKind.MEMORY: mib * MIB})


def test_other_limits_leave_memory_alone() -> None:
    assert balloon.plan(Handle(), _vm(FILE), {LimitKind.CPU_CAP: 1.0}) == []
