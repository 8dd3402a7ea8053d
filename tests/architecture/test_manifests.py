"""Every driver and module, ours or a stranger's, introduces itself completely."""

import dataclasses
import inspect
import re
from importlib.metadata import EntryPoint, entry_points

import pytest
from pydantic import BaseModel

from yamori.capabilities.session import Sensing
from yamori.manifest.driver import DriverManifest
from yamori.manifest.module import ModuleManifest
from yamori.model.actions import VERBS

DRIVERS = sorted(entry_points(group="yamori.drivers"))
MODULES = sorted(entry_points(group="yamori.modules"))
SENSES = {field.name for field in dataclasses.fields(Sensing)}


def _name(entry: EntryPoint) -> str:
    return entry.name


def assert_settings_are_strict(model: type[BaseModel]) -> None:
    assert model.model_config.get("extra") == "forbid", "an unknown setting must be an error"
    assert model.model_config.get("frozen") is True, "settings do not change under way"
    for name, field in model.model_fields.items():
        assert field.description or _documented(model, name), f"{model.__name__}.{name} has no description"


def _documented(model: type[BaseModel], name: str) -> bool:
    """Pydantic takes attribute docstrings where the model says so; else look into the source."""
    return (
        re.search(rf'^    {name}: .*(\n        .*|\n    \))*\n    """', inspect.getsource(model), re.M) is not None
    )


def test_drivers_and_modules_are_found_by_entry_points() -> None:
    assert {"simulator", "libvirt"} <= {entry.name for entry in DRIVERS}
    assert {"guard"} <= {entry.name for entry in MODULES}


@pytest.mark.parametrize("entry", DRIVERS, ids=_name)
def test_a_driver_introduces_itself_completely(entry: EntryPoint) -> None:
    manifest = entry.load()
    assert isinstance(manifest, DriverManifest)
    assert manifest.name == entry.name
    assert manifest.summary.strip()
    assert inspect.iscoroutinefunction(manifest.connect)
    assert_settings_are_strict(manifest.settings)


@pytest.mark.parametrize("entry", MODULES, ids=_name)
def test_a_module_introduces_itself_completely(entry: EntryPoint) -> None:
    manifest = entry.load()
    assert isinstance(manifest, ModuleManifest)
    assert manifest.name == entry.name
    assert manifest.summary.strip()
    assert manifest.reads <= SENSES
    assert manifest.wants <= SENSES
    assert not manifest.reads & manifest.wants
    assert manifest.proposes <= set(VERBS)
    assert set(manifest.carries_out) <= set(VERBS)
    assert inspect.isasyncgenfunction(manifest.sense)
    assert not inspect.iscoroutinefunction(manifest.assess), "judging is pure, and so is not asynchronous"
    assert not inspect.iscoroutinefunction(manifest.respond)
    assert_settings_are_strict(manifest.settings)
    manifest.settings()
    for verb, make in manifest.carries_out.items():
        steps = make()
        for phase in ("check", "apply", "verify", "undo"):
            assert inspect.iscoroutinefunction(getattr(steps, phase)), f"{verb} has no {phase}"


def test_every_verb_has_a_module_that_carries_it_out() -> None:
    carried = {verb for entry in MODULES for verb in entry.load().carries_out}
    assert set(VERBS) <= carried


def test_every_verb_says_what_undoes_it() -> None:
    for verb, action in VERBS.items():
        assert action.verb == verb
        assert action.rights
        assert action.undone_by is None or action.undone_by in VERBS
