"""Which labs the story plays in, and what was found to fit each: loads, bounds and offenders."""

from collections.abc import Mapping
from dataclasses import dataclass

from yamori.lab.service import Load
from yamori.lab.spec import LabSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One lab as a stage. ``hosts`` says in words what it is made of; ``kinds`` are the acts that it can play.

    ``guard`` are the module's settings, ``policy`` the file with what such guests are promised, ``offenders`` who
    turns noisy in each act. ``steps``: about so many progress messages come while it is built.
    """

    hosts: str
    spec: LabSpec
    load: Load
    guard: Mapping[str, float]
    policy: str
    offenders: Mapping[str, str]
    steps: float
    tick_s: float = 0.5

    @property
    def kinds(self) -> tuple[str, ...]:
        """The acts, in order."""
        return tuple(self.offenders)


QEMU = Setting(
    hosts="2 real libvirt/QEMU hosts",
    # The offenders have eight times their neighbours' CPU shares, as guests from a template with high shares have.
    # Packing: room for what booted guests hold on a calm day, none for a hog.
    spec=LabSpec(name="demo", memory_packing_percent=95, cpu_shares={"vm-a3": 8192, "vm-b3": 8192}),
    # Four guests that use less than half of their host's core together: a calm day that leaves room.
    load=Load(rate=8.0, cpu_seconds=0.006),
    # A story should not take an hour: the guard tries sooner whether it can let go, and in larger steps.
    guard={"confidence": 0.53, "probe_s": 4.0, "loosen": 1.6, "gone_s": 5.0, "balloon_s": 2.0},
    policy="policy.yaml",
    offenders={"cpu": "vm-a3", "memory": "vm-b3", "disk": "vm-a3"},
    steps=28.0,
)
XEN = Setting(
    hosts="1 real Xen host with an agent in dom0",
    spec=LabSpec(name="demo-xen", hosts=0, xen_hosts=1, cpu_shares={"vm-x3": 8192}),
    load=Load(rate=5.0, cpu_seconds=0.01, pages=64),
    guard={"confidence": 0.53, "probe_s": 4.0, "loosen": 1.6, "gone_s": 5.0},
    policy="policy-xen.yaml",
    offenders={"cpu": "vm-x3", "disk": "vm-x3"},
    steps=16.0,
    tick_s=1.0,
)
SETTINGS: Mapping[str, Setting] = {"qemu": QEMU, "xen": XEN}
