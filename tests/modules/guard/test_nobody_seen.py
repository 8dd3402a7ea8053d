"""A reading without a single VM, as at the start or while all hosts are away, must not stop the guard."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from yamori.capabilities.sensing.usage import Column, HostColumn, UsageFrame, merge
from yamori.manifest.module import FleetView
from yamori.model.ids import HostId, VMId
from yamori.model.sla import STANDARD_CLASSES
from yamori.model.vm import VM, PowerState
from yamori.modules.guard import MODULE
from yamori.modules.guard.sense import Observation

START = datetime(2026, 1, 1, tzinfo=UTC)
VMS = tuple(VMId(f"vm-{n}") for n in range(4))


def frame(second: float, *, delay: float) -> UsageFrame:
    values = np.full((len(VMS), len(Column)), np.nan)
    values[:, Column.RUNNING] = 1.0
    values[:, Column.VCPUS] = 1.0
    values[:, Column.CPU_TIME] = 0.2 * second
    values[:, Column.CPU_DELAY] = delay * second
    host = np.full((1, len(HostColumn)), np.nan)
    host[0, HostColumn.CPUS] = 1.0
    return UsageFrame(
        wall=START + timedelta(seconds=second),
        vms=VMS,
        hosts=(HostId("h"),),
        host_of=np.zeros(len(VMS), np.int32),
        read_at=np.array([second]),
        values=values,
        host_values=host,
    )


def test_empty_readings_in_between_are_survived() -> None:
    vms = {
        vm: VM(
            id=vm,
            name=vm,
            host=HostId("h"),
            state=PowerState.RUNNING,
            vcpus=1,
            memory_bytes=1 << 30,
            memory_max_bytes=1 << 30,
            labels={"sla": "gold"},
        )
        for vm in VMS
    }
    view = FleetView(now=START, vms=vms, classes=STANDARD_CLASSES, holds={}, kinds={}, can_migrate=frozenset())
    memory, settings = MODULE.memory(), MODULE.settings()
    suffering = False
    for second in range(12):
        empty = second in (0, 1, 5)
        seen = merge([], START) if empty else frame(float(second), delay=0.6)
        missing = {HostId("h"): "away"} if empty else {}
        now = replace(view, now=START + timedelta(seconds=second))
        memory, findings = MODULE.assess(Observation(frame=seen, view=now, missing=missing), memory, settings)
        suffering = suffering or any(f.victims for f in findings)
    assert suffering
