"""Keys for the way in by SSH: one of the lab's driver, one of each Xen host, both new with every lab."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def write_client(folder: Path) -> str:
    """Make the driver's key ``id`` in the folder; returns its public line."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    return _write(folder / "id")


def write_host(folder: Path, client: str, address: str) -> str:
    """Make a host's key and the list of who may come in; returns its line for ``known_hosts``."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    public = _write(folder / "host.pem")
    (folder / "authorized_keys").write_text(f"{client} yamori-driver\n")
    return f"{address} {public}\n"


def _write(path: Path) -> str:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(private)
    return (
        key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    )
