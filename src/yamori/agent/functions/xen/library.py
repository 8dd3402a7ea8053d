"""Xen's own libraries, of the very version of the hypervisor that runs: libxenstat and libxenctrl, by ctypes.

libxenstat tells numbers through functions whose shape has not changed since Xen 3; of libxenctrl only calls with
plain numbers and one small structure are used. No structure of the unstable interface is laid out here.
"""

import ctypes
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yamori.model.errors import Failed, Rejected, Unsupported

_VERSION = Path("/sys/hypervisor/version")
_FOLDERS = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib")
_WITH_VCPUS = 1
"""XENSTAT_VCPU, xenstat.h."""
CREDIT, CREDIT2 = 5, 6
"""XEN_SCHEDULER_CREDIT and XEN_SCHEDULER_CREDIT2, xen/include/public/domctl.h."""
_CALLS = {CREDIT: "credit", CREDIT2: "credit2"}
_NODE: Mapping[str, Any] = {
    "xenstat_node_num_domains": ctypes.c_uint,
    "xenstat_node_num_cpus": ctypes.c_uint,
    "xenstat_node_cpu_hz": ctypes.c_ulonglong,
    "xenstat_node_tot_mem": ctypes.c_ulonglong,
    "xenstat_node_free_mem": ctypes.c_ulonglong,
}
_DOMAIN: Mapping[str, Any] = {
    "xenstat_domain_id": ctypes.c_uint,
    "xenstat_domain_cpu_ns": ctypes.c_ulonglong,
    "xenstat_domain_num_vcpus": ctypes.c_uint,
    "xenstat_domain_cur_mem": ctypes.c_ulonglong,
    "xenstat_domain_max_mem": ctypes.c_ulonglong,
    "xenstat_domain_paused": ctypes.c_uint,
    "xenstat_domain_shutdown": ctypes.c_uint,
    "xenstat_domain_crashed": ctypes.c_uint,
    "xenstat_domain_dying": ctypes.c_uint,
}
_MOST_VCPUS = 8192


