"""A limit never lands on another VM's interface; caps and weights are kept in the scheduler's own units."""

import pytest

from yamori.agent.functions.cards import on_bridges, taps_of
from yamori.agent.functions.needs import NEEDS, needs
from yamori.agent.functions.netlink import Link
from yamori.agent.functions.settings import Function, HostSettings
from yamori.agent.functions.xen.credit import CreditBounds
from yamori.agent.functions.xen.library import CREDIT2, Schedule
from yamori.model.errors import Conflict, Invalid, Unsupported
from yamori.model.ids import HostId, VMId
from yamori.model.limits import LimitKind
from yamori.model.support import Level
from yamori.model.vm import VM, Nic, PowerState

MAC = "52:54:00:88:02:14"
CAP, WEIGHT = LimitKind.CPU_CAP, LimitKind.CPU_WEIGHT


def link(name: str = "vnet0", kind: str = "tun", mac: str = "fe:54:00:88:02:14", master: int = 4) -> Link:
    return Link(
        index=5, name=name, kind=kind, address=bytes.fromhex(mac.replace(":", "")), mtu=1500, master=master
    )


def vm(*nics: Nic) -> VM:
    return VM(
        id=VMId("a"), name="a", host=HostId("h"), state=PowerState.RUNNING, vcpus=1, memory_bytes=1,
        memory_max_bytes=1, nics=nics,
    )  # fmt: skip


CARD = Nic(target="vnet0", mac=MAC, network="vmbr0")


def test_a_tap_with_the_card_s_address_is_the_vm_s() -> None:
    assert taps_of(vm(CARD), {5: link()}) == [link()]


def test_a_tap_that_another_vm_took_over_is_refused() -> None:
    with pytest.raises(Conflict, match="another card"):
        taps_of(vm(CARD), {5: link(mac="fe:54:00:88:02:15")})


@pytest.mark.parametrize(
    ("nics", "present"),
    [
        ((), {5: link()}),
        ((Nic(target=None, mac=MAC, network=None),), {5: link()}),
        ((CARD,), {5: link(kind="macvtap")}),
        ((CARD,), {5: link(kind="")}),
        ((CARD,), {}),
        ((Nic(target="vnet0", mac="not a mac", network=None),), {5: link()}),
        ((Nic(target="vnet0", mac="", network=None),), {5: link()}),
        ((Nic(target="eth0", mac=MAC, network=None),), {5: link()}),
    ],
)
def test_anything_else_is_refused(nics: tuple[Nic, ...], present: dict[int, Link]) -> None:
    with pytest.raises((Unsupported, Conflict)):
        taps_of(vm(*nics), present)


def test_only_cards_on_named_bridges_are_touched() -> None:
    bridge = Link(index=4, name="vmbr0", kind="bridge", address=b"", mtu=1500, master=0)
    present = {5: link(), 4: bridge}
    assert on_bridges([link()], present, ()) == [link()]
    assert on_bridges([link()], present, ("vmbr0",)) == [link()]
    with pytest.raises(Unsupported):
        on_bridges([link()], present, ("other",))
    with pytest.raises(Unsupported):
        on_bridges([link(master=0)], present, ("vmbr0",))


class FakeControl:
    def __init__(self) -> None:
        self.kept = Schedule(weight=256, cap=0)
        self.running = CREDIT2

    def scheduler(self) -> int:
        return self.running

    def schedule(self, scheduler: int, domain: int) -> Schedule:
        return self.kept

    def grant(self, scheduler: int, domain: int, *, weight: int | None, cap: int | None) -> None:
        self.kept = Schedule(
            weight=self.kept.weight if weight is None else weight, cap=self.kept.cap if cap is None else cap
        )

    def close(self) -> None: ...


class FakeRoster:
    def read(self) -> "FakeRoster":
        return self

    def find(self, vm: VMId) -> "FakeRoster":
        return self

    @property
    def domain(self) -> "FakeRoster":
        return self

    number = 7


@pytest.fixture
def control() -> FakeControl:
    return FakeControl()


@pytest.fixture
def credit(control: FakeControl) -> CreditBounds:
    return CreditBounds(control, FakeRoster())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "asked", "kept", "seen"),
    [
        (CAP, 0.25, Schedule(weight=256, cap=25), 0.25),
        (CAP, 3.5, Schedule(weight=256, cap=350), 3.5),
        (CAP, 0.001, Schedule(weight=256, cap=1), 0.01),
        (CAP, None, Schedule(weight=256, cap=0), None),
        (WEIGHT, 0.5, Schedule(weight=128, cap=0), 0.5),
        (WEIGHT, 1.0, Schedule(weight=256, cap=0), None),
        (WEIGHT, 1e-9, Schedule(weight=1, cap=0), 1 / 256),
        (WEIGHT, None, Schedule(weight=256, cap=0), None),
    ],
)
def test_limits_are_kept_in_the_scheduler_s_units(
    credit: CreditBounds, control: FakeControl, kind: LimitKind, asked: float | None, kept: Schedule, seen: float
) -> None:
    credit.plan(vm(), {kind: asked})()
    assert control.kept == kept
    assert credit.read(vm())[kind] == seen


def test_one_kind_leaves_the_other(credit: CreditBounds, control: FakeControl) -> None:
    credit.plan(vm(), {CAP: 0.5})()
    credit.plan(vm(), {WEIGHT: 2.0})()
    assert control.kept == Schedule(weight=512, cap=50)


def test_more_than_the_scheduler_can_keep_is_invalid(credit: CreditBounds) -> None:
    for kind in (CAP, WEIGHT):
        with pytest.raises(Invalid):
            credit.plan(vm(), {kind: 1e6})


def test_another_scheduler_has_neither(credit: CreditBounds, control: FakeControl) -> None:
    control.running = 9
    assert {cell.level for cell in credit.cells().values()} == {Level.NONE}
    with pytest.raises(Conflict):
        credit.plan(vm(), {CAP: 0.5})


def test_each_function_says_what_it_needs_and_nothing_more_is_taken() -> None:
    assert set(NEEDS) == set(Function)
    assert needs(HostSettings()) == {"CAP_NET_ADMIN"}
    assert needs(HostSettings(functions=frozenset({Function.USAGE}))) == frozenset()
    assert all(need.why for need in NEEDS.values())


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": "a b"}, {"host": ""}, {"bridges": ("a/b",)}, {"bridges": ("x" * 16,)}, {"cgroup": "relative"},
        {"cgroup": "/sys/fs/cgroup/../x"}, {"state_dir": "/a\n"}, {"functions": ("fly",)}, {"more": 1},
        {"hypervisor": "vmware"},
    ],
)  # fmt: skip
def test_settings_that_are_not_understood_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        HostSettings(**wrong)  # type: ignore[arg-type]
