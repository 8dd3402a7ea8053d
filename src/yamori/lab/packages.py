"""Debian packages as the machine's own package lists know them; nothing here is installed on the machine."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from yamori.lab.command import run
from yamori.lab.layout import CACHE_ROOT
from yamori.model.errors import Failed, Unsupported

_LISTS = (Path("/var/lib/apt/lists"), Path("/var/lib/dpkg/status"))
_DEPENDS = re.compile(r"^\s*(?:Pre)?Depends: (\S+)$", re.MULTILINE)
_CANDIDATE = re.compile(r"^(\S+):\n(?:  .*\n)*?  Candidate: (\S+)$", re.MULTILINE)


def _fresh(ask: Callable[[], str], good: Callable[[str], bool]) -> str:
    """What ``ask`` returns; once more after renewing the lists when it is not good or fails."""
    try:
        answer = ask()
        if good(answer):
            return answer
    except Failed:
        pass  # a package of which an old list knows an address that is gone
    run(["apt-get", "update", "-qq"], timeout_seconds=300)
    return ask()


def depends(package: str) -> list[str]:
    """Packages that this one depends on, first level; empty when the lists do not know it."""
    return _DEPENDS.findall(
        _fresh(lambda: _remembered(["apt-cache", "depends", package]), lambda answer: "Depends:" in answer) + "\n"
    )


def candidates(names: Sequence[str]) -> dict[str, str]:
    """The version of each package that would be installed now; raises Unsupported for one that there is not."""
    answer = _fresh(
        lambda: _remembered(["apt-cache", "policy", *names]), lambda answer: set(names) <= set(_known(answer))
    )
    found = _known(answer)
    missing = [name for name in names if name not in found]
    if missing:
        raise Unsupported("lab", f"the package lists know no {', '.join(missing)}; the lab needs Debian 12")
    return {name: found[name] for name in names}


def _remembered(command: Sequence[str]) -> str:
    """What an enquiry prints, from the cache while the machine's lists are the same: each costs half a second."""
    stamp = [path.stat().st_mtime_ns for path in _LISTS if path.exists()]
    memory, question = CACHE_ROOT / "packages.json", " ".join(command)
    try:
        known = json.loads(memory.read_text())
        if known["stamp"] == stamp and question in known["answers"]:
            return str(known["answers"][question])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        known = {}
    answers = known["answers"] if known.get("stamp") == stamp else {}
    answers[question] = run(command)
    CACHE_ROOT.mkdir(parents=True, exist_ok=True)
    aside = memory.with_suffix(f".{os.getpid()}")
    aside.write_text(json.dumps({"stamp": stamp, "answers": answers}))
    aside.replace(memory)
    return str(answers[question])


def _known(answer: str) -> dict[str, str]:
    return {name: version for name, version in _CANDIDATE.findall(answer) if version != "(none)"}


def download(package: str, tree: Path) -> None:
    """Fetch a package and unpack its files below ``tree``, which is made."""
    fetch = tree.with_suffix(".fetch")
    fetch.mkdir()
    # apt drops its rights to _apt for the download, which then would have to be able to write here
    command = ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", package]
    _fresh(lambda: run(command, cwd=fetch, timeout_seconds=600), lambda _: True)
    (archive,) = fetch.glob("*.deb")
    run(["dpkg-deb", "-x", str(archive), str(tree)], timeout_seconds=120)
    archive.unlink()
    fetch.rmdir()
