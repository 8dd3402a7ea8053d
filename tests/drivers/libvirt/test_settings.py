"""What an operator may say about an endpoint, and what is refused with a sentence."""

import pytest
from pydantic import ValidationError

from yamori.drivers.libvirt import DRIVER
from yamori.drivers.libvirt.absence import Absences
from yamori.drivers.libvirt.settings import LibvirtSettings


@pytest.mark.parametrize(
    "uri",
    [
        "qemu:///system",
        "qemu:///session",
        "qemu+unix:///system?socket=/run/libvirt/libvirt-sock",
        "qemu+tls://host.example/system",
        "qemu+tls://host.example:16514/system?pkipath=/etc/pki/yamori",
        "qemu+ssh://yamori@host.example/system?keyfile=/root/.ssh/id",
        "test:///default",
    ],
)
def test_addresses_of_known_families_are_taken(uri: str) -> None:
    assert LibvirtSettings(uri=uri).uri == uri


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("", "unknown family"),
        ("http://host/", "unknown family"),
        ("vbox:///session", "unknown family"),
        ("xen+tcp://host/system", "xen.tcp is neither encrypted"),
        ("xen+tls:///system", "needs a host"),
        ("xen+tls://host/system?no_verify=1", "switches the check"),
        ("qemu+tcp://host/system", "neither encrypted"),
        ("qemu+ext://host/system?command=/bin/sh", "not supported"),
        ("qemu+ssh://host/system?command=/bin/sh", "starts a program"),
        ("qemu+ssh://host/system?netcat=/bin/sh", "starts a program"),
        ("qemu+tls://host/system?no_verify=1", "switches the check"),
        ("qemu+tls://host/system?surprise=1", "unknown parameter"),
        ("qemu+tls:///system", "needs a host"),
        ("qemu+ssh://user:secret@host/system", "password"),
        ("qemu+tls://host", "no path"),
        ("qemu:///sys tem", "blanks"),
        ("qemu:///system\n", "blanks"),
    ],
)
def test_other_addresses_are_refused_with_the_reason(uri: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        LibvirtSettings(uri=uri)


def test_a_password_is_not_repeated_in_the_error() -> None:
    with pytest.raises(ValidationError) as refusal:
        LibvirtSettings(uri="qemu+ssh://user:hunter2@host/system")
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    "more",
    [
        {"surprise": 1},
        {"timeouts": {"read_s": 0}},
        {"timeouts": {"surprise": 1}},
        {"labels": {"web": {"bad key": "x"}}},
        {"labels": {"web": {"sla": "two\nlines"}}},
        {"capacity": {"cpus": -1}},
        {"without": {"limits.everything": "why"}},
        {"without": {"power": " "}},
        {"migrate_to": {"uri": "qemu+tcp://host/system"}},
        {"migrate_to": {"address": "host; rm -rf /"}},
        {"shared_paths": ["relative"]},
        {"pki": "/etc/pki/yamori"},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(more: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LibvirtSettings(uri="qemu:///system", **more)  # type: ignore[arg-type]


def test_the_certificates_folder_is_given_once_and_goes_into_the_dialled_address() -> None:
    settings = LibvirtSettings(uri="qemu+tls://host/system", pki="/etc/pki/ya mori&x")
    assert settings.dialled == "qemu+tls://host/system?pkipath=/etc/pki/ya%20mori%26x"
    with pytest.raises(ValidationError, match="not in both"):
        LibvirtSettings(uri="qemu+tls://host/system?pkipath=/a", pki="/b")


def test_ssh_never_asks_on_a_terminal() -> None:
    assert LibvirtSettings(uri="qemu+ssh://host/system").dialled.endswith("?no_tty=1")


def test_others_reach_a_host_without_our_client_s_parameters() -> None:
    settings = LibvirtSettings(uri="qemu+tls://host/system?pkipath=/a")
    assert settings.landing_uri == "qemu+tls://host/system"


def test_moves_need_to_be_set_up_and_a_local_address_is_none_that_others_can_reach() -> None:
    def why(**more: object) -> str | None:
        return Absences(LibvirtSettings(**more)).why("migration.live")  # type: ignore[arg-type]

    assert "not set up" in (why(uri="qemu+tls://host/system") or "")
    assert why(uri="qemu+tls://host/system", migrate_to={}) is None
    assert "cannot reach" in (why(uri="qemu:///system", migrate_to={}) or "")
    assert why(uri="qemu:///system", migrate_to={"uri": "qemu+tls://me/system"}) is None
    assert "test driver" in (why(uri="test:///default") or "")


def test_what_is_switched_off_says_so() -> None:
    absences = Absences(
        LibvirtSettings(uri="qemu+tls://h/system", without={"limits.net_in": "no such kernel part"})
    )
    assert absences.why("limits.net_in") == "switched off: no such kernel part"
    assert absences.why("limits.net_out") is None


def test_a_read_only_endpoint_offers_nothing_that_changes() -> None:
    absences = Absences(LibvirtSettings(uri="test:///default", read_only=True))
    assert absences.why("power")
    assert absences.all_of("limits")
    assert absences.why("inventory") is None


def test_what_was_learnt_does_not_hide_what_can_be_read() -> None:
    absences = Absences(LibvirtSettings(uri="qemu+tls://h/system"))
    absences.learn("limits.net_in", "tc failed")
    assert (absences.why("limits.net_in"), absences.given("limits.net_in")) == ("tc failed", None)


def test_the_manifest_names_the_settings() -> None:
    assert DRIVER.settings is LibvirtSettings
