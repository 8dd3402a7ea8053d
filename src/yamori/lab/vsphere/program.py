"""Builds the vCenter simulator's program from Debian's Go packages, once, into the lab's cache. No network."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from yamori.lab import cache
from yamori.model.errors import Failed, TimedOut, Unsupported

SOURCE = Path(__file__).with_name("vcenter.go")
PROGRAM = "vcenter"
_GO_PATH = Path("/usr/share/gocode")
_SIMULATOR = _GO_PATH / "src/github.com/vmware/govmomi/simulator"
_SECONDS = 600.0


def missing() -> str | None:
    """Say which Debian package the build lacks, None when it can be done."""
    if shutil.which("go") is None:
        return "golang-go is not installed"
    if not _SIMULATOR.is_dir():
        return "golang-github-vmware-govmomi-dev is not installed"
    if not (_GO_PATH / "src/github.com/google/uuid").is_dir():
        return "golang-github-google-uuid-dev is not installed"
    return None


def program() -> Path:
    """The program, built if this source was not built with this Go before (about a minute, once).

    Raises Unsupported when Debian's Go packages are not there, Failed when it does not build.
    """
    reason = missing()
    if reason is not None:
        raise Unsupported("lab", reason, mend=f"apt-get install {reason.split()[0]}")
    go = Path(str(shutil.which("go"))).resolve()
    folder = cache.kept(
        f"vcenter-{cache.key_of([SOURCE.read_bytes(), str(go).encode(), _stamp(_SIMULATOR)])}", build
    )
    return folder / PROGRAM


def build(folder: Path) -> None:
    """Compile into a folder. Raises TimedOut, Failed."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "GO111MODULE": "off",
        "GOPATH": str(_GO_PATH),
        "GOFLAGS": "-mod=mod",
        "CGO_ENABLED": "0",
    }
    command = ["go", "build", "-trimpath", "-ldflags=-s -w", "-o", str(folder / PROGRAM), str(SOURCE)]
    with tempfile.TemporaryDirectory(prefix="yamori-go-") as scratch:
        environment |= {"GOCACHE": scratch, "GOTMPDIR": scratch}
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise TimedOut(f"the vCenter simulator was not built within {_SECONDS:g} s") from None
    if done.returncode != 0:
        raise Failed(f"the vCenter simulator does not build: {done.stderr.strip()[-600:]}")


def _stamp(path: Path) -> bytes:
    """Changes when the package is replaced by another version."""
    found = path.stat()
    return f"{path} {found.st_mtime_ns}".encode()
