"""A vCenter simulator for a benchmark, and reading it VM by VM as exporters do."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from yamori.bench.result import Progress
from yamori.drivers.vsphere.collector import everything, one
from yamori.drivers.vsphere.counters import Counters
from yamori.drivers.vsphere.link import Link
from yamori.drivers.vsphere.session import VSphereSession
from yamori.drivers.vsphere.settings import VSphereSettings
from yamori.lab.pki import Authority
from yamori.lab.registry import Registry
from yamori.lab.vsphere import Shape, VCenter
from yamori.model.ids import EndpointName

_PATHS = ("name", "runtime.powerState", "runtime.host", "summary.config.numCpu", "summary.config.memorySizeMB")
_ADDRESS = "127.0.0.1"


@contextmanager
def running(folder: Path, vms: int, progress: Progress) -> Iterator[VCenter]:
    """A vCenter with so many VMs on ten hosts. Raises Unsupported when it cannot be built here."""
    registry = Registry(folder / "registry" / "registry.jsonl")
    registry.create()
    shape = Shape(cluster_hosts=9, hosts=1, vms=vms // 2)
    made = VCenter(
        directory=folder / "vcenter", registry=registry, address=_ADDRESS, port=_free_port(), shape=shape
    )
    made.write(Authority("bench"))
    progress(f"collect: starting a vCenter simulator with {vms} VMs")
    made.start()
    try:
        yield made
    finally:
        made.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_ADDRESS, 0))
        return int(probe.getsockname()[1])


def session_to(vcenter: VCenter) -> VSphereSession:
    """A session as a fleet would have it."""
    given = {key: value for key, value in vcenter.endpoint().items() if key not in ("name", "driver")}
    settings = VSphereSettings.model_validate({**given, "timeouts": {"read_s": 300}})
    return VSphereSession(EndpointName("bench"), settings)


def one_by_one(link: Link) -> None:
    """Two calls a VM: its properties, its newest sample."""
    told = one(link, link.content.perfManager, ("perfCounter",)).values.get("perfCounter")
    counters = Counters(told or [])
    kinds = {type(found.ref): ("name",) for found in everything(link, _names(link)) if found.is_vm}
    for found in everything(link, kinds):
        one(link, found.ref, _PATHS)
        for answer in link.content.perfManager.QueryPerf(counters.questions([found.ref], 1)):
            counters.samples(answer)


def _names(link: Link) -> dict[type, tuple[str, ...]]:
    """Every kind of object that the view holds, by name."""
    return dict.fromkeys({type(ref) for ref in one(link, link.view, ("view",)).values["view"]}, ("name",))
