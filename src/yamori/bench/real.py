"""One reading of a real host of a lab, beside asking the same host's libvirt for one VM after the other.

As many VMs as are there; nothing is worked out for more from them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from yamori.bench.result import BenchResult, LabWish, Progress, machine
from yamori.bench.stopwatch import Size, over_ours
from yamori.model.errors import Invalid, Unsupported

QEMU_GUESTS, MOST_QEMU_GUESTS = 6, 20
XEN_GUESTS, MOST_XEN_GUESTS = 4, 8
_QEMU_MIB, _XEN_MIB = 128, 96
"""Small enough for the most guests: a Xen host of the lab has 1,280 MiB for them."""
_NO_SQUEEZE = 1000
"""Percent of what the guests use: they shall not disturb the measurement by swapping."""


def qemu(wish: LabWish, progress: Progress) -> BenchResult:
    """A QEMU host: bulk statistics over TLS. Raises NotPermitted without root, Unsupported, Invalid, Failed."""
    try:
        from yamori.bench.labhost import run_to_end
        from yamori.bench.labreading import read_qemu
    except ImportError as error:
        raise Unsupported(
            "bench.libvirt", "libvirt-python is not installed: pip install 'yamori[libvirt]'"
        ) from error
    from yamori.lab.spec import LabSpec

    guests = _guests(wish, QEMU_GUESTS, MOST_QEMU_GUESTS)

    def spec(name: str) -> LabSpec:
        return LabSpec(
            name=name, hosts=1, guests_per_host=guests, guest_memory_mib=_QEMU_MIB,
            memory_packing_percent=_NO_SQUEEZE,
        )  # fmt: skip

    sizes, facts = run_to_end(read_qemu(wish, progress, spec))
    notes = ("The host's CPU is libvirtd's; what QEMU itself spends on answering is not in it.",)
    return result("libvirt-qemu", "a QEMU host (libvirt over TLS)", sizes, facts, notes)


def xen(wish: LabWish, progress: Progress) -> BenchResult:
    """A Xen host: what its agent in dom0 counts. Raises as ``qemu``."""
    try:
        from yamori.bench.labhost import run_to_end
        from yamori.bench.labreading import read_xen
    except ImportError as error:
        raise Unsupported(
            "bench.libvirt", "libvirt-python is not installed: pip install 'yamori[libvirt]'"
        ) from error
    from yamori.lab.spec import LabSpec

    guests = _guests(wish, XEN_GUESTS, MOST_XEN_GUESTS)

    def spec(name: str) -> LabSpec:
        return LabSpec(
            name=name, hosts=0, xen_hosts=1, xen_guests_per_host=guests, xen_guest_memory_mib=_XEN_MIB
        )  # fmt: skip

    sizes, facts = run_to_end(read_xen(wish, progress, spec))
    notes = (
        "Ours: the agent in dom0 over its line. VM by VM: libvirtd in dom0 over TLS; it has no bulk call there.",
        "The host's CPU is the agent's with its tracer, or libvirtd's, as an emulated machine counts it.",
    )
    return result("xen", "a Xen host (agent in dom0, emulated machine)", sizes, facts, notes)


def _guests(wish: LabWish, usual: int, most: int) -> int:
    guests = usual if wish.guests is None else wish.guests
    if not 1 <= guests <= most:
        raise Invalid(f"{guests} guests cannot be measured on one host of the lab", mend=f"use 1 to {most}")
    return guests


def result(
    driver: str, place: str, sizes: Sequence[Size], facts: Mapping[str, Any], notes: Sequence[str]
) -> BenchResult:
    """Put it into rows and JSON; the first size is the whole host, as the other drivers tell it."""
    rows = [["VMs", "way", "calls", "seconds", "our CPU", "CPU a VM", "host's CPU"]]
    for vms, ways in sizes:
        for way, cost in ways.items():
            rows.append([str(vms), way.replace("_", " "), *_cells(cost)])
    vms, ways = sizes[0]
    ratios = over_ours(ways)
    said = {"calls": "the calls", "wall_s": "the time", "cpu_s": "our CPU", "host_cpu_s": "the host's CPU"}
    words = ", ".join(f"{ratios[name]:.1f} x {what}" for name, what in said.items() if name in ratios)
    calls = ", ".join(f"{next(iter(each.values()))['calls']:.0f} with {_count(n)}" for n, each in sizes)
    return BenchResult(
        title=f"One reading of {_count(vms, 'real ')} on {place}",
        rows=rows,
        json={
            "bench": "collect",
            "driver": driver,
            "vms": vms,
            "machine": machine(),
            "ways": ways,
            "one_by_one_over_ours": ratios,
            "sizes": [{"vms": n, "ways": each, "one_by_one_over_ours": over_ours(each)} for n, each in sizes],
            **facts,
        },
        notes=(
            f"VM by VM takes {words}.",
            f"Our calls a reading: {calls}.",
            "Measured with as many real VMs as it says; a thousand would be another measurement.",
            *_refused(facts.get("one_by_one_refused", ())),
            *notes,
        ),
    )


def _count(vms: int, kind: str = "") -> str:
    return f"{vms} {kind}VM" if vms == 1 else f"{vms} {kind}VMs"


def _cells(cost: Mapping[str, float]) -> list[str]:
    return [
        f"{cost['calls']:,.0f}",
        f"{cost['wall_s'] * 1e3:.1f} ms",
        f"{cost['cpu_s'] * 1e3:.1f} ms",
        f"{cost['cpu_us_per_vm']:.0f} us",
        f"{cost['host_cpu_s'] * 1e3:.1f} ms",
    ]


def _refused(names: Sequence[str]) -> tuple[str, ...]:
    return (f"VM by VM leaves out what libvirt answers there with an error: {', '.join(names)}.",) if names else ()


LABS: Mapping[str, Callable[[LabWish, Progress], BenchResult]] = {"libvirt-qemu": qemu, "xen": xen}
