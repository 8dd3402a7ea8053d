"""What may stand in the configuration, and what is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from yamori.drivers.vsphere.settings import VSphereSettings

GOOD: dict[str, Any] = {"host": "vc.example", "user": "u", "password_file": "/etc/yamori/vc"}


@pytest.mark.parametrize(
    ("given", "server"),
    [
        ({}, ("vc.example", 443)),
        ({"port": 8443}, ("vc.example", 8443)),
        ({"host": "10.0.0.1"}, ("10.0.0.1", 443)),
        ({"host": "2001:db8::1"}, ("2001:db8::1", 443)),
        ({"host": None, "url": "https://vc.example"}, ("vc.example", 443)),
        ({"host": None, "url": "https://vc.example:9443/sdk"}, ("vc.example", 9443)),
        ({"host": None, "url": "https://[2001:db8::1]:9443/"}, ("2001:db8::1", 9443)),
    ],
)
def test_where_to_dial(given: dict[str, Any], server: tuple[str, int]) -> None:
    assert VSphereSettings.model_validate(GOOD | given).server == server


@pytest.mark.parametrize(
    "given",
    [
        {"url": "https://vc.example"},
        {"host": None},
        {"host": None, "url": "http://vc.example"},
        {"host": None, "url": "https://u:p@vc.example"},
        {"host": None, "url": "https://vc.example/sdk?x=1"},
        {"host": None, "url": "https://vc.example/other"},
        {"host": None, "url": "https://vc.example:0"},
        {"host": None, "url": "https://vc.exa mple"},
        {"host": None, "url": "https://vc.example", "port": 1},
        {"host": "vc example"},
        {"host": "vc/example"},
        {"host": "-vc"},
        {"host": ""},
        {"host": "x" * 300},
        {"port": 0},
        {"port": 65536},
        {"password": "secret"},
        {"password_env": "X"},
        {"password_file": None},
        {"password_file": "relative"},
        {"thumbprint": "aa"},
        {"insecure": True},
        {"verify": False},
        {"ca": "relative.pem"},
        {"user": ""},
        {"user": "a\nb"},
        {"without": {"teleport": "no"}},
        {"without": {"power": " "}},
        {"timeouts": {"read_s": 0}},
        {"labels": {"*": {"bad key!": "x"}}},
    ],
    ids=str,
)
def test_what_is_not_understood_or_not_safe_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refusal:
        VSphereSettings.model_validate(GOOD | given)
    assert "secret" not in str(refusal.value)
