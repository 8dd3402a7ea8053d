"""Whatever is typed and whatever state the machine is in: one clear line, the right code, no traceback."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cli.conftest import Type, settle, typed
from tests.web.serving import Served
from yamori.cli.terminal import clean
from yamori.trust.token import FILE

READING = [
    ("status",),
    ("fleet",),
    ("top", "--once"),
    ("findings",),
    ("runs",),
    ("explain", "run-1"),
    ("watch", "-n", "1"),
    ("support",),
    ("policy", "show"),
    ("ledger", "verify"),
    ("ledger", "show"),
    ("ledger", "export"),
]
ACTING = [
    ("throttle", "mail", "--cpu", "1", "--for", "5m"),
    ("release", "mail"),
    ("migrate", "mail", "--yes"),
    ("undo", "run-1"),
]


@pytest.mark.parametrize("words", READING + ACTING, ids=" ".join)
def test_without_a_service_each_command_says_so_and_ends_with_code_4(
    run: Type, tmp_path: Path, words: tuple[str, ...]
) -> None:
    told = run(*words, "--state-dir", str(tmp_path / "none"))
    assert (told.code, told.out) == (4, "")
    assert told.err == f"error: {tmp_path / 'none'}: Yamori is not running (start it with: yamori up)\n"


@pytest.mark.parametrize("words", READING + ACTING, ids=" ".join)
def test_a_service_that_died_without_a_word_is_unreachable(
    run: Type, tmp_path: Path, words: tuple[str, ...]
) -> None:
    settle(tmp_path / "state", "http://127.0.0.1:9")
    told = run(*words, "--state-dir", str(tmp_path / "state"))
    assert (told.code, told.out) == (4, "")
    assert "start it with: yamori up" in told.err


@pytest.mark.parametrize("words", READING + ACTING, ids=" ".join)
def test_a_wrong_token_is_refused(service: Served, run: Type, tmp_path: Path, words: tuple[str, ...]) -> None:
    settle(tmp_path / "state", service.url, token="wrong")
    told = run(*words)
    assert (told.code, told.out) == (3, "")
    assert "token" in told.err
    assert service.facade.acted == []


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604])
def test_a_token_that_others_could_read_is_not_used(service: Served, run: Type, tmp_path: Path, mode: int) -> None:
    (tmp_path / "state" / FILE).chmod(mode)
    told = run("status")
    assert told.code == 5
    assert "chmod 600" in told.err


def test_a_state_directory_in_which_others_can_write_is_not_trusted(
    service: Served, run: Type, tmp_path: Path
) -> None:
    (tmp_path / "state").chmod(0o777)
    told = run("status")
    assert told.code == 5
    assert "others can write in it" in told.err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_state_directory_or_token_of_another_user_is_not_trusted(
    service: Served, run: Type, tmp_path: Path
) -> None:
    os.chown(tmp_path / "state" / FILE, 65534, 65534)
    assert run("status").code == 5
    settle(tmp_path / "state", service.url)
    os.chown(tmp_path / "state", 65534, 65534)
    told = run("status")
    assert told.code == 5
    assert "belongs to user 65534" in told.err


def test_a_token_that_is_a_link_is_not_followed(service: Served, run: Type, tmp_path: Path) -> None:
    token = tmp_path / "state" / FILE
    token.rename(tmp_path / "elsewhere")
    token.symlink_to(tmp_path / "elsewhere")
    assert run("status").code == 5


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"url": 5}', '{"url": "file:///etc/passwd"}', "\0"])
def test_a_broken_service_file_is_one_clear_line(service: Served, run: Type, tmp_path: Path, text: str) -> None:
    (tmp_path / "state" / "service.json").write_text(text)
    told = run("status")
    assert (told.code, told.out) == (2, "")
    assert len(told.err.splitlines()) == 1
    assert "restart yamori up" in told.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Usage"),
        (("throtle",), "Did you mean 'throttle'?"),
        (("throttle",), "Missing argument 'VM'"),
        (("throttle", "mail"), "Missing option '--for'"),
        (("throttle", "mail", "--for", "5m"), "no limit is given"),
        (("throttle", "mail", "--for", "5", "--cpu", "1"), "is no span of time; write it like"),
        (("throttle", "mail", "--for", "5m", "--cpu", "half"), "is not a number; write it like"),
        (("throttle", "mail", "--for", "5m", "--cpu", "-1"), "is not a number; write it like"),
        (("throttle", "mail", "--for", "5m", "--cpu", "nan"), "is not a number"),
        (("throttle", "mail", "--for", "5m", "--memory", "5Q"), "is not a size"),
        (("throttle", "mail", "--for", "5m", "--bandwidth", "fast"), "is not a rate"),
        (("throttle", "mail", "--for", "9999d", "--cpu", "1"), "expires_after_s"),
        (("throttle", "nobody", "--for", "5m", "--cpu", "1"), "nobody: there is no such VM"),
        (("throttle", "", "--for", "5m", "--cpu", "1"), "there is nothing named ''"),
        (("throttle", "../../etc", "--for", "5m", "--cpu", "1"), "there is no such"),
        (("explain", "nope"), "nope: there is no such run"),
        (("findings", "nope"), "nope: there is no such finding"),
        (("fleet", "--standing", "good"), "'good' is not one of"),
        (("fleet", "--limit", "0"), "Invalid value for '--limit'"),
        (("top", "--interval", "0"), "Invalid value for '--interval'"),
        (("runs", "--limit", "many"), "Invalid value for '--limit'"),
        (("support", "a", "--config", "b"), "exclude each other"),
        (("support", "--config", "/nowhere.yaml"), "/nowhere.yaml: cannot be read"),
        (("up",), "Missing option '--config'"),
        (("up", "--config", "/nowhere.yaml"), "/nowhere.yaml: cannot be read"),
        (("up", "--config", "/"), "cannot be read: Is a directory"),
        (("up", "--config", "/nowhere.yaml", "--tls-key", "k"), "go together"),
        (("policy", "check", "/nowhere.yaml"), "/nowhere.yaml: cannot be read"),
        (("policy", "replay", "/nowhere.yaml", "--record", "/nowhere"), "/nowhere"),
        (("demo", "--simulated", "--kind", "gpu"), "'gpu' is not one of cpu, memory, disk"),
        (("demo", "--speed", "0"), "Invalid value for '--speed'"),
        (("lab", "up", "Bad Name"), "is no lab name"),
        (("lab", "up", "--accelerator", "kwm"), "Did you mean 'kvm'?"),
        (("status", "--no-such-option"), "No such option"),
        (("status", "extra"), "unexpected extra argument"),
    ],
)
def test_bad_input_ends_with_code_2_and_says_how_to_mend_it(
    service: Served, run: Type, words: tuple[str, ...], said: str
) -> None:
    told = run(*words)
    assert told.code == 2
    assert said in told.err + told.out
    assert "Traceback" not in told.err
    assert service.facade.acted == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=12).filter(lambda t: "\0" not in t), max_size=5))
def test_garbage_never_ends_in_a_traceback(service: Served, words: list[str]) -> None:
    told = typed("throttle", *words)
    assert told.code in {0, 2, 3}
    assert service.facade.acted == [] or told.code == 0


def test_a_hostile_name_reaches_the_screen_without_its_power(service: Served, run: Type) -> None:
    import dataclasses

    view = service.facade.vm("mail")
    bad = "evil\x1b[2J\x9b31m\u202e\u200b\r\n[red]x[/red]"
    service.facade.put(dataclasses.replace(view, vm=dataclasses.replace(view.vm, name=bad, labels={"sla": bad})))
    for words in (("fleet",), ("top", "--once"), ("fleet", view.vm.id), ("fleet", "--json"), ("top", "--json")):
        told = run(*words)
        assert told.code == 0
        assert all(line.isprintable() for line in told.lines)
        assert not set(told.out) & {"\x1b", "\x9b", "\u202e", "\u200b", "\r"}
    assert "evil\\x1b[2J\\x9b31m\\x202e\\x200b\\x0d\\x0a[red]x[/red]" in run("fleet").out


@given(st.text())
def test_clean_text_is_printable_and_bounded(text: str) -> None:
    shown = clean(text, 50)
    assert shown.isprintable()
    assert len(shown) <= 50 * 9 + 1
