"""What `yamori lab up --with` asks for."""

from typing import Any

import pytest
from typer.testing import CliRunner

from yamori.cli.main import app
from yamori.lab import lab as lab_module
from yamori.lab.spec import LabSpec


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[LabSpec]:
    specs: list[LabSpec] = []

    class Made:
        hosts = ()
        guests = ()

        @staticmethod
        def fleet_config() -> dict[str, Any]:
            return {"endpoints": []}

    async def up(_: object, spec: LabSpec, **__: object) -> Made:
        specs.append(spec)
        return Made()

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(lab_module.Lab, "up", classmethod(up))
    return specs


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ([], (2, 0, False)),
        (["--with", "xen"], (2, 1, False)),
        (["--with", "xen,vsphere", "--hosts", "0"], (0, 1, True)),
        (["--with", "vsphere"], (2, 0, True)),
        (["--with", "xen", "--xen-hosts", "2", "--hosts", "0"], (0, 2, False)),
    ],
)
def test_other_hypervisors_are_added_on_demand(
    asked: list[LabSpec], words: list[str], wanted: tuple[int, int, bool]
) -> None:
    done = CliRunner().invoke(app, ["lab", "up", *words, "--json"])
    assert done.exit_code == 0, done.output
    assert [(spec.hosts, spec.xen_hosts, spec.vcenter) for spec in asked] == [wanted]


def test_a_hypervisor_that_there_is_not_is_refused(asked: list[LabSpec]) -> None:
    assert CliRunner().invoke(app, ["lab", "up", "--with", "xen,hyperv"]).exit_code != 0
    assert asked == []


def test_a_lab_of_nothing_is_refused(asked: list[LabSpec]) -> None:
    assert CliRunner().invoke(app, ["lab", "up", "--hosts", "0"]).exit_code != 0
    assert asked == []
