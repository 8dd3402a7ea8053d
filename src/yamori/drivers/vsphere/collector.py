"""Properties of many objects in one call (PropertyCollector), and what of them could not be read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyVmomi import vim, vmodl

from yamori.drivers.vsphere.failure import SESSION_OVER, text_of
from yamori.drivers.vsphere.link import Link
from yamori.drivers.vsphere.wire import Garbled
from yamori.drivers.vsphere.words import clean

_MOST_PAGES = 10_000
_Collector = vmodl.query.PropertyCollector


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One object: the server's own reference, its properties, and why others are missing."""

    ref: Any
    values: Mapping[str, Any] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The server's name for it, unique on this server."""
        return str(self.ref._moId)

    @property
    def is_vm(self) -> bool:
        """Whether it is a VM."""
        return isinstance(self.ref, vim.VirtualMachine)

    def text(self, name: str, most: int = 255) -> str | None:
        """A property that should be text, bounded; None when it is not there or empty."""
        value = self.values.get(name)
        return clean(value, most) or None if isinstance(value, str) else None

    def number(self, name: str) -> int | None:
        """A property that should be a whole number of sensible size; None when it is none."""
        return whole(self.values.get(name))


def whole(value: Any) -> int | None:
    """A number as the API has them, None for anything else and beyond anything real."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 1 << 60:
        return None
    return int(value)


def everything(link: Link, paths: Mapping[Any, Sequence[str]]) -> list[Found]:
    """Read properties of all VMs and hosts that the account may see. Raises faults."""
    return _retrieve(link, [view_spec(link, paths)])


def view_spec(link: Link, paths: Mapping[Any, Sequence[str]]) -> Any:
    """The question for properties of everything in the view, by type."""
    step = _Collector.TraversalSpec(
        name="view", path="view", skip=False, type=vim.view.ContainerView, selectSet=[]
    )
    start = _Collector.ObjectSpec(obj=link.view, skip=True, selectSet=[step])
    return _Collector.FilterSpec(objectSet=[start], propSet=_wanted(paths))


def some(link: Link, refs: Iterable[Any], paths: Mapping[Any, Sequence[str]]) -> list[Found]:
    """Read properties of the given objects; those that are gone are left out. Raises faults."""
    objects = [_Collector.ObjectSpec(obj=ref, skip=False) for ref in refs]
    if not objects:
        return []
    spec = _Collector.FilterSpec(objectSet=objects, propSet=_wanted(paths), reportMissingObjectsInResults=True)
    return _retrieve(link, [spec])


def one(link: Link, ref: Any, paths: Sequence[str]) -> Found:
    """Read properties of one object. Raises ManagedObjectNotFound when it is gone."""
    spec = _Collector.FilterSpec(
        objectSet=[_Collector.ObjectSpec(obj=ref, skip=False)], propSet=_wanted({type(ref): paths})
    )
    found = _retrieve(link, [spec])
    if len(found) != 1:
        raise Garbled(f"{len(found)} objects were told where one was asked for")
    return found[0]


def _wanted(paths: Mapping[Any, Sequence[str]]) -> list[Any]:
    return [_Collector.PropertySpec(type=kind, pathSet=list(names), all=False) for kind, names in paths.items()]


def _retrieve(link: Link, specs: list[Any]) -> list[Found]:
    collector = link.content.propertyCollector
    page = collector.RetrievePropertiesEx(specs, _Collector.RetrieveOptions())
    found: list[Found] = []
    for _ in range(_MOST_PAGES):
        if page is None:
            return found
        found.extend(_found(content) for content in page.objects)
        if not page.token:
            return found
        page = collector.ContinueRetrievePropertiesEx(page.token)
    raise Garbled("the listing has no end")


def _found(content: Any) -> Found:
    missing: dict[str, str] = {}
    for each in content.missingSet:
        if isinstance(each.fault, SESSION_OVER):
            raise each.fault
        missing[clean(each.path, 80)] = text_of(each.fault) if each.fault is not None else "not told"
    return Found(ref=content.obj, values={each.name: each.val for each in content.propSet}, missing=missing)
