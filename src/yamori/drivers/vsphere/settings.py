"""What an operator says about one vCenter or ESXi. Strict: a key that is not understood is refused."""

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from yamori.model.support import FEATURES

_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_-]{1,63})*\.?")

Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
LabelValue = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{0,128}$")]
Path = Annotated[str, StringConstraints(pattern=r"^/[^\x00-\x1f\x7f]*$", max_length=4096)]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
User = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,256}$")]


class Timeouts(BaseModel):
    """Seconds that a call may take; past them the call is given up and the link is examined."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    connect_s: float = Field(default=15.0, gt=0, le=300)
    read_s: float = Field(default=30.0, gt=0, le=300)
    act_s: float = Field(default=60.0, gt=0, le=600)


class VSphereSettings(BaseModel):
    """One endpoint: one vCenter with all its hosts, or one ESXi.

    Its certificate is always verified; nothing here switches that off. The password is never in this file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: str | None = Field(default=None, max_length=2048)
    """Address, as in ``https://vcenter.example``; instead of ``host`` and ``port``."""
    host: str | None = Field(default=None, max_length=253)
    """Name or IP address, as the certificate proves it; instead of ``url``."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """Port beside ``host``; default 443."""
    ca: Path | None = None
    """PEM file with the CA that signed the server's certificate; default: the CAs that this system trusts."""
    user: User
    """Who logs in, as in ``yamori@vsphere.local``; see docs/how-to/vsphere.md for the rights."""
    password_file: Path | None = None
    """File with the password; nobody but its owner may read it (mode 0600)."""
    password_env: Variable | None = None
    """Environment variable with the password; instead of ``password_file``."""
    site: str | None = Field(default=None, max_length=128)
    """Name of the place, shown with the hosts."""
    read_only: bool = False
    """Offer nothing that changes anything."""
    labels: Mapping[str, Mapping[Label, LabelValue]] = Field(default_factory=dict, max_length=10_000)
    """Labels by VM id, name or pattern of names (``web-*``); later entries win over earlier ones."""
    timeouts: Timeouts = Timeouts()
    """How long calls may take."""
    without: Mapping[str, str] = Field(default_factory=dict)
    """Features that this endpoint shall not offer, each with the reason to show."""

    @field_validator("url")
    @classmethod
    def _is_https(cls, url: str | None) -> str | None:
        if url is None:
            return None
        if any(ord(letter) < 0x21 or ord(letter) == 0x7F for letter in url):
            raise ValueError("the address contains blanks or control characters")
        parts = urlsplit(url)
        if parts.scheme != "https":
            raise ValueError("the address must begin with https://")
        if parts.username is not None or parts.password is not None:
            raise ValueError("the address contains a user or a password: use user and password_file")
        if parts.path not in ("", "/", "/sdk") or parts.query or parts.fragment:
            raise ValueError("the address ends after host and port")
        _check_host(parts.hostname or "")
        if parts.port == 0:
            raise ValueError("port 0 is no port")
        return url

    @field_validator("host")
    @classmethod
    def _is_host(cls, host: str | None) -> str | None:
        if host is not None:
            _check_host(host)
        return host

    @field_validator("without")
    @classmethod
    def _are_features(cls, without: Mapping[str, str]) -> Mapping[str, str]:
        unknown = sorted(set(without) - set(FEATURES))
        if unknown:
            raise ValueError(f"no such features: {', '.join(unknown)}")
        if not all(reason.strip() for reason in without.values()):
            raise ValueError("a feature is left out without a reason")
        return without

    @model_validator(mode="after")
    def _says_where_and_how(self) -> Self:
        if (self.url is None) == (self.host is None):
            raise ValueError("give either url or host")
        if self.url is not None and self.port is not None:
            raise ValueError("with url, give the port in it")
        if (self.password_file is None) == (self.password_env is None):
            raise ValueError("give either password_file or password_env: the password itself has no place here")
        return self

    @property
    def server(self) -> tuple[str, int]:
        """Host and port to dial."""
        if self.host is not None:
            return self.host, self.port or 443
        parts = urlsplit(self.url or "")
        return parts.hostname or "", parts.port or 443


def _check_host(host: str) -> None:
    """Raise ValueError for what is neither a name nor an address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if not _NAME.fullmatch(host):
            raise ValueError("the host is neither a name nor an IP address") from None
