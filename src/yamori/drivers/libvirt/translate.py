"""libvirt's XML and statistics to model values. Pure; all input is hostile."""

import fnmatch
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from yamori.drivers.libvirt.markup import parse
from yamori.drivers.libvirt.words import clean
from yamori.model.errors import Invalid
from yamori.model.ids import HostId, VMId
from yamori.model.vm import VM, Disk, Nic, PowerState

LABEL_NAMESPACE = "https://yamori.dev/xmlns/vm/1"
MOVE_NAMESPACE = "https://yamori.dev/xmlns/move/1"

_MOST_DEVICES = 1024
_MOST_LABELS = 64
_MOST_NUMBER = 1 << 60
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_UNITS = {
    "b": 1,
    "bytes": 1,
    "KB": 10**3,
    "k": 1 << 10,
    "KiB": 1 << 10,
    "MB": 10**6,
    "M": 1 << 20,
    "MiB": 1 << 20,
    "GB": 10**9,
    "G": 1 << 30,
    "GiB": 1 << 30,
    "TB": 10**12,
    "T": 1 << 40,
    "TiB": 1 << 40,
}

_RUNNING, _BLOCKED, _PAUSED, _SHUTDOWN, _SHUTOFF, _CRASHED, _SUSPENDED = range(1, 8)
_MAY_BE_ARRIVING = frozenset({0, 2, 11})  # reason unknown, migration, starting up
_SHUTOFF_CRASHED = 3
_STATES = {
    _RUNNING: PowerState.RUNNING,
    _BLOCKED: PowerState.RUNNING,
    _PAUSED: PowerState.PAUSED,
    _SHUTDOWN: PowerState.RUNNING,
    _SHUTOFF: PowerState.STOPPED,
    _CRASHED: PowerState.CRASHED,
    _SUSPENDED: PowerState.PAUSED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskDefinition:
    """A disk as defined. ``path`` is the file or device behind it, None where there is none of this host."""

    disk: Disk
    kind: str
    """libvirt's word: file, block, network …"""
    path: str | None
    medium: bool
    """Whether it is a disk proper, with something in it: not a CD drive, not empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What a VM's XML says, as far as the driver needs it.

    ``kind``: how it is virtualized, in libvirt's words (hvm, linux, xenpvh). ``vcpus_max``: all, with those off.
    ``shares``: CPU weight if one was ever set. ``balloon``: whether the guest can be asked for memory.
    ``bound_bytes``: host memory that the VM may hold (memtune's hard_limit), None if that is not bounded.
    ``pageable``: the VM's memory lies in a file, so the host can page it out whether it has swap space or not.
    ``shaped``: whether a running card has libvirt's own bandwidth limit. ``move_key``: key of the last move.
    """

    id: VMId
    name: str
    kind: str
    vcpus: int
    vcpus_max: int
    memory_bytes: int
    memory_max_bytes: int
    disks: tuple[DiskDefinition, ...]
    nics: tuple[Nic, ...]
    labels: Mapping[str, str]
    shares: int | None
    balloon: bool
    bound_bytes: int | None
    pageable: bool
    shaped: bool
    move_key: str | None

    def vm(self, *, host: HostId, state: PowerState, persistent: bool, labels: Mapping[str, str]) -> VM:
        """Put the definition and what changes without it together."""
        return VM(
            id=self.id,
            name=self.name,
            host=host,
            state=state,
            vcpus=self.vcpus,
            memory_bytes=self.memory_bytes,
            memory_max_bytes=self.memory_max_bytes,
            disks=tuple(d.disk for d in self.disks),
            nics=self.nics,
            labels=labels,
            persistent=persistent,
        )


def definition(untrusted_xml: str, *, shared_paths: tuple[str, ...] = ()) -> Definition:
    """Read a domain's XML (libvirt "Domain XML format"). Raises Invalid when it is none, or beyond all bounds."""
    root = parse(untrusted_xml)
    if root.tag != "domain":
        raise Invalid("not a domain's XML")
    vm = vm_id(root.findtext("uuid", ""))
    if vm is None:
        raise Invalid("the domain's XML has no valid uuid")
    most = _size(root.find("memory"))
    if most is None:
        raise Invalid("the domain's XML has no valid memory size")
    now = _size(root.find("currentMemory"))
    vcpu = root.find("vcpu")
    most_vcpus = _number(None if vcpu is None else vcpu.text) or 1
    vcpus = _number(None if vcpu is None else vcpu.get("current")) or most_vcpus
    devices = root.find("devices")
    found = ET.Element("devices") if devices is None else devices
    balloon = found.find("memballoon")
    return Definition(
        id=vm,
        name=clean(root.findtext("name", ""), 255) or vm,
        kind=clean(root.findtext("os/type", ""), 32),
        vcpus=vcpus,
        vcpus_max=max(vcpus, most_vcpus),
        memory_bytes=most if now is None else min(now, most),
        memory_max_bytes=most,
        disks=tuple(_disk(e, shared_paths) for e in found.findall("disk")[:_MOST_DEVICES]),
        nics=tuple(_nic(e) for e in found.findall("interface")[:_MOST_DEVICES]),
        labels=_labels(root.find(f"metadata/{{{LABEL_NAMESPACE}}}vm")),
        shares=_number(root.findtext("cputune/shares")),
        balloon=balloon is not None and balloon.get("model") != "none",
        bound_bytes=_size(root.find("memtune/hard_limit")),
        pageable=_pageable(root),
        shaped=any(_is_shaped(e) for e in found.findall("interface")[:_MOST_DEVICES]),
        move_key=_move_key(root.find(f"metadata/{{{MOVE_NAMESPACE}}}move")),
    )


def _pageable(root: ET.Element) -> bool:
    """Say whether the VM's memory is file-backed and not locked or of huge pages, which are never paged out."""
    source = root.find("memoryBacking/source")
    if source is None or source.get("type") != "file":
        return False
    return root.find("memoryBacking/locked") is None and root.find("memoryBacking/hugepages") is None


def vm_id(untrusted_uuid: str) -> VMId | None:
    """Return the id in its one spelling; None if it is no UUID, or the nil one, which Xen's Dom0 bears."""
    if len(untrusted_uuid) > 64:
        return None
    try:
        known = uuid.UUID(untrusted_uuid.strip())
    except ValueError:
        return None
    return VMId(str(known)) if known.int else None


def state(code: int | None, reason: int | None) -> PowerState:
    """Translate virDomainState and its reason; what is not known is UNKNOWN."""
    if code == _SHUTOFF and reason == _SHUTOFF_CRASHED:
        return PowerState.CRASHED
    return PowerState.UNKNOWN if code is None else _STATES.get(code, PowerState.UNKNOWN)


def may_be_changing_hosts(code: int | None, reason: int | None) -> bool:
    """Whether a move may have stopped it: the receiving side all the time, the giving side in the last moment."""
    return code == _PAUSED and reason in _MAY_BE_ARRIVING


def version(number: int, *, parts: int = 3) -> str:
    """Spell libvirt's packed version number (major * 1,000,000 + minor * 1,000 + release), or its first parts."""
    return ".".join(str(part) for part in (number // 1_000_000, number // 1000 % 1000, number % 1000)[:parts])


def labels_for(
    vm: VMId, name: str, own: Mapping[str, str], configured: Mapping[str, Mapping[str, str]]
) -> Mapping[str, str]:
    """Merge labels: the configuration wins over the definition, later entries over earlier ones."""
    merged = dict(own)
    for key, labels in configured.items():
        if key == vm or fnmatch.fnmatchcase(name, key):
            merged.update(labels)
    return merged


def _labels(element: ET.Element | None) -> Mapping[str, str]:
    if element is None:
        return {}
    kept: dict[str, str] = {}
    for key, value in element.attrib.items():
        if len(kept) < _MOST_LABELS and _LABEL.fullmatch(key):
            kept[key] = clean(value, 128)
    return kept


def _move_key(element: ET.Element | None) -> str | None:
    return None if element is None else clean(element.get("key", ""), 200) or None


def _disk(element: ET.Element, shared_paths: tuple[str, ...]) -> DiskDefinition:
    target, source = element.find("target"), element.find("source")
    kind = element.get("type", "")
    path = None if source is None else source.get("file") or source.get("dev") or source.get("dir")
    socket = None
    if source is not None and kind == "network":
        host = source.find("host")
        socket = None if host is None else host.get("socket")
    return DiskDefinition(
        disk=Disk(
            target=clean("" if target is None else target.get("dev", ""), 32),
            capacity_bytes=None,
            read_only=element.find("readonly") is not None,
            shared=_is_shared(element, kind, path or socket, shared_paths),
        ),
        kind=clean(kind, 32),
        path=path,
        medium=element.get("device", "disk") in {"disk", "lun"} and source is not None,
    )


def _is_shared(element: ET.Element, kind: str, path: str | None, shared_paths: tuple[str, ...]) -> bool | None:
    """A path is shared if the operator says so; a network disk is, unless it is a socket of this machine."""
    if element.find("shareable") is not None or (kind == "network" and path is None):
        return True
    if path is None or not shared_paths or "/../" in path:
        return None
    return any(path.startswith(folder.rstrip("/") + "/") for folder in shared_paths)


def _nic(element: ET.Element) -> Nic:
    mac, target, source = element.find("mac"), element.find("target"), element.find("source")
    where = {} if source is None else source.attrib
    network = where.get("network") or where.get("bridge") or where.get("dev") or where.get("portgroup")
    return Nic(
        target=None if target is None else clean(target.get("dev", ""), 32) or None,
        mac=clean("" if mac is None else mac.get("address", ""), 32).lower(),
        network=clean(network, 255) if network else None,
    )


def _is_shaped(element: ET.Element) -> bool:
    return element.find("bandwidth/inbound") is not None or element.find("bandwidth/outbound") is not None


def _number(text: str | None) -> int | None:
    """Read a plain number; None when it is none, or beyond anything real."""
    stripped = (text or "").strip()
    if not (stripped.isascii() and stripped.isdigit() and len(stripped) < 20):
        return None
    number = int(stripped)
    return number if number <= _MOST_NUMBER else None


def _size(element: ET.Element | None) -> int | None:
    """Read a size with unit (libvirt's default is KiB), in bytes."""
    if element is None:
        return None
    number, unit = _number(element.text), _UNITS.get(element.get("unit", "KiB"))
    if number is None or unit is None or number * unit > _MOST_NUMBER:
        return None
    return number * unit
