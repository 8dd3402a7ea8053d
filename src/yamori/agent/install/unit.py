"""The systemd unit of the agent, written for the functions that are switched on (systemd.exec(5))."""

import sys
from collections.abc import Collection
from pathlib import Path

from yamori.agent.functions import Function, HostSettings, needs
from yamori.agent.install.access import wanted
from yamori.agent.service.settings import CONFIG

NAME = "yamori-agent.service"

_HOMES = ("/home/", "/root/", "/run/user/")
_HARDENING = """\
NoNewPrivileges=yes
ProtectSystem=strict
PrivateTmp=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
KeyringMode=private
RemoveIPC=yes
UMask=0077
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
"""


def unit(
    settings: HostSettings,
    *,
    user: str,
    devices: Collection[str],
    config: Path = CONFIG,
    python: str = sys.executable,
) -> str:
    """Return the text of the unit. Only what the functions need is left open, and of ``devices`` what is here."""
    access = wanted(settings)
    capabilities = " ".join(sorted(needs(settings)))
    command = f"{_quoted(python)} -m yamori.agent"
    groups = any(path.startswith("/sys/fs/cgroup") for path in (*access.shared, *access.owned))
    lines = [
        "[Unit]",
        "Description=Yamori host agent",
        "Documentation=https://yamori.dev",
        "Wants=network-online.target",
        "After=network-online.target xenstored.service libvirtd.service virtqemud.service",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "Type=exec",
        # With a plus: as root, and before the sandbox. It hands over what the functions need.
        f"ExecStartPre=+{command} prepare --config {_quoted(str(config))}",
        f"ExecStart={command} run --config {_quoted(str(config))}",
        f"User={user}",
        f"Group={user}",
        "StateDirectory=yamori-agent",
        "StateDirectoryMode=0700",
        "Restart=always",
        "RestartSec=2",
        "TimeoutStopSec=30",
        "",
        f"AmbientCapabilities={capabilities}",
        f"CapabilityBoundingSet={capabilities}",
        *_devices(devices),
        f"ProtectControlGroups={'no' if groups else 'yes'}",
        # Threads of the kernel that serve disks are found by their names in /proc.
        *(() if Function.DISK in settings.functions else ("ProtectProc=invisible",)),
        f"ProtectHome={'read-only' if python.startswith(_HOMES) else 'yes'}",
        _HARDENING,
        "[Install]",
        "WantedBy=multi-user.target",
        "",
    ]
    return "\n".join(lines)


def _devices(devices: Collection[str]) -> tuple[str, ...]:
    allowed = tuple(f"DeviceAllow={device} rw" for device in devices)
    return ("DevicePolicy=closed", *allowed) if allowed else ("PrivateDevices=yes",)


def _quoted(text: str) -> str:
    """Quote a word for a command line of a unit (systemd.service(5), "Command lines")."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'
