"""A real Xen host of the lab: its hypervisor, its dom0, its guests, its accidents."""

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.xen_session import share
from yamori.lab import guest as guests
from yamori.lab import pki, wire
from yamori.lab.attack import AttackKind
from yamori.lab.lab import Lab, clear_lab
from yamori.lab.spec import LabSpec, Virtualization
from yamori.lab.xen.host import XenHost
from yamori.model.errors import Conflict, Failed, NotFound, TimedOut

pytestmark = [
    pytest.mark.lab,
    pytest.mark.xen,
    pytest.mark.timeout(1200),  # the image may have to be made, on a machine that has other work
    pytest.mark.skipif(os.geteuid() != 0, reason="the real lab needs root"),
]

REGISTERS = """
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static int wrong(uint64_t seed) {
    uint64_t in[2] = {seed, ~seed}, out[2];
    time_t until = time(NULL) + 6;
    while (time(NULL) < until)
        for (int i = 0; i < 500; i++) {
            asm volatile("movdqu %0, %%xmm7" ::"m"(*(uint64_t(*)[2])in) : "xmm7");
            for (volatile int wait = 0; wait < 2000; wait++)
                ;
            asm volatile("movdqu %%xmm7, %0" : "=m"(*(uint64_t(*)[2])out)::"memory");
            if (in[0] != out[0] || in[1] != out[1])
                return 1;
        }
    return 0;
}
int main(void) {
    int bad = 0, status;
    for (uint64_t i = 1; i <= 4; i++)
        if (fork() == 0)
            _exit(wrong(0x123456789abcdefull * i));
    while (wait(&status) > 0)
        bad += status != 0;
    printf("%d\\n", bad);
    return 0;
}
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    name = f"xen-{os.getpid()}"
    running = asyncio.run(Lab.up(LabSpec(name=name, hosts=0, xen_hosts=1, xen_pvh=("vm-x3",))))
    try:
        yield running
    finally:
        asyncio.run(clear_lab(name))


@pytest.fixture
async def quiet(lab: Lab) -> AsyncIterator[Lab]:
    """The lab, with every attack ended and every accident mended when the test is over."""
    yield lab
    lab.heal_link("xen-a")
    lab.xen_host("xen-a").thaw()
    for name in lab.guests:
        await lab.stop_attack(name)


@pytest.fixture
def host(quiet: Lab) -> XenHost:
    return quiet.xen_host("xen-a")


def answer(lab: Lab, name: str) -> wire.Answer | None:
    work = wire.Work(iterations=1000, pages=4, blocks=1)
    return wire.ask(lab.layout.switch_namespace, lab.guest_address(name), work, timeout_seconds=2)


def wait_until(true: Callable[[], object], what: str, *, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.3)


def virsh(host: XenHost, *words: str, uri: str = "") -> str:
    command = ["virsh", "--quiet", "--connect", uri or host.local_uri, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def cpu_seconds(host: XenHost, name: str) -> float:
    return float(host.run(["xl", "list", name]).splitlines()[1].split()[-1])


def test_every_guest_serves_and_reads_its_own_disk_without_an_error(lab: Lab) -> None:
    for name in lab.guests:
        found = answer(lab, name)
        assert found is not None
        assert found.disk_errors == 0
    for name in lab.guests:
        label = lab.xen_host("xen-a").run(["head", "-c", "64", f"/dev/mapper/{name}"])
        assert label.startswith(f"YAMORI-LAB {name}\n")


def test_guests_are_defined_persistently_as_planned(lab: Lab) -> None:
    with guests.connection(lab.host("xen-a")) as opened:
        found = {domain.name(): domain for domain in opened.listAllDomains() if domain.ID() != 0}
        assert {name: domain.UUIDString() for name, domain in found.items()} == {
            plan.name: plan.uuid for plan in lab.guests.values()
        }
        assert all(domain.isPersistent() for domain in found.values())
        kinds = {name: "xenpvh" in domain.XMLDesc() for name, domain in found.items()}
    assert kinds == {plan.name: plan.virtualization is Virtualization.PVH for plan in lab.guests.values()}


def test_a_client_of_another_authority_is_refused(lab: Lab, tmp_path: Path) -> None:
    pki.write_client(pki.Authority("stranger"), tmp_path)
    uri = f"{lab.host('xen-a').uri}?pkipath={tmp_path}"
    command = ["virsh", "--quiet", "--connect", uri, "list"]
    assert subprocess.run(command, capture_output=True, timeout=120).returncode != 0


def test_ssh_lets_in_who_has_the_labs_key_and_proves_the_host(host: XenHost, lab: Lab) -> None:
    keys = lab.layout.pki / "ssh"
    options = [f"UserKnownHostsFile={keys}/known_hosts", "StrictHostKeyChecking=yes", "BatchMode=yes"]
    words = [word for option in options for word in ("-o", option)]
    command = ["ssh", "-F", "none", "-i", str(keys / "id"), *words, f"root@{host.address}", "hostname"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "xen-a")
    stranger = [word if word != str(keys / "id") else "/dev/null" for word in command]
    assert subprocess.run(stranger, capture_output=True, timeout=120).returncode != 0


def test_programs_run_in_dom0_with_bounds_and_clear_errors(host: XenHost) -> None:
    assert host.run(["cat"], stdin=b"some words") == "some words"
    assert host.run(["sh", "-c", "echo $WORD"], environment={"WORD": "said"}) == "said\n"
    with pytest.raises(Failed, match="no such thing"):
        host.run(["sh", "-c", "echo no such thing >&2; exit 3"])
    with pytest.raises(TimedOut):
        host.run(["sleep", "600"], timeout_seconds=1)
    host.put("/srv/deep/down", b"\0\xff" * 70_000, mode=0o600)
    assert host.read("/srv/deep/down") == b"\0\xff" * 70_000
    with pytest.raises(Failed, match="FileNotFoundError"):
        host.read("/srv/nothing")
    pid = host.spawn(["sh", "-c", "echo started; exec sleep 600"], log="/var/log/spawned.log")
    wait_until(lambda: host.read("/var/log/spawned.log") == b"started\n", "the program's log")
    host.run(["kill", str(pid)])


def test_several_ask_dom0_at_the_same_time_and_each_gets_its_own_answer(host: XenHost) -> None:
    async def ask() -> list[str]:
        asked = (asyncio.to_thread(host.run, ["sh", "-c", f"sleep 0.2; echo {n}"]) for n in range(12))
        return await asyncio.gather(*asked)

    assert asyncio.run(ask()) == [f"{n}\n" for n in range(12)]


def test_dom0_can_run_yamori_as_it_is_now(host: XenHost) -> None:
    program = "import numpy, pydantic, cryptography, libvirt, yamori.drivers.libvirt as it; print(it.DRIVER.name)"
    assert host.run(["python3", "-c", program], timeout_seconds=120) == "libvirt\n"
    here = (Path(guests.__file__)).read_bytes()
    assert host.read("/opt/yamori/src/yamori/lab/guest.py") == here


def test_programs_keep_their_registers_while_guests_run(quiet: Lab, host: XenHost, tmp_path: Path) -> None:
    (tmp_path / "registers.c").write_text(REGISTERS)
    built = tmp_path / "registers"
    command = ["gcc", "-O1", "-static", "-o", str(built), str(tmp_path / "registers.c")]
    subprocess.run(command, check=True, timeout=60)
    host.put("/srv/registers", built.read_bytes(), mode=0o755)
    assert host.run(["/srv/registers"], timeout_seconds=120) == "0\n"


async def test_an_attack_takes_cpu_until_it_is_stopped_and_a_cap_holds_it(quiet: Lab, host: XenHost) -> None:
    await quiet.attack("vm-x1", AttackKind.CPU)
    assert await quiet.attack_of("vm-x1") is AttackKind.CPU
    before = cpu_seconds(host, "vm-x1")
    wait_until(lambda: cpu_seconds(host, "vm-x1") > before + 1, "the burner's CPU time grows")
    virsh(host, "schedinfo", "vm-x1", "--set", "cap=20")
    async with asyncio.timeout(240):
        while not 0.1 < await share(host, "vm-x1") < 0.25:
            pass  # it asks for eight seconds; one that a busy machine spoilt says nothing
    virsh(host, "schedinfo", "vm-x1", "--set", "cap=0")
    await quiet.stop_attack("vm-x1")
    assert await quiet.attack_of("vm-x1") is None


def test_the_array_gives_no_more_requests_than_it_has(lab: Lab, host: XenHost) -> None:
    asked = 4 * lab.spec.array_iops
    read = f"dd if=/dev/mapper/vm-x2 of=/dev/null bs=4k count={asked} iflag=direct"
    begin = time.monotonic()
    host.run(["sh", "-c", read], timeout_seconds=200)
    assert time.monotonic() - begin > 3


def test_a_cut_link_separates_the_host_and_not_its_guests(quiet: Lab, host: XenHost) -> None:
    quiet.cut_link("xen-a")
    with pytest.raises(TimedOut):
        host.wait_ready(timeout_seconds=3)
    assert answer(quiet, "vm-x2") is not None
    assert host.run(["hostname"]) == "xen-a\n"
    quiet.heal_link("xen-a")
    host.wait_ready()


def test_libvirtd_comes_back_after_its_death_and_the_guests_run_on(quiet: Lab, host: XenHost) -> None:
    before = host.run(["xl", "domid", "vm-x2"])
    for kill in (False, True):
        host.restart_libvirtd(kill=kill, timeout_seconds=180)
        assert "vm-x2" in virsh(host, "list", "--name")
    assert host.run(["xl", "domid", "vm-x2"]) == before
    assert answer(quiet, "vm-x2") is not None


def test_a_frozen_libvirtd_answers_nothing_until_it_is_thawed(quiet: Lab, host: XenHost) -> None:
    host.freeze()
    with pytest.raises(TimedOut):
        host.wait_ready(timeout_seconds=3)
    host.thaw()
    host.wait_ready()


def test_another_process_finds_the_host_in_the_lab(lab: Lab) -> None:
    found = Lab.open(lab.spec.name)
    assert found.fleet_config() == lab.fleet_config()
    (endpoint,) = found.fleet_config()["endpoints"]
    assert endpoint["uri"] == f"xen+tls://{lab.host('xen-a').address}/system"
    assert found.xen_host("xen-a").run(["hostname"]) == "xen-a\n"
    with pytest.raises(NotFound):
        found.xen_host("xen-b")


def test_a_crashed_host_takes_its_guests_along_and_boots_with_their_definitions(lab: Lab) -> None:
    host = lab.xen_host("xen-a")
    host.run(["sh", "-c", "echo written > /srv/kept; sync"])
    with pytest.raises(Conflict):
        host.start()
    host.crash()
    assert not host.running()
    assert answer(lab, "vm-x1") is None
    with pytest.raises(Failed):
        host.run(["true"])
    host.start()
    host.wait_ready()
    assert host.read("/srv/kept") == b"written\n"
    assert set(virsh(host, "list", "--all", "--name").split()) >= set(lab.guests)
    assert not set(virsh(host, "list", "--name").split()) & set(lab.guests)
    virsh(host, "start", "vm-x1")
    wait_until(lambda: answer(lab, "vm-x1"), "vm-x1 serves again")
