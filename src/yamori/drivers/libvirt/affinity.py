"""Pinning on hosts that do not tell libvirt's Python binding how many CPUs they have (Xen).

The binding asks virNodeGetCPUMap before it pins or reads pins, and Xen's driver has no such function. libvirt's C
library does not ask: here it is called directly, in the very copy that the binding has loaded.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import libvirt

from yamori.drivers.libvirt.pinning import mask_for, pinning_of
from yamori.drivers.libvirt.subject import Subject

_MOST_VCPUS = 4096
_MOST_CPUS = 1 << 16
_CPUS_OF_NODE = 2
"""Index of the number of CPUs in what virNodeGetInfo tells."""


class HypervisorPins:
    """What the hypervisor itself says of affinity, rather than what libvirt was asked for."""

    def read(self, link: Any, subject: Subject) -> frozenset[int] | None:
        """Read the hard affinity of every vCPU that is on (virDomainGetVcpus of libvirt's C API)."""
        return pinning_of(affinities(subject.handle, subject.definition.vcpus, _cpus_of(link)))

    def why_not(self, link: Any, subject: Subject) -> str | None:
        """Whoever can read it here can set it."""
        self.read(link, subject)
        return None

    def pin(self, link: Any, subject: Subject, cpus: frozenset[int] | None) -> None:
        """Set the hard affinity of every vCPU that is on (virDomainPinVcpu)."""
        mask = bits_of(mask_for(cpus, _cpus_of(link)))
        for vcpu in range(subject.definition.vcpus):
            done = _function("virDomainPinVcpu")(
                _pointer(subject.handle), ctypes.c_uint(vcpu), ctypes.c_char_p(mask), ctypes.c_int(len(mask))
            )
            if done < 0:
                raise libvirt.libvirtError("virDomainPinVcpu() failed")


def affinities(handle: Any, vcpus: int, cpus: int) -> list[tuple[bool, ...]]:
    """For each vCPU the CPUs that it may run on. Raises libvirtError."""
    infos, found = _vcpus_of(handle, vcpus, cpus)
    width = (cpus + 7) // 8
    return [flags_of(found[i * width : (i + 1) * width], cpus) for i in range(len(infos))]


def is_executing(handle: Any, vcpus: int) -> bool:
    """Whether any vCPU is seen to run or to wait for an event. Raises libvirtError.

    A domain that Xen has suspended has none, nor has one that merely waits for a CPU.
    """
    infos, _ = _vcpus_of(handle, vcpus, 8)
    return any(info.state in (libvirt.VIR_VCPU_RUNNING, libvirt.VIR_VCPU_BLOCKED) for info in infos)


def bits_of(mask: tuple[bool, ...]) -> bytes:
    """libvirt's CPU map: bit 0 of byte 0 is CPU 0."""
    return bytes(
        sum(1 << bit for bit, allowed in enumerate(mask[start : start + 8]) if allowed)
        for start in range(0, len(mask), 8)
    )


def flags_of(bits: bytes, count: int) -> tuple[bool, ...]:
    """The same backwards."""
    return tuple(bool(bits[cpu // 8] >> (cpu % 8) & 1) for cpu in range(count))


class _Placement(ctypes.Structure):
    """virVcpuInfo of libvirt-domain.h."""

    _fields_ = (
        ("number", ctypes.c_uint),
        ("state", ctypes.c_int),
        ("cpu_time", ctypes.c_ulonglong),
        ("cpu", ctypes.c_int),
    )


def _vcpus_of(handle: Any, vcpus: int, cpus: int) -> tuple[list[_Placement], bytes]:
    vcpus, width = min(vcpus, _MOST_VCPUS), (cpus + 7) // 8
    infos, maps = (_Placement * vcpus)(), (ctypes.c_ubyte * (vcpus * width))()
    told = _function("virDomainGetVcpus")(_pointer(handle), infos, ctypes.c_int(vcpus), maps, ctypes.c_int(width))
    if told < 0:
        raise libvirt.libvirtError("virDomainGetVcpus() failed")
    return list(infos)[: min(told, vcpus)], bytes(maps)


def _cpus_of(link: Any) -> int:
    return max(1, min(_MOST_CPUS, int(link.getInfo()[_CPUS_OF_NODE])))


def _pointer(handle: Any) -> ctypes.c_void_p:
    """The C object of a domain, which the binding keeps in a capsule and tells in no other way.

    The handle must outlive its use.
    """
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return ctypes.c_void_p(get(handle._o, b"virDomainPtr"))


@cache
def _function(name: str) -> Callable[..., int]:
    """One function of the C library. Called without the interpreter's lock, as the binding does."""
    return ctypes.CDLL(libvirt.libvirtmod.__file__)[name]
