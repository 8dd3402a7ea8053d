"""A vCenter simulator for tests: built once into the lab's cache, started on a port of the loopback. No root."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from yamori.lab.layout import CACHE_ROOT
from yamori.lab.pki import Authority
from yamori.lab.registry import Registry
from yamori.lab.vsphere import Shape, VCenter, missing
from yamori.lab.vsphere.program import PROGRAM, build, program


@pytest.fixture(scope="session")
def vcenter_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulator's program. Skips only where the machine truly cannot build it."""
    reason = missing()
    if reason is not None:
        pytest.skip(f"NO VCENTER SIMULATOR ON THIS MACHINE: {reason}")
    folder = CACHE_ROOT if CACHE_ROOT.exists() else CACHE_ROOT.parent
    if os.access(folder, os.W_OK) or os.geteuid() == 0:
        return program()
    aside = tmp_path_factory.mktemp("vcenter-program")
    build(aside)
    return aside / PROGRAM


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make(folder: Path, binary: Path, shape: Shape | None = None, authority: Authority | None = None) -> VCenter:
    """One that is laid out and not started."""
    registry = Registry(folder / "registry" / "registry.jsonl")
    registry.create()
    made = VCenter(
        directory=folder / "vcenter",
        registry=registry,
        address="127.0.0.1",
        port=free_port(),
        shape=shape,
        binary=binary,
    )
    made.write(authority or Authority("tests"))
    return made


@pytest.fixture(scope="module")
def vcenter(vcenter_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VCenter]:
    """A vCenter with three hosts and four VMs, shared by a module's tests, which leave it as they found it."""
    made = make(tmp_path_factory.mktemp("vcenter"), vcenter_program)
    made.start()
    yield made
    made.stop()
