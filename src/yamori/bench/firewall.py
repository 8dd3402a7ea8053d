"""What a host's packet filter costs: loading, one VM's change among many, and each packet; beside nft and libvirt.

All in network namespaces of its own. CPU time is the process's own with the kernel's, never wall time.
"""

import platform
import shutil
import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from yamori.agent.filter.engine import Engine
from yamori.agent.filter.port import Attachment
from yamori.agent.filter.seat import Seat
from yamori.agent.filter.way import Means, find_out
from yamori.agent.filter.wire import Nft
from yamori.bench.firewall_nwfilter import Libvirt, measure
from yamori.bench.firewall_policy import card, linear, wanted
from yamori.bench.firewall_yard import Spent, Yard
from yamori.bench.result import Bench, BenchResult, Progress, machine
from yamori.model.errors import Failed, Unsupported

SIZES = (10, 1_000, 10_000)
UPDATES = 25
LINEAR = (10, 1_000)
"""The plain list is loaded with no more: with 10,000 VMs `nft -f` takes minutes, and a packet a millisecond."""
BINDINGS = 8
"""libvirt takes a second of CPU for one: with 1,000 it would be a quarter of an hour."""
ROUNDS, FRAMES = 15, 4_000
UPDATE_GOAL_MS, FLAT_GOAL, APPLY_GOAL = 50.0, 1.10, 20.0


@dataclass(slots=True, kw_only=True)
class Field:
    """One namespace with the rules of so many VMs; ``kind`` is who made them."""

    kind: str
    ports: int
    yard: Yard
    load: Spent | None = None
    packets: list[float]


