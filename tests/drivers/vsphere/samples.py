"""The server's answers about performance, made up for tests. Real ones have this form."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pyVmomi import vim

from yamori.drivers.vsphere.series import Told, read

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


Series = Mapping[tuple[str, str], Sequence[int] | str]


def answer(inner: str, kind: str) -> bytes:
    """QueryPerf's answer about one VM, as it comes over the wire."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope '
        'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
        f'<QueryPerfResponse xmlns="urn:vim25"><returnval xsi:type="{kind}">'
        f'<entity type="VirtualMachine">vm-1</entity>{inner}</returnval></QueryPerfResponse>'
        "</soapenv:Body></soapenv:Envelope>"
    ).encode()


def _id(name: str, instance: str) -> str:
    return f"<id><counterId>{NUMBERS[name]}</counterId><instance>{instance}</instance></id>"


def normal(series: Series, ends: Sequence[float], seconds: int = 20) -> Told:
    """An answer of the ordinary form, read."""
    times = "".join(
        f"<sampleInfo><timestamp>{datetime.fromtimestamp(end, UTC).isoformat()}</timestamp>"
        f"<interval>{seconds}</interval></sampleInfo>"
        for end in ends
    )
    values = "".join(
        f'<value xsi:type="PerfMetricIntSeries">{_id(*key)}'
        + "".join(f"<value>{value}</value>" for value in told)
        + "</value>"
        for key, told in series.items()
    )
    return read(answer(times + values, "PerfEntityMetric"))[0]


def csv(series: Series, ends: Sequence[float], seconds: int = 20, *, times: str | None = None) -> Told:
    """The same as comma-separated values; text instead of numbers is put in as it is."""
    if times is None:
        times = ",".join(f"{seconds},{datetime.fromtimestamp(end, UTC):%Y-%m-%dT%H:%M:%SZ}" for end in ends)
    values = "".join(
        f'<value xsi:type="PerfMetricSeriesCSV">{_id(*key)}'
        f"<value>{told if isinstance(told, str) else ','.join(map(str, told))}</value></value>"
        for key, told in series.items()
    )
    return read(answer(f"<sampleInfoCSV>{times}</sampleInfoCSV>{values}", "PerfEntityMetricCSV"))[0]
