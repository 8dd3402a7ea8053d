"""What an operator says about one libvirt endpoint. Strict: a key or address that is not understood is refused."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self
from urllib.parse import parse_qsl, quote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from yamori.drivers.libvirt.dialect import DIALECTS, Dialect
from yamori.model.support import FEATURES

_PARAMETERS = frozenset(
    {
        "keyfile",
        "known_hosts",
        "known_hosts_verify",
        "knownhosts",
        "mode",
        "no_tty",
        "pkipath",
        "socket",
        "sshauth",
    }
)
_REFUSED = {
    "command": "it starts a program of the address's choice",
    "netcat": "it starts a program of the address's choice",
    "no_verify": "it switches the check of the other side's certificate off",
    "no_sanity": "it switches the check of our own certificate off",
}

Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
LabelValue = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{0,128}$")]
Path = Annotated[str, StringConstraints(pattern=r"^/[^\x00-\x1f\x7f]*$", max_length=4096)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:\[\]-]{1,255}$")]


class Timeouts(BaseModel):
    """Seconds that a call may take; past them the call is given up and the link is examined."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    connect_s: float = Field(default=10.0, gt=0, le=300)
    read_s: float = Field(default=10.0, gt=0, le=300)
    act_s: float = Field(default=30.0, gt=0, le=600)


class LandingSettings(BaseModel):
    """How *other hosts* reach this one when a VM lands here."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    uri: str | None = Field(default=None, max_length=2048)
    """libvirt address of this host as the source host must dial it; default: ``uri`` without client parameters."""
    address: Name | None = None
    """Where the memory stream goes; default: what the host calls itself."""
    tls_name: Name | None = None
    """Name that this host's migration certificate proves, where it differs from ``address``."""
    passage: Literal["agent"] | None = None
    """Xen only: ``agent`` says that the agents of both hosts carry the memory, which Xen sends in plaintext."""

    @field_validator("uri")
    @classmethod
    def _is_known(cls, uri: str | None) -> str | None:
        if uri is not None:
            dialect_of(uri)
        return uri


