"""Passwords: where they come from, and how a wrong one is told without locking the account."""

import logging
from pathlib import Path

import pytest

from tests.drivers.vsphere.conftest import Connect, settings_of, until
from yamori.drivers.vsphere import connection
from yamori.drivers.vsphere.patience import LONGEST_PATIENCE_S, patience_s, pause_s
from yamori.drivers.vsphere.session import VSphereSession
from yamori.lab.vsphere import VCenter
from yamori.model.errors import NotPermitted


class Attempts:
    """Counts attempts to log in."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        real = connection.open_link

        def counted(*arguments: object) -> object:
            self.count += 1
            return real(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(connection, "open_link", counted)


def write(path: Path, content: bytes, mode: int = 0o600) -> None:
    path.write_bytes(content)
    path.chmod(mode)


async def refused(session: VSphereSession) -> NotPermitted:
    with pytest.raises(NotPermitted) as refusal:
        await session.sensing.inventory.read()
    return refusal.value


async def test_a_wrong_password_is_told_once_and_not_tried_again(
    connect: Connect, vcenter: VCenter, password_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = Attempts(monkeypatch)
    session = connect(settings_of(vcenter, password_file=str(password_file)))
    for _ in range(20):
        refusal = await refused(session)
    assert "refuses user" in refusal.message
    assert refusal.mend is not None
    assert "password" in refusal.mend
    assert attempts.count == 1
    assert session.acting.power is not None  # it may be permitted tomorrow


def test_the_second_attempt_comes_after_a_minute_and_each_later_one_after_twice_as_long() -> None:
    assert all(60.0 * 2 ** (n - 1) <= patience_s(n) <= 75.0 * 2 ** (n - 1) for n in range(1, 6))
    assert patience_s(1000) <= LONGEST_PATIENCE_S * 1.25
    assert pause_s(1000) <= 30.0


async def test_a_corrected_password_is_tried_at_once(
    connect: Connect, vcenter: VCenter, password_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_LOOK_S", 0.05)
    session = connect(settings_of(vcenter, password_file=str(password_file)))
    await refused(session)
    write(password_file, vcenter.password_file.read_bytes())

    async def works() -> bool:
        try:
            return bool((await session.sensing.inventory.read()).hosts)
        except NotPermitted:
            return False

    await until(works, "the corrected password was used")


async def test_the_password_may_come_from_the_environment(
    connect: Connect, vcenter: VCenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VC_PASSWORD", vcenter.password_file.read_text().strip())
    settings = settings_of(vcenter, password_file=None, password_env="VC_PASSWORD")
    assert (await connect(settings).sensing.inventory.read()).hosts
    monkeypatch.delenv("VC_PASSWORD")
    assert "there is no password" in (await refused(connect(settings))).message


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
async def test_a_password_file_that_others_can_read_is_refused(
    connect: Connect, vcenter: VCenter, password_file: Path, mode: int
) -> None:
    write(password_file, b"secret", mode=mode)
    refusal = await refused(connect(settings_of(vcenter, password_file=str(password_file))))
    assert "others can read" in refusal.message
    assert refusal.mend == f"chmod 600 {password_file}"


@pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo\n", b"\xff\xfe", b"a\x00b", b"x" * 5000])
async def test_a_password_file_without_one_line_of_text_is_refused(
    connect: Connect, vcenter: VCenter, password_file: Path, content: bytes
) -> None:
    write(password_file, content)
    await refused(connect(settings_of(vcenter, password_file=str(password_file))))


async def test_a_password_file_that_is_a_folder_or_not_there_is_refused(
    connect: Connect, vcenter: VCenter, tmp_path: Path
) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        await refused(connect(settings_of(vcenter, password_file=str(path))))


async def test_the_password_is_in_no_log_and_no_error(
    connect: Connect, vcenter: VCenter, password_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    session = connect(settings_of(vcenter, password_file=str(password_file)))
    refusal = await refused(session)
    seen = [str(refusal), repr(refusal.__cause__), caplog.text, repr(session.connection.settings)]
    assert "not to be seen" not in "".join(seen)
