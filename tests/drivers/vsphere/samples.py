"""The server's answers about performance, made up for tests. Real ones have this form."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pyVmomi import vim

Manager = vim.PerformanceManager
NAMES = (
    "cpu.used.summation",
    "cpu.ready.summation",
    "cpu.costop.summation",
    "cpu.maxlimited.summation",
    "mem.consumed.average",
    "mem.vmmemctl.average",
    "virtualDisk.numberReadAveraged.average",
    "virtualDisk.numberWriteAveraged.average",
    "virtualDisk.read.average",
    "virtualDisk.write.average",
    "virtualDisk.totalReadLatency.average",
    "virtualDisk.totalWriteLatency.average",
    "net.received.average",
    "net.transmitted.average",
    "net.packetsRx.summation",
    "net.packetsTx.summation",
    "net.droppedRx.summation",
    "net.droppedTx.summation",
)
NUMBERS = {name: number for number, name in enumerate(NAMES, 100)}


def counters(names: Sequence[str] = NAMES) -> list[Any]:
    """What perfCounter tells."""
    made = []
    for name in names:
        group, counter, rollup = name.split(".")
        made.append(
            Manager.CounterInfo(
                key=NUMBERS[name],
                nameInfo=vim.ElementDescription(key=counter, label=counter, summary=counter),
                groupInfo=vim.ElementDescription(key=group, label=group, summary=group),
                unitInfo=vim.ElementDescription(key="number", label="n", summary="n"),
                rollupType=rollup,
                statsType="rate",
            )
        )
    return made


Series = Mapping[tuple[str, str], Sequence[int]]


def normal(series: Series, ends: Sequence[float], seconds: int = 20) -> Any:
    """An answer of the ordinary form."""
    return Manager.EntityMetric(
        entity=vim.VirtualMachine("vm-1", None),
        sampleInfo=[
            Manager.SampleInfo(timestamp=datetime.fromtimestamp(end, UTC), interval=seconds) for end in ends
        ],
        value=[
            Manager.IntSeries(id=Manager.MetricId(counterId=NUMBERS[name], instance=instance), value=list(values))
            for (name, instance), values in series.items()
        ],
    )


def csv(series: Series, ends: Sequence[float], seconds: int = 20) -> Any:
    """The same as comma-separated values."""
    times = ",".join(f"{seconds},{datetime.fromtimestamp(end, UTC):%Y-%m-%dT%H:%M:%SZ}" for end in ends)
    return Manager.EntityMetricCSV(
        entity=vim.VirtualMachine("vm-1", None),
        sampleInfoCSV=times,
        value=[
            Manager.MetricSeriesCSV(
                id=Manager.MetricId(counterId=NUMBERS[name], instance=instance),
                value=",".join(str(value) for value in values),
            )
            for (name, instance), values in series.items()
        ],
    )