class _Parameters(ctypes.Structure):
    """xen_domctl_sched_credit and xen_domctl_sched_credit2 (since Xen 4.10)."""

    _fields_ = [("weight", ctypes.c_uint16), ("cap", ctypes.c_uint16)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """One domain at one moment. Memory in bytes; ``vcpus`` are those online."""

    number: int
    cpu_s: float
    vcpus: int
    memory: int
    memory_max: int
    paused: bool
    shut_down: bool
    crashed: bool
    dying: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The host and its domains at one moment."""

    cpus: int
    tsc_hz: float
    memory: int
    memory_free: int
    domains: tuple[Domain, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What the scheduler grants a domain: ``cap`` in hundredths of a CPU, 0 for none."""

    weight: int
    cap: int


def version() -> tuple[int, int]:
    """The running hypervisor's version. Raises Unsupported outside of Xen."""
    try:
        return int((_VERSION / "major").read_text("ascii")), int((_VERSION / "minor").read_text("ascii"))
    except (OSError, ValueError) as error:
        raise Unsupported("xen", "the kernel does not tell Xen's version") from error


def _load(name: str) -> ctypes.CDLL:
    file = "lib{}.so.{}.{}".format(name, *version())
    for path in (file, *(f"{folder}/{file}" for folder in _FOLDERS)):
        try:
            return ctypes.CDLL(path, use_errno=True)
        except OSError:
            continue
    raise Unsupported("xen", f"{file} is not installed")


class Statistics:
    """libxenstat. Blocking; for one thread."""

    def __init__(self) -> None:
        self._library = _load("xenstat")
        for name, result in {**_NODE, **_DOMAIN}.items():
            function = getattr(self._library, name)
            function.argtypes, function.restype = [ctypes.c_void_p], result
        self._function("xenstat_init", ctypes.c_void_p)
        self._function("xenstat_uninit", None, ctypes.c_void_p)
        self._function("xenstat_get_node", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint)
        self._function("xenstat_free_node", None, ctypes.c_void_p)
        self._function("xenstat_node_domain_by_index", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint)
        self._function("xenstat_domain_vcpu", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint)
        self._function("xenstat_vcpu_online", ctypes.c_uint, ctypes.c_void_p)
        self._handle = self._library.xenstat_init()
        if not self._handle:
            raise Failed(f"libxenstat cannot be opened: {_why()}", mend="give the agent's group /dev/xen/privcmd")

    def _function(self, name: str, result: Any, *arguments: Any) -> None:
        function = getattr(self._library, name)
        function.argtypes, function.restype = list(arguments), result

    def read(self) -> Node:
        """Read the host and all domains. Raises Failed."""
        if not self._handle:
            raise Failed("libxenstat was closed")
        node = self._library.xenstat_get_node(self._handle, _WITH_VCPUS)
        if not node:
            raise Failed(f"the hypervisor's statistics cannot be read: {_why()}")
        try:
            told = {name: getattr(self._library, name)(node) for name in _NODE}
            places = range(told["xenstat_node_num_domains"])
            found = (self._library.xenstat_node_domain_by_index(node, place) for place in places)
            return Node(
                cpus=told["xenstat_node_num_cpus"],
                tsc_hz=float(told["xenstat_node_cpu_hz"]),
                memory=told["xenstat_node_tot_mem"],
                memory_free=told["xenstat_node_free_mem"],
                domains=tuple(self._domain(each) for each in found if each),
            )
        finally:
            self._library.xenstat_free_node(node)

    def _domain(self, pointer: int) -> Domain:
        told = {name.removeprefix("xenstat_domain_"): getattr(self._library, name)(pointer) for name in _DOMAIN}
        vcpus = (self._library.xenstat_domain_vcpu(pointer, n) for n in range(min(told["num_vcpus"], _MOST_VCPUS)))
        return Domain(
            number=told["id"],
            cpu_s=told["cpu_ns"] / 1e9,
            vcpus=sum(1 for vcpu in vcpus if vcpu and self._library.xenstat_vcpu_online(vcpu)),
            memory=told["cur_mem"],
            memory_max=told["max_mem"],
            paused=bool(told["paused"]),
            shut_down=bool(told["shutdown"]),
            crashed=bool(told["crashed"]),
            dying=bool(told["dying"]),
        )

    def close(self) -> None:
        """Let go of the library's handle."""
        if self._handle:
            self._library.xenstat_uninit(self._handle)
            self._handle = None


class Control:
    """The scheduler's part of libxenctrl. Blocking; for one thread."""

    def __init__(self) -> None:
        self._library = _load("xenctrl")
        self._library.xc_interface_open.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint]
        self._library.xc_interface_open.restype = ctypes.c_void_p
        self._library.xc_interface_close.argtypes = [ctypes.c_void_p]
        self._library.xc_sched_id.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_int)]
        for name in _CALLS.values():
            for verb in ("set", "get"):
                function = getattr(self._library, f"xc_sched_{name}_domain_{verb}")
                function.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.POINTER(_Parameters)]
        self._handle = self._library.xc_interface_open(None, None, 0)
        if not self._handle:
            raise Failed(f"libxenctrl cannot be opened: {_why()}", mend="give the agent's group /dev/xen/privcmd")

    def scheduler(self) -> int:
        """Return the number of the scheduler that the hypervisor was booted with. Raises Rejected."""
        found = ctypes.c_int(-1)
        self._check(self._library.xc_sched_id(self._handle, ctypes.byref(found)))
        return found.value

    def schedule(self, scheduler: int, domain: int) -> Schedule:
        """Return what a domain is granted. Raises Rejected."""
        found = self._parameters(scheduler, domain)
        return Schedule(weight=found.weight, cap=found.cap)

    def grant(self, scheduler: int, domain: int, *, weight: int | None, cap: int | None) -> None:
        """Change what a domain is granted; None leaves as it is. Raises Rejected."""
        wanted = self._parameters(scheduler, domain)
        wanted.weight = wanted.weight if weight is None else weight
        wanted.cap = wanted.cap if cap is None else cap
        call = getattr(self._library, f"xc_sched_{_CALLS[scheduler]}_domain_set")
        self._check(call(self._handle, domain, ctypes.byref(wanted)))

    def _parameters(self, scheduler: int, domain: int) -> _Parameters:
        found = _Parameters()
        call = getattr(self._library, f"xc_sched_{_CALLS[scheduler]}_domain_get")
        self._check(call(self._handle, domain, ctypes.byref(found)))
        return found

    def _check(self, result: int) -> None:
        if result != 0:
            raise Rejected(f"the hypervisor refuses: {_why()}")

    def close(self) -> None:
        """Let go of the library's handle."""
        if self._handle:
            self._library.xc_interface_close(self._handle)
            self._handle = None


def _why() -> str:
    return os.strerror(ctypes.get_errno()) if ctypes.get_errno() else "it does not say why"
