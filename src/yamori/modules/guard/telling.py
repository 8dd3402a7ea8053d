"""Puts a case into words and evidence: the finding that operators read and that respond answers."""

import numpy as np

from yamori.capabilities.sensing.rates import Rate
from yamori.model.finding import Coverage, Evidence, Finding, Severity
from yamori.model.ids import VMId
from yamori.model.vm import VM
from yamori.modules.guard import scenes
from yamori.modules.guard.baseline import UNITS, Use
from yamori.modules.guard.cases import CONTENTION, OVERLOAD, Case
from yamori.modules.guard.evidence import Word
from yamori.modules.guard.nature import Nature
from yamori.modules.guard.reading import Reading
from yamori.modules.guard.standing import OBJECTIVES, RESOURCES, Standing

MODULE = "guard"
OBJECTIVE_UNITS = ("s/s", "", "s", "")
MOST_VICTIMS = 8
"""Measured values of at most so many victims go into the evidence."""
MOST_MISSING = 8


def tell(case: Case, reading: Reading) -> Finding:
    """Return the finding of a case as it stands at this reading."""
    host = reading.numbers.get(case.host)
    rows = reading.groups.rows(host) if host is not None else np.empty(0, np.int64)
    where = {reading.frame.vms[row]: row for row in rows.tolist()}
    judgement = case.judgement
    return Finding(
        id=case.id,
        key=case.key,
        module=MODULE,
        kind=case.kind,
        severity=_severity(case),
        confidence=round(case.confidence, 3),
        summary=_summary(case, reading),
        host=case.host,
        cause=case.cause,
        victims=case.victims,
        resource=RESOURCES[case.resource],
        nature=str(judgement.nature if judgement is not None else Nature.UNKNOWN),
        evidence=(*_victims(case, reading, where), *_cause(case, reading, where), *_course(case)),
        coverage=_coverage(case, reading, rows),
        opened_at=case.opened_at,
        updated_at=reading.view.now,
        closed_at=reading.view.now if case.closed else None,
        techniques=judgement.techniques if judgement is not None else (),
    )


def _severity(case: Case) -> Severity:
    if case.kind == CONTENTION:
        attack = case.judgement is not None and case.judgement.nature is Nature.ATTACK
        return Severity.HIGH if attack else Severity.MEDIUM
    return Severity.MEDIUM if case.kind == OVERLOAD and len(case.victims) > 1 else Severity.LOW


def name(vm: VMId, known: VM | None) -> str:
    """Return what people call a VM. The name is the operator's word, bounded and made printable."""
    untrusted_name = vm if known is None else known.name
    return "".join(c if c.isprintable() else "?" for c in untrusted_name[:64])


def _summary(case: Case, reading: Reading) -> str:
    called = "" if case.cause is None else name(case.cause, reading.view.vms.get(case.cause))
    resource = RESOURCES[case.resource]
    if case.kind == OVERLOAD:
        lack = (
            f"{len(case.victims)} VMs on {case.host} lack"
            if len(case.victims) != 1
            else f"1 VM on {case.host} lacks"
        )
        text = f"{lack} {resource} and nobody stands out as the cause"
    elif case.kind == CONTENTION:
        who = f"{len(case.victims)} VM" + ("s" if len(case.victims) != 1 else "")
        text = f"{called} takes {resource} from {who} on {case.host}"
        if case.judgement is not None and case.judgement.signs:
            text += f" ({case.judgement.nature}: {', '.join(case.judgement.signs)})"
    else:
        text = f"{called} on {case.host} uses {resource} as it never did; nobody suffers"
    if case.cause is not None and case.cause in reading.view.drifted:
        text += "; its limits were changed by hand, so the guard keeps its hands off"
    if case.closed:
        text += "; over"
    return text