class Capacity(BaseModel):
    """What VMs may use together, where the operator keeps back some of the machine; default: all of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    cpus: float | None = Field(default=None, gt=0, le=65536)
    memory_bytes: int | None = Field(default=None, gt=0, le=1 << 60)


class LibvirtSettings(BaseModel):
    """One endpoint: one libvirt connection, one host.

    Labels come from two places. What ``labels`` says here wins over what the VM's own definition says in its
    metadata, since whoever may edit a definition need not be who owns Yamori's configuration. Keys of
    ``labels`` are VM ids, names, or patterns of names (``web-*``); later entries win over earlier ones.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    uri: str = Field(max_length=2048)
    """libvirt address, as in ``qemu+tls://host/system`` (libvirt: "Connection URIs")."""
    pki: Path | None = None
    """Folder with cacert.pem, clientcert.pem and clientkey.pem for ``qemu+tls`` and ``xen+tls``."""
    site: str | None = Field(default=None, max_length=128)
    """Name of the place, shown with the host."""
    read_only: bool = False
    """Open a connection that libvirt itself keeps from changing anything."""
    labels: Mapping[str, Mapping[Label, LabelValue]] = Field(default_factory=dict, max_length=10_000)
    """Labels by VM id, name or pattern of names."""
    metadata_labels: bool = True
    """Whether labels in a VM's definition count."""
    shared_paths: tuple[Path, ...] = ()
    """Folders that hold the same files on every host that VMs move between."""
    capacity: Capacity = Capacity()
    """What VMs may use together."""
    timeouts: Timeouts = Timeouts()
    """How long calls may take."""
    migrate_to: LandingSettings | None = None
    """How VMs come here from other hosts. Filling it in says that QEMU's certificates are in place here."""
    without: Mapping[str, str] = Field(default_factory=dict)
    """Features that this endpoint shall not offer, each with the reason to show."""
    cpu_weight_of_one: int | None = Field(default=None, ge=1, le=262144)
    """libvirt's cpu_shares of an ordinary VM (1024 with control groups v1, 100 with v2); default: found out."""

    @field_validator("uri")
    @classmethod
    def _is_known(cls, uri: str) -> str:
        dialect_of(uri)
        return uri

    @field_validator("without")
    @classmethod
    def _are_features(cls, without: Mapping[str, str]) -> Mapping[str, str]:
        unknown = sorted(set(without) - set(FEATURES))
        if unknown:
            raise ValueError(f"no such features: {', '.join(unknown)}; known are {', '.join(FEATURES)}")
        if not all(reason.strip() for reason in without.values()):
            raise ValueError("each feature left out needs a reason")
        return without

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.pki is not None and not urlsplit(self.uri).scheme.endswith("+tls"):
            raise ValueError("pki is only for addresses with +tls, as qemu+tls and xen+tls")
        if self.cpu_weight_of_one is not None and not self.dialect.control_groups:
            raise ValueError("cpu_weight_of_one is only for hosts that bound VMs with control groups (qemu)")
        if self.pki is not None and "pkipath" in dict(parse_qsl(urlsplit(self.uri).query)):
            raise ValueError("give the certificates' folder either in pki or in the address, not in both")
        return self

    @property
    def dialect(self) -> Dialect:
        """The family that the address names."""
        return dialect_of(self.uri)

    @property
    def dialled(self) -> str:
        """The address with what the client itself needs: certificates' folder, no questions on a terminal."""
        parts = urlsplit(self.uri)
        added = []
        if self.pki is not None:
            added.append(f"pkipath={quote(self.pki, safe='/')}")
        if parts.scheme.endswith("+ssh") and "no_tty=" not in parts.query:
            added.append("no_tty=1")
        if not added:
            return self.uri
        return f"{self.uri}{'&' if parts.query else '?'}{'&'.join(added)}"

    @property
    def session_mode(self) -> bool:
        """Whether this is an unprivileged libvirt of one user."""
        return urlsplit(self.uri).path.rstrip("/") == "/session"

    @property
    def same_machine(self) -> bool:
        """Whether libvirt runs under the kernel that we run under."""
        return urlsplit(self.uri).netloc == ""

    @property
    def landing_uri(self) -> str:
        """The address under which other hosts reach this one."""
        given = None if self.migrate_to is None else self.migrate_to.uri
        return given or urlsplit(self.uri)._replace(query="", fragment="").geturl()


def dialect_of(uri: str) -> Dialect:
    """Return the family of an address. Raises ValueError when it is none that is known, or a dangerous one."""
    if any(ord(letter) < 0x21 or ord(letter) == 0x7F for letter in uri):
        raise ValueError("the address contains blanks or control characters")
    parts = urlsplit(uri)
    family, _, transport = parts.scheme.partition("+")
    if family not in DIALECTS:
        raise ValueError(f"unknown family {family!r}: an address begins with one of {', '.join(sorted(DIALECTS))}")
    if transport == "tcp":
        raise ValueError(f"{family}+tcp is neither encrypted nor authenticated: use {family}+tls or {family}+ssh")
    if transport not in DIALECTS[family].transports:
        raise ValueError(f"transport {transport!r} is not supported: use one of tls, ssh, unix or none")
    if transport in {"tls", "ssh"} and not parts.hostname:
        raise ValueError(f"{parts.scheme} needs a host, as in {parts.scheme}://host/system")
    if parts.password is not None:
        raise ValueError("the address contains a password: use keys or certificates")
    if not parts.path.strip("/"):
        raise ValueError("the address has no path: end it with /system or /session (test: /default)")
    if family == "test" and parts.path != "/default":
        raise ValueError("each connection to a test driver's file sees a world of its own: use test:///default")
    _check_parameters(parts.query)
    return DIALECTS[family]


def _check_parameters(query: str) -> None:
    for key, _value in parse_qsl(query, keep_blank_values=True):
        if key in _REFUSED:
            raise ValueError(f"parameter {key!r} is refused: {_REFUSED[key]}")
        if key not in _PARAMETERS:
            raise ValueError(f"unknown parameter {key!r}: known are {', '.join(sorted(_PARAMETERS))}")
