"""Finds drivers and modules by entry point: ours and strangers' alike, each loaded only when it is switched on."""

from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from yamori.manifest.driver import DriverManifest
from yamori.manifest.module import ModuleManifest
from yamori.model.errors import Defect, NotFound, Unsupported

DRIVERS = "yamori.drivers"
MODULES = "yamori.modules"

C = TypeVar("C", DriverManifest, ModuleManifest)


def driver_names() -> tuple[str, ...]:
    """Return the names of all installed drivers."""
    return tuple(sorted(e.name for e in entry_points(group=DRIVERS)))


def module_names() -> tuple[str, ...]:
    """Return the names of all installed modules."""
    return tuple(sorted(e.name for e in entry_points(group=MODULES)))


def driver(name: str) -> DriverManifest:
    """Load a driver's card. Raises NotFound, Unsupported (its library is not installed), Defect."""
    return _load(DRIVERS, "driver", name, DriverManifest)


def module(name: str) -> ModuleManifest:
    """Load a module's card. Raises NotFound, Unsupported, Defect."""
    return _load(MODULES, "module", name, ModuleManifest)


def _load(group: str, kind: str, name: str, card: type[C]) -> C:
    found: list[EntryPoint] = list(entry_points(group=group, name=name))
    if not found:
        known = ", ".join(sorted({e.name for e in entry_points(group=group)})) or "none"
        raise NotFound(f"no {kind} is called {name!r}", mend=f"installed: {known}")
    if len(found) > 1:
        packages = ", ".join(sorted(e.dist.name if e.dist else "?" for e in found))
        raise Defect(f"{kind} {name!r} is offered by several packages ({packages}): uninstall all but one")
    try:
        loaded = found[0].load()
    except ImportError as error:
        raise Unsupported(f"{kind} {name}", f"cannot be loaded: {error}; is its extra installed?") from error
    if not isinstance(loaded, card):
        raise Defect(f"{kind} {name!r}: its entry point is no {card.__name__}")
    if loaded.name != name:
        raise Defect(f"{kind} {name!r}: its card says that it is called {loaded.name!r}")
    return loaded
