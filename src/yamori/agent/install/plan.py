"""What installing and removing the agent comes to on this host, as steps in order."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from yamori.agent.install.access import wanted
from yamori.agent.install.steps import MakeFolder, MakeUser, Remove, Runner, RunProgram, Step, WriteFile, run
from yamori.agent.install.unit import NAME, unit
from yamori.agent.service.settings import CONFIG, Settings
from yamori.model.errors import NotPermitted
from yamori.model.plain import Json

UNIT = Path("/etc/systemd/system") / NAME
RULE = Path("/etc/udev/rules.d/60-yamori-agent.rules")
SYSTEMD = Path("/run/systemd/system")
WANTED = Path("/etc/systemd/system/multi-user.target.wants") / NAME
LAPSES = "lapses.json"
EXAMPLE = """\
# The agent of Yamori on this host. Nothing need be said; see docs/how-to/agent.md.
# controller: controller.example:8471
# host:
#   functions: [net, cpu, disk, usage, waiting, passage]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one step: ``already``, ``would``, ``did``. ``text`` is the content of a file."""

    step: str
    outcome: str
    text: str | None = None

    def plain(self) -> Json:
        """Return it as JSON."""
        return {"step": self.step, "outcome": self.outcome, "text": self.text}


@dataclass(kw_only=True)
class Plan:
    """Steps for one host. ``root`` is put before all paths (for an image); ``runner`` starts programs."""

    settings: Settings
    config: Path = CONFIG
    root: Path = Path("/")
    runner: Runner = field(default=run, repr=False)
    _fresh: bool = False

    def install(self, *, service: bool) -> Sequence[Step]:
        """Return the steps of installing, with the unit or without it."""
        user = self.settings.agent.user
        steps: list[Step] = [
            MakeUser(user=user, runner=self.runner),
            MakeFolder(path=self._at(self.config.parent), mode=0o755),
            WriteFile(path=self._at(self.config), text=EXAMPLE, mode=0o640, group=user, keep=True),
            MakeFolder(path=self._at(self.settings.state_dir), mode=0o700, user=user),
        ]
        remembering = Path(self.settings.host.state_dir)
        if remembering != self.settings.state_dir:
            steps.append(MakeFolder(path=self._at(remembering), mode=0o700, user=user))
        present = self._devices()
        if present:
            steps.append(WriteFile(path=self._at(RULE), text=_rule(present, user)))
        if service:
            steps.append(WriteFile(path=self._at(UNIT), text=self._unit()))
            if self._at(SYSTEMD).is_dir():
                steps += self._started()
        return steps

    def uninstall(self, *, purge: bool) -> Sequence[Step]:
        """Return the steps of removing. Identity, file and user stay unless ``purge``."""
        running = self._at(SYSTEMD).is_dir()
        steps: list[Step] = []
        if running:
            stop = ("systemctl", "disable", "--now", NAME)
            steps.append(self._program(stop, "stop it for good", self._at(UNIT).exists))
        steps.append(
            self._program(
                (sys.executable, "-m", "yamori.agent", "let-go", "--config", str(self.config)),
                "end the limits that were to end by themselves",
                (self._at(Path(self.settings.host.state_dir)) / LAPSES).exists,
            )
        )
        steps += [Remove(path=self._at(WANTED)), Remove(path=self._at(UNIT)), Remove(path=self._at(RULE))]
        if running:
            reload = ("systemctl", "daemon-reload")
            steps.append(self._program(reload, "forget the unit", lambda: self._fresh))
        if purge:
            user = self.settings.agent.user
            there = MakeUser(user=user).is_done
            steps += [
                Remove(path=self._at(self.settings.state_dir)),
                Remove(path=self._at(self.config)),
                self._program(("userdel", user), "nobody is left to run as it", there),
            ]
        return steps

    def carry_out(self, steps: Sequence[Step], *, dry_run: bool) -> list[Outcome]:
        """Do what is not done already, or only say it. Raises NotPermitted unless root, Failed."""
        if not dry_run and os.geteuid() != 0:
            raise NotPermitted("only root may change this host", mend="use sudo, or --dry-run to see what it does")
        outcomes: list[Outcome] = []
        for step in steps:
            if step.is_done():
                outcomes.append(Outcome(step=step.describe(), outcome="already"))
                continue
            if not dry_run:
                step.do()
            self._fresh = True
            text = step.text if isinstance(step, WriteFile) else None
            outcomes.append(Outcome(step=step.describe(), outcome="would" if dry_run else "did", text=text))
        return outcomes

    def _started(self) -> list[Step]:
        reload = ("systemctl", "daemon-reload")
        return [
            self._program(reload, "let systemd read the unit", lambda: self._fresh),
            self._program(
                ("systemctl", "enable", "--now", NAME), "start it now and at boot", lambda: not self._enabled()
            ),
            self._program(("systemctl", "restart", NAME), "run as the unit says now", lambda: self._fresh),
        ]

    def _enabled(self) -> bool:
        return self._at(WANTED).is_symlink()

    def _program(self, words: tuple[str, ...], why: str, due: Callable[[], bool]) -> RunProgram:
        return RunProgram(words=words, why=why, due=due, runner=self.runner)

    def _devices(self) -> list[str]:
        devices = wanted(self.settings.host).devices
        return [device for device in devices if self._at(Path(device)).exists()]

    def _unit(self) -> str:
        user = self.settings.agent.user
        return unit(self.settings.host, user=user, devices=self._devices(), config=self.config)

    def _at(self, path: Path) -> Path:
        return self.root / path.relative_to("/")


def _rule(devices: Sequence[str], user: str) -> str:
    """Write the udev rule that gives devices to the agent's group at each boot (udev(7))."""
    lines = ["# Written by yamori agent install."]
    for device in devices:
        named = device.removeprefix("/dev/")
        lines.append(f'KERNEL=="{named}", GROUP="{user}", MODE="0660"')
    return "\n".join(lines) + "\n"
