"""Nobody can ask for a migration in plaintext: not in the contract, not in an action, not in an address."""

import dataclasses
import inspect

import pytest
from pydantic import ValidationError

from yamori.capabilities.acting.migration import Migration
from yamori.drivers.libvirt.settings import LibvirtSettings
from yamori.model.actions import Migrate
from yamori.web.api.bodies import MigrateBody


def test_the_contract_of_migration_has_nothing_to_switch_encryption_off() -> None:
    parameters = inspect.signature(Migration.start).parameters
    assert set(parameters) == {"self", "vm", "landing", "storage", "bandwidth_bytes_s", "key", "stopping"}


def test_a_migrate_action_says_what_and_where_and_nothing_else() -> None:
    assert {field.name for field in dataclasses.fields(Migrate)} == {"vm", "to", "stopping"}


@pytest.mark.parametrize("extra", ["tls", "encrypted", "insecure", "flags", "plaintext"])
def test_a_request_cannot_smuggle_in_a_switch(extra: str) -> None:
    with pytest.raises(ValidationError):
        MigrateBody.model_validate({extra: False, "reason": "x"})


@pytest.mark.parametrize(
    "uri",
    [
        "qemu+tcp://host/system",
        "qemu+tls://host/system?no_verify=1",
        "qemu+tls://host/system?no_sanity=1",
        "qemu+ssh://host/system?command=/bin/sh",
        "qemu+ssh://host/system?netcat=/tmp/x",
        "qemu+ext://host/system?command=/bin/sh",
        "qemu+tls://user:password@host/system",
        "qemu+libssh2://host/system",
        "qemu:///system\n",
        "qemu+ssh:///system",
        "vz:///system",
        "",
    ],
)
@pytest.mark.parametrize("place", ["uri", "migration"])
def test_an_address_that_proves_nothing_or_runs_something_is_refused(uri: str, place: str) -> None:
    settings = {"uri": uri} if place == "uri" else {"uri": "qemu:///system", "migration": {"uri": uri}}
    with pytest.raises(ValidationError):
        LibvirtSettings.model_validate(settings)
