"""The steps of an installation: each says what it does, sees whether that is done already, and does it."""

import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from yamori.model.errors import Failed

PROGRAM_S = 60.0

Runner = Callable[[Sequence[str]], None]
"""Runs a program. Raises Failed."""


class Step(Protocol):
    """One step. ``do`` is called only while ``is_done`` is false."""

    def describe(self) -> str:
        """Say what it does."""
        ...

    def is_done(self) -> bool:
        """Look whether there is nothing to do."""
        ...

    def do(self) -> None:
        """Do it. Raises Failed."""
        ...


def run(words: Sequence[str]) -> None:
    """Run a program, never through a shell. Raises Failed with its last words."""
    if shutil.which(words[0]) is None:
        raise Failed(f"the program {words[0]} is missing", mend="install it, or do by hand what it was to do")
    try:
        outcome = subprocess.run(words, capture_output=True, text=True, check=False, timeout=PROGRAM_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"{words[0]} did not end well: {error}") from error
    if outcome.returncode != 0:
        told = (outcome.stderr or outcome.stdout).strip().splitlines()
        raise Failed(f"{' '.join(words)} failed: {told[-1][:200] if told else outcome.returncode}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeUser:
    """A system user with a group of the same name, no home and no shell."""

    user: str
    runner: Runner = field(default=run, repr=False)

    def describe(self) -> str:
        """Say what it does."""
        return f"make the system user and group {self.user} (no home, no shell)"

    def is_done(self) -> bool:
        """Look for user and group."""
        try:
            return pwd.getpwnam(self.user).pw_gid == grp.getgrnam(self.user).gr_gid
        except KeyError:
            return False

    def do(self) -> None:
        """Make them with useradd."""
        home = "/nonexistent"
        words = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", home]
        self.runner([*words, "--shell", "/usr/sbin/nologin", self.user])


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeFolder:
    """A folder with an owner and a mode."""

    path: Path
    mode: int
    user: str | None = None

    def describe(self) -> str:
        """Say what it does."""
        return f"make the folder {self.path} (mode {self.mode:04o}, owner {self.user or 'root'})"

    def is_done(self) -> bool:
        """Look at it."""
        try:
            found = self.path.lstat()
        except OSError:
            return False
        return self.path.is_dir() and found.st_mode & 0o7777 == self.mode and found.st_uid == _uid(self.user)

    def do(self) -> None:
        """Make it, or set its owner and mode right."""
        try:
            self.path.mkdir(mode=self.mode, parents=True, exist_ok=True)
            user = _uid(self.user)
            group = 0 if self.user is None else pwd.getpwnam(self.user).pw_gid
            os.chown(self.path, user, group, follow_symlinks=False)
            self.path.chmod(self.mode)
        except (OSError, KeyError) as error:
            raise Failed(f"the folder cannot be made: {error}", subject=str(self.path)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteFile:
    """A file of ours. ``keep``: what is there already is the operator's, and stays."""

    path: Path
    text: str
    mode: int = 0o644
    group: str | None = None
    keep: bool = False

    def describe(self) -> str:
        """Say what it does."""
        return f"write {self.path} (mode {self.mode:04o}, owner root, group {self.group or 'root'})"

    def is_done(self) -> bool:
        """Compare content and mode."""
        try:
            found = self.path.lstat()
            if self.keep:
                return True
            return self.path.read_text("utf-8") == self.text and found.st_mode & 0o7777 == self.mode
        except (OSError, UnicodeDecodeError):
            return False

    def do(self) -> None:
        """Write it aside and put it in place."""
        aside = self.path.with_name(f".{self.path.name}.new")
        try:
            self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            aside.unlink(missing_ok=True)
            aside.touch(mode=0o600, exist_ok=False)
            aside.write_text(self.text, encoding="utf-8")
            os.chown(aside, 0, 0 if self.group is None else grp.getgrnam(self.group).gr_gid)
            aside.chmod(self.mode)
            aside.replace(self.path)
        except (OSError, KeyError) as error:
            aside.unlink(missing_ok=True)
            raise Failed(f"cannot be written: {error}", subject=str(self.path)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgram:
    """A program to run where ``due`` says so."""

    words: tuple[str, ...]
    why: str
    due: Callable[[], bool] = field(repr=False)
    runner: Runner = field(default=run, repr=False)

    def describe(self) -> str:
        """Say what it does."""
        return f"run {' '.join(self.words)} ({self.why})"

    def is_done(self) -> bool:
        """Ask."""
        return not self.due()

    def do(self) -> None:
        """Run it."""
        self.runner(self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """A file, or a folder with all that is in it, to be removed."""

    path: Path

    def describe(self) -> str:
        """Say what it does."""
        return f"remove {self.path}"

    def is_done(self) -> bool:
        """Look whether it is gone."""
        return not self.path.exists() and not self.path.is_symlink()

    def do(self) -> None:
        """Remove it."""
        try:
            if self.path.is_dir() and not self.path.is_symlink():
                shutil.rmtree(self.path)
            else:
                self.path.unlink(missing_ok=True)
        except OSError as error:
            raise Failed(f"cannot be removed: {error.strerror}", subject=str(self.path)) from error


def _uid(user: str | None) -> int:
    try:
        return 0 if user is None else pwd.getpwnam(user).pw_uid
    except KeyError:
        return -1
