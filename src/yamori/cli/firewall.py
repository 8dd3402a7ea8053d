"""`yamori firewall`: check groups, ask which rule decides, carry rules in and out. On files alone."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from yamori.cli.exits import ExitCode
from yamori.cli.files import named, read, write
from yamori.cli.options import Json
from yamori.cli.terminal import clean, emit, say
from yamori.model.errors import Invalid

if TYPE_CHECKING:
    from yamori.modules.firewall.carried.lost import Lost
    from yamori.modules.firewall.fleet import Fleet
    from yamori.modules.firewall.trace import Traced

LARGEST = (32 << 20) + 1
"""One byte more than any file here may have."""
FILE = Annotated[Path, typer.Argument(metavar="FILE", help="The groups; - reads standard input.")]
FLEET = Annotated[
    Path | None,
    typer.Option("--fleet", metavar="FILE", show_default=False, help="VMs with labels, cards and addresses."),
]
OUT = Annotated[
    Path | None, typer.Option("--output", "-o", show_default=False, help="Write here instead of printing.")
]
commands = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Check, trace and carry over firewalls.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="firewall")


class Format(StrEnum):
    """Whose rules."""

    NWFILTER = "nwfilter"
    OPENSTACK = "openstack"
    PROXMOX = "proxmox"
    KUBERNETES = "kubernetes"
    NSX = "nsx"


@commands.command(
    epilog="""Examples:

\b
  yamori firewall check groups.yaml
  yamori firewall check groups.yaml --fleet fleet.yaml --strict

JSON: {"valid", "groups", "rules", "warnings": [...], "cards"}.
"""
)
def check(
    file: FILE,
    fleet: FLEET = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail too.")] = False,
    as_json: Json = False,
) -> None:
    """Say what is wrong with groups and what is probably not meant, with file, line and column."""
    from yamori.modules.firewall.check import warnings
    from yamori.modules.firewall.compile import compile_groups
    from yamori.modules.firewall.reading import read_groups

    groups = read_groups(read(file, LARGEST), named(file))
    there = _fleet(fleet)
    compiled = None if there is None else compile_groups(groups, there)
    told = warnings(groups, there, compiled)
    counts = {"groups": len(groups.firewall.groups), "rules": len(groups.firewall.rules)}
    cards = None if compiled is None else len(compiled.cards)
    if as_json:
        emit({"valid": True, **counts, "warnings": told, "cards": cards})
    else:
        for line in told:
            say(f"warning: {clean(line, 1000)}")
        seen = "" if cards is None else f", {cards} cards"
        say(
            f"{clean(named(file))}: {counts['groups']} groups, {counts['rules']} rules{seen}, {len(told)} warnings"
        )
    if told and strict:
        raise typer.Exit(ExitCode.FAILED)


@commands.command(
    epilog="""Examples:

\b
  yamori firewall trace groups.yaml db1 10.0.0.5 tcp/5432 --fleet fleet.yaml
  yamori firewall trace groups.yaml web1 192.0.2.1 icmp --in --fleet fleet.yaml

JSON: {"allowed", "passes", "hops": [{"vm", "port", "direction", "groups", "mode", "allowed", "rule", "words"}]}.
"""
)
def trace(
    file: FILE,
    vm: Annotated[str, typer.Argument(metavar="VM", help="Name or id in the fleet's file.")],
    peer: Annotated[str, typer.Argument(metavar="ADDRESS", help="The other side's address.")],
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="Such as tcp/443, udp/53, icmp, ip/47.")],
    fleet: Annotated[Path, typer.Option("--fleet", metavar="FILE", help="VMs with labels, cards and addresses.")],
    inwards: Annotated[bool, typer.Option("--in", help="The other side calls the VM.")] = False,
    as_json: Json = False,
) -> None:
    """Say which rule decides about a connection that a VM opens, at its card and at the other side's."""
    from yamori.model.filter_rule import Direction
    from yamori.modules.firewall.compile import compile_groups
    from yamori.modules.firewall.reading import read_groups
    from yamori.modules.firewall.trace import trace as ask

    there = _fleet(fleet)
    assert there is not None, "typer asks for it"  # noqa: S101 -- an option without a default
    compiled = compile_groups(read_groups(read(file, LARGEST), named(file)), there)
    protocol, port, kind = _asked(service)
    way = Direction.IN if inwards else Direction.OUT
    told = ask(compiled, vm, way, _address(peer), protocol, port, type=kind)
    _tell(told, as_json=as_json)
    if not told.allowed:
        raise typer.Exit(ExitCode.FAILED)


@commands.command(
    name="import",
    epilog="""Examples:

\b
  yamori firewall import --from openstack groups.json > groups.yaml
  yamori firewall import --from proxmox cluster.fw 100.fw 101.fw -o groups.yaml

JSON: {"files": {"groups.yaml": text}, "lost": [{"what", "why", "by_hand", "wider"}]}.
""",
)
def import_groups(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="What the other firewall exported.")],
    from_: Annotated[Format, typer.Option("--from", help="Whose rules these are.")],
    output: OUT = None,
    as_json: Json = False,
) -> None:
    """Make groups of another firewall's rules; what cannot be carried over is listed on standard error."""
    from yamori.modules.firewall.writing import to_text

    carried = _reader(from_)(_joint(from_, files), ", ".join(named(each) for each in files)[:300])
    _give({"groups.yaml": to_text(carried.firewall)}, carried.lost, output, as_json=as_json)