def _victims(case: Case, reading: Reading, where: dict[VMId, int]) -> list[Evidence]:
    objective = OBJECTIVES[case.resource]
    told = []
    for vm in case.victims[:MOST_VICTIMS]:
        row = where.get(vm)
        if row is not None and not np.isnan(reading.measured[case.resource, row]):
            value = float(reading.measured[case.resource, row])
            bound = float(reading.bounds[case.resource, row])
            unit = OBJECTIVE_UNITS[case.resource]
            told.append(Evidence(what=objective.value, subject=vm, value=value, unit=unit))
            told.append(Evidence(what=f"{objective.value}_bound", subject=vm, value=bound, unit=unit))
    return told


def _cause(case: Case, reading: Reading, where: dict[VMId, int]) -> list[Evidence]:
    row = None if case.cause is None else where.get(case.cause)
    if row is None or case.cause is None:
        return []
    subject = case.cause

    def said(word: Word, value: float, unit: str, usual: float | None = None) -> list[Evidence]:
        if np.isnan(value):
            return []
        known = None if usual is None or np.isnan(usual) else usual
        return [Evidence(what=word.value, subject=subject, value=float(value), unit=unit, usual=known)]

    rates = reading.rates.values[:, row]
    usual = float(reading.usual.mean[case.resource, row])
    told = said(Word.TAKEN, float(reading.taken[case.resource, row]), UNITS[case.resource], usual)
    told += said(Word.CORES, rates[Rate.CPU_CORES], "cores", float(reading.usual.mean[Use.CPU, row]))
    told += said(Word.FAIR, scenes.fair_share(reading, row), "cores")
    told += said(Word.ASSIGNED, rates[Rate.MEMORY_ASSIGNED_BYTES], "B")
    told += said(Word.RESIDENT, rates[Rate.MEMORY_RESIDENT_BYTES], "B")
    told += said(Word.IOPS, rates[Rate.DISK_IOPS], "IO/s")
    told += said(Word.BYTES, rates[Rate.DISK_BYTES_S], "B/s")
    told += said(Word.SENT, rates[Rate.NET_TX_BYTES_S], "B/s")
    if case.suspect is not None:
        told += said(Word.GROWTH, case.suspect.rise, "")
        told += said(Word.SHARE, case.suspect.share, "")
        told += said(Word.RELIEF, case.suspect.relief, "")
        if case.suspect.together is not None:
            told += said(Word.TOGETHER, case.suspect.together, "")
    return told


def _course(case: Case) -> list[Evidence]:
    subject = case.cause or case.host
    numbers = (
        (Word.SUFFERING, float(case.suffering), "VMs"),
        (Word.LACK, case.lack, UNITS[case.resource]),
        (Word.EXCESS, case.excess, ""),
        (Word.CALM, case.calm_s, "s"),
        (Word.QUIET, case.quiet_s, "s"),
        (Word.HELD, case.held_s, "s"),
        (Word.FAILURES, float(case.failures), ""),
        (Word.LASTED, case.lasted_s, "s"),
        (Word.STUCK, case.stuck_s, "s"),
        (Word.TICK, case.tick_s, "s"),
        (Word.SQUEEZED, float(case.squeezed), ""),
        (Word.SILENT, float(case.silent), ""),
    )
    told = [Evidence(what=w.value, subject=subject, value=v, unit=u) for w, v, u in numbers]
    if case.good is not None and case.asked is not None and not case.probing:
        parts = [case.good[k] / v for k, v in case.asked.items() if k in case.good and v > 0]
        if parts:
            told.append(Evidence(what=Word.GOOD.value, subject=subject, value=min(parts), unit=""))
    return told


def _coverage(case: Case, reading: Reading, rows: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Coverage:
    """Count the VMs of the host that are promised the objective, and those of them whose value was known."""
    standing = reading.standing[case.resource, rows]
    promised = standing != Standing.NOT_PROMISED
    unknown = standing == Standing.UNKNOWN
    missing = [f"{host}: {why}"[:200] for host, why in list(reading.missing.items())[:MOST_MISSING]]
    if unknown.any():
        missing.append(f"{OBJECTIVES[case.resource].value} of {int(unknown.sum())} VMs")
    return Coverage(examined=int((promised & ~unknown).sum()), of=int(promised.sum()), missing=tuple(missing))