def run(scale: float, progress: Progress) -> BenchResult:
    """Measure. ``scale`` multiplies the numbers of ports, rounds and frames."""
    with ExitStack() as stack:
        sizes = sorted({max(2, int(size * scale)) if scale < 1 else size for size in SIZES})
        progress("firewall: making a bridge in a network namespace")
        try:
            fields = [Field(kind="none", ports=0, yard=stack.enter_context(Yard(0)), packets=[])]
            means = fields[0].yard.run(_means)
        except (Unsupported, Failed, OSError) as error:
            return _skipped(scale, f"this cannot be measured here: {error}")
        updates: Mapping[str, float] = {}
        for size in sizes:
            progress(f"firewall: loading {size} ports")
            field = Field(kind="yamori", ports=size, yard=stack.enter_context(Yard(size // 2)), packets=[])
            field.load = field.yard.spent(lambda s=size: _load(means, s))  # type: ignore[misc]
            fields.append(field)
            if size == sizes[-1]:
                progress(f"firewall: changing one port among {size}, {UPDATES} times")
                updates = field.yard.run(lambda s=size: _updates(means, s))  # type: ignore[misc]
        if shutil.which("nft") is not None:
            for size in sorted({max(2, int(size * scale)) if scale < 1 else size for size in LINEAR}):
                progress(f"firewall: loading a plain list for {size} ports")
                fields.append(_plain(stack.enter_context(Yard(size // 2)), size))
        progress("firewall: sending packets")
        _send(fields, rounds=max(3, int(ROUNDS * min(1.0, scale))), frames=max(50, int(FRAMES * min(1.0, scale))))
        progress("firewall: libvirt's nwfilter, in namespaces of its own")
        bindings = int(BINDINGS * min(1.0, scale))
        theirs = measure(bindings) if bindings else Libvirt(why="scaled away")
    return _result(scale, means, fields, updates, theirs)


def _means() -> Means:
    with Nft() as nft:
        return find_out(nft)


def _engine(nft: Nft, means: Means) -> Engine:
    return Engine(nft, means.way, seat=means.seat)


def _load(means: Means, ports: int) -> None:
    with Nft() as nft:
        _engine(nft, means).apply(Attachment(interface=card(n), filter=wanted(n)) for n in range(ports))


def _updates(means: Means, ports: int) -> Mapping[str, float]:
    """Change one port after the other, far from one another; the medians in milliseconds."""
    taken: list[Spent] = []
    with Nft() as nft:
        engine = _engine(nft, means)
        for turn in range(UPDATES):
            number = turn * 397 % ports
            changed = Attachment(interface=card(number), filter=wanted(number, turn + 1))
            taken.append(Yard.measured(lambda c=changed: engine.apply([c])))  # type: ignore[misc]
    return {
        "cpu_ms": 1e3 * statistics.median(each.cpu_s for each in taken),
        "kernel_ms": 1e3 * statistics.median(each.kernel_s for each in taken),
        "worst_cpu_ms": 1e3 * max(each.cpu_s for each in taken),
    }


def _plain(yard: Yard, ports: int) -> Field:
    text = linear(iter(range(ports)))
    load = yard.spent(lambda: yard.program("nft -f -", text))
    return Field(kind="plain nft", ports=ports, yard=yard, load=load, packets=[])


def _send(fields: Sequence[Field], *, rounds: int, frames: int) -> None:
    """Send in turns, so that what else goes on here meets all alike."""
    for field in fields:
        field.yard.frames(20)
    for number in range(rounds):
        turned = fields if number % 2 else list(reversed(fields))
        for field in turned:
            count = frames if field.kind != "plain nft" or field.ports <= 100 else max(20, frames // 20)
            before = field.yard.passed()
            spent = field.yard.frames(count)
            if field.yard.passed() - before == count:  # else part of the work was left for later, or dropped
                field.packets.append(1e9 * spent.cpu_s / count)


def _result(
    scale: float, means: Means, fields: Sequence[Field], updates: Mapping[str, float], theirs: Libvirt
) -> BenchResult:
    bare = _packet(fields[0])
    rows = [["rules", "ports", "load", "a port", "one change", "a packet", "more than without"]]
    told: list[dict[str, Any]] = []
    for field in fields:
        packet, load = _packet(field), field.load
        changing = field.kind == "yamori" and field.ports == max(f.ports for f in fields if f.kind == "yamori")
        rows.append(
            [
                field.kind,
                f"{field.ports:,}",
                "" if load is None else f"{load.cpu_s:.2f} s",
                "" if load is None else f"{1e3 * load.cpu_s / field.ports:.1f} ms",
                f"{updates['cpu_ms']:.1f} ms" if changing else "",
                _shown(packet),
                _shown(None if packet is None or bare is None else packet - bare),
            ]
        )
        told.append(
            {
                "kind": field.kind,
                "ports": field.ports,
                "load_cpu_s": None if load is None else load.cpu_s,
                "load_kernel_s": None if load is None else load.kernel_s,
                "packet_cpu_ns": packet,
                "packet_rounds": len(field.packets),
            }
        )
    if theirs.ports:
        each = f"{1e3 * theirs.cpu_s / theirs.ports:.0f} ms"
        rows.append(["libvirt nwfilter", f"{theirs.ports:,}", f"{theirs.cpu_s:.2f} s", each, each, "", ""])
    return BenchResult(
        title="CPU time of a host's packet filter (user and kernel)",
        rows=rows,
        json={
            "bench": "firewall",
            "scale": scale,
            "machine": machine() | {"kernel": platform.release().partition("-")[0]},
            "way": means.way,
            "seat": means.seat,
            "missing": dict(means.missing),
            "rule_sets": told,
            "update_one": {"among": max(f.ports for f in fields), **updates},
            "nwfilter": {"ports": theirs.ports, "cpu_s": theirs.cpu_s or None, "not_compared": theirs.why},
            "ratios": _ratios(fields, updates, theirs),
        },
        notes=_notes(means, theirs, fields),
    )


def _ratios(fields: Sequence[Field], updates: Mapping[str, float], theirs: Libvirt) -> dict[str, float | None]:
    """Our numbers beside the goals and the peers'; None where one of two was not measured."""
    ours = [field for field in fields if field.kind == "yamori"]
    plain = [field for field in fields if field.kind == "plain nft"]
    flat = [packet for field in ours if (packet := _packet(field)) is not None]
    a_port = [field.load.cpu_s / field.ports for field in ours if field.load is not None][-1]
    heavy = _packet(plain[-1]) if plain else None
    same = next((_packet(field) for field in ours if plain and field.ports == plain[-1].ports), None)
    return {
        "update_cpu_ms": updates["cpu_ms"],
        "update_goal_ms": UPDATE_GOAL_MS,
        "packet_most_ports_to_fewest": flat[-1] / flat[0] if len(flat) > 1 else None,
        "packet_flat_goal": FLAT_GOAL,
        "packet_plain_nft_to_ours": None if heavy is None or not same else heavy / same,
        "apply_nwfilter_to_ours": theirs.cpu_s / theirs.ports / a_port if theirs.ports else None,
        "apply_goal": APPLY_GOAL,
    }


def _notes(means: Means, theirs: Libvirt, fields: Sequence[Field]) -> list[str]:
    notes = [
        f"Way {means.way}, seat {means.seat}. A packet: a DNS question from a VM over the bridge to its uplink, "
        "with all that the kernel does on the way; medians of rounds in which all took turns.",
        "Only one VM's card is really there: others' rules wait for theirs, or are found by their names.",
    ]
    if means.seat is Seat.DEVICE:
        notes.append(
            "SCALED: on this kernel rules wait outside of it for their interface; only one port is loaded."
        )
    if any(field.kind == "plain nft" for field in fields):
        most = max(field.ports for field in fields if field.kind == "plain nft")
        notes.append(
            f"SCALED: the plain list (no ND, no DHCP, no counts) is loaded with {most:,} VMs at most; a "
            "change to it is a new load."
        )
    else:
        notes.append("NOT COMPARED: there is no `nft` here for the plain list.")
    if theirs.ports:
        notes.append(
            f"SCALED: libvirt's nwfilter was given {theirs.ports} ports; what more would cost was not measured."
        )
    else:
        notes.append(f"NOT COMPARED: libvirt's nwfilter: {theirs.why}")
    return notes


def _packet(field: Field) -> float | None:
    return statistics.median(field.packets) if field.packets else None


def _shown(ns: float | None) -> str:
    return "unknown" if ns is None else f"{ns / 1e3:.2f} us"


def _skipped(scale: float, why: str) -> BenchResult:
    return BenchResult(
        title="CPU time of a host's packet filter (user and kernel)",
        rows=[["rules", "ports"]],
        json={"bench": "firewall", "scale": scale, "machine": machine(), "skipped": [why]},
        notes=(f"SKIPPED: {why}",),
    )


BENCH = Bench(
    name="firewall",
    summary="a host's packet filter: loading, changing one port of many, each packet; beside nft and nwfilter",
    run=run,
)