@commands.command(
    name="export",
    epilog="""Examples:

\b
  yamori firewall export --to kubernetes groups.yaml > policies.yaml
  yamori firewall export --to proxmox groups.yaml --fleet fleet.yaml -o firewall/

JSON: {"files": {name: text}, "lost": [{"what", "why", "by_hand", "wider"}]}.
""",
)
def export_groups(
    file: FILE,
    to: Annotated[Format, typer.Option("--to", help="Whose rules are wanted.")],
    fleet: FLEET = None,
    output: OUT = None,
    as_json: Json = False,
) -> None:
    """Write groups as another firewall's rules; what cannot be said there is listed on standard error."""
    from yamori.modules.firewall.carried.outwards import networkpolicy, nsx, nwfilter, openstack, pve
    from yamori.modules.firewall.reading import read_groups

    groups = read_groups(read(file, LARGEST), named(file))
    if to in (Format.PROXMOX, Format.NWFILTER):
        there = _fleet(fleet)
        if there is None:
            raise Invalid(f"{to} knows VMs by their addresses", mend="give --fleet")
        given = (pve.write if to is Format.PROXMOX else nwfilter.write)(groups, there)
    else:
        plain = {Format.OPENSTACK: openstack, Format.KUBERNETES: networkpolicy, Format.NSX: nsx}
        given = plain[to].write(groups)
    _give(dict(given.files), given.lost, output, as_json=as_json)


@commands.command(epilog="Examples:\n\n\b\n  yamori firewall schema > groups.schema.json\n")
def schema() -> None:
    """Print the JSON Schema of a groups document."""
    from yamori.modules.firewall.schema import groups_schema

    emit(groups_schema())


def _fleet(path: Path | None) -> Fleet | None:
    from yamori.modules.firewall.fleetfile import read_fleet

    return None if path is None else read_fleet(read(path), named(path))


def _reader(of: Format) -> Any:
    from yamori.modules.firewall.carried.inwards import networkpolicy, nsx, nwfilter, openstack, pve

    readers = {
        Format.NWFILTER: nwfilter.read,
        Format.OPENSTACK: openstack.read,
        Format.PROXMOX: pve.read,
        Format.KUBERNETES: networkpolicy.read,
        Format.NSX: nsx.read,
    }
    return readers[of]


def _joint(of: Format, files: list[Path]) -> bytes:
    """Put several files into one text, where the format has a way to."""
    texts = [read(path, LARGEST) for path in files]
    if of is Format.PROXMOX:
        return b"".join(
            b"# file: " + path.name.encode() + b"\n" + text + b"\n"
            for path, text in zip(files, texts, strict=True)
        )
    if len(texts) == 1:
        return texts[0]
    if of is Format.KUBERNETES:
        return b"\n---\n".join(texts)
    if of is Format.NWFILTER:
        return b"<filters>" + b"\n".join(re.sub(rb"<\?xml[^>]*\?>", b"", text) for text in texts) + b"</filters>"
    if any(not text.strip() for text in texts):
        raise Invalid("one of the files is empty")
    return b"[" + b",".join(texts) + b"]"


def _asked(service: str) -> tuple[int, int | None, int | None]:
    from yamori.modules.firewall.service import short

    try:
        match = short(service)
    except ValueError as error:
        raise Invalid(str(error)) from None
    ports = () if match is None else match.ports
    if match is None or match.protocol is None or len(ports) > 1 or any(span.low != span.high for span in ports):
        raise Invalid(f"{clean(service, 60)!r} is no single service", mend="write it like tcp/443, icmp or ip/47")
    if not ports and match.protocol in (6, 17):
        raise Invalid(f"{clean(service, 60)!r} has no port", mend="write it like tcp/443")
    return match.protocol, ports[0].low if ports else None, match.types[0] if match.types else None


def _address(text: str) -> Any:
    from ipaddress import ip_address

    try:
        return ip_address(text)
    except ValueError:
        raise Invalid(f"{clean(text, 60)!r} is no address", mend="write it like 10.0.0.5") from None


def _tell(told: Traced, *, as_json: bool) -> None:
    hops = [
        {
            "vm": hop.vm_name,
            "port": hop.port,
            "direction": hop.direction.value,
            "groups": list(hop.groups),
            "mode": hop.mode.value,
            "allowed": hop.told.allowed,
            "rule": hop.told.rule,
            "words": hop.told.words,
        }
        for hop in told.hops
    ]
    if as_json:
        emit({"allowed": told.allowed, "passes": told.passes, "hops": hops})
        return
    for hop in told.hops:
        fate = "allowed" if hop.told.allowed else "dropped"
        note = "" if hop.told.allowed or hop.mode.value == "enforce" else " (only observed: it passes)"
        say(f"{hop.direction.value:3} {clean(hop.vm_name)}: {fate}{note}: {clean(hop.told.words, 700)}")


def _give(files: dict[str, str], lost: tuple[Lost, ...], output: Path | None, *, as_json: bool) -> None:
    """Print or write what was made, and list on standard error what is not in it."""
    listed = [{"what": e.what, "why": e.why, "by_hand": e.by_hand, "wider": e.wider} for e in lost]
    if as_json:
        emit({"files": files, "lost": listed})
        return
    if output is None:
        say(
            "".join(
                text if len(files) == 1 else f"# file: {name}\n{text}" for name, text in files.items()
            ).rstrip()
        )
    elif len(files) == 1:
        write(output, next(iter(files.values())))
    else:
        output.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write(output / name, text)
    for each in lost:
        kind = "to do by hand" if each.by_hand else "LOST, and more passes there" if each.wider else "lost"
        typer.echo(f"{kind}: {clean(each.what, 400)}: {clean(each.why, 400)}", err=True)
