"""Judges an act: which effects were not seen. A story whose numbers do not show harm and cure is no proof."""

from collections.abc import Iterator

from yamori.demo.report import Act, Phases

READ_BACK = 1.05
"""How far a limit that was read back may exceed what was asked: hypervisors round to their own units."""
BINDS = {"cpu_cap": 1.25}
LOOSELY = 1.4
"""How far use over seconds may exceed a limit that holds: schedulers settle accounts over some of their periods;
disks and network cards, which are not in the table, let bursts through."""


def judge(act: Act) -> list[str]:
    """Return what went wrong, in words; nothing when every effect was seen."""
    return [*_limits(act), *_use(act), *_phases(act), *_release(act)]


def number(value: float | None) -> str:
    """Write a measured number, or that there is none."""
    return "?" if value is None else f"{value:.4g}"


def _limits(act: Act) -> Iterator[str]:
    if not act.asked_at_end:
        yield "no hold was in force when the attack ended"
    for asked, read_back in ((act.asked, act.read_back), (act.asked_at_end, act.read_back_at_end)):
        for kind, wanted in asked.items():
            got = read_back.get(kind)
            if got is None or got > wanted * READ_BACK:
                yield f"{kind}: asked {wanted:.6g}, read back {number(got)}"


def _use(act: Act) -> Iterator[str]:
    for kind, use in act.used_steadily.items():
        if use is not None and use > act.asked_steadily[kind] * BINDS.get(kind, LOOSELY):
            yield f"{kind}: {act.asked_steadily[kind]:.6g} was asked, yet {use:.6g} is used"


def _phases(act: Act) -> Iterator[str]:
    measures: tuple[tuple[str, Phases | None], ...] = (("objective", act.objective), ("service", act.service))
    for name, phases in measures:
        if phases is None or phases.before is None or phases.during is None or phases.after is None:
            yield f"the neighbours' {name} could not be measured in every phase"
        elif not (phases.during > phases.before and phases.after < phases.during):
            yield f"the neighbours' {name} does not show harm and recovery"


def _release(act: Act) -> Iterator[str]:
    for kind, value in act.after_release.items():
        if value is not None and value <= READ_BACK * max(
            act.asked.get(kind, 0.0), act.asked_at_end.get(kind, 0.0)
        ):
            yield f"{kind}: still limited to {value:.6g} after the release"
