import os
import stat
import threading
from pathlib import Path

import pytest

from yamori.model.errors import Failed, NotFound, Untrusted
from yamori.trust.private_file import LARGEST, keep_private, read_private


def test_a_secret_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    old = os.umask(0)
    try:
        assert keep_private(path, lambda: "first") == "first"
    finally:
        os.umask(old)
    assert keep_private(path, lambda: "second") == "first"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["secret"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o601])
def test_a_file_that_others_could_read_is_not_trusted(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret"
    keep_private(path, lambda: "s")
    path.chmod(mode)
    with pytest.raises(Untrusted, match="chmod 600") as told:
        read_private(path)
    assert told.value.mend is not None
    with pytest.raises(Untrusted):
        keep_private(path, lambda: "other")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    keep_private(path, lambda: "s")
    os.chown(path, 65534, -1)
    with pytest.raises(Untrusted, match="65534"):
        read_private(path)


def test_a_link_a_directory_and_a_pipe_are_not_trusted(tmp_path: Path) -> None:
    keep_private(tmp_path / "real", lambda: "s")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("link", "directory", "pipe"):
        with pytest.raises(Untrusted):
            read_private(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"x" * (LARGEST + 1)])
def test_a_file_without_one_short_secret_is_not_trusted(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret"
    path.touch(mode=0o600)
    path.write_bytes(content)
    with pytest.raises(Untrusted):
        read_private(path)


def test_a_missing_file_is_not_found_and_a_missing_directory_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_private(tmp_path / "none")
    with pytest.raises(Failed):
        keep_private(tmp_path / "none" / "secret", lambda: "s")


def test_makers_at_the_same_time_agree_on_one_secret(tmp_path: Path) -> None:
    start, found = threading.Barrier(8), []

    def make(number: int) -> None:
        start.wait()
        found.append(keep_private(tmp_path / "secret", lambda: f"maker {number}"))

    threads = [threading.Thread(target=make, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
