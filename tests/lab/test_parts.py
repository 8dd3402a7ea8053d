"""Parts of the lab that need neither root nor a hypervisor."""

import datetime as dt
import gzip
import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.verification import PolicyBuilder, Store

from yamori.lab import cache, cpio, layout, pki, service, slot, storage, wire
from yamori.lab.attack import AttackKind, attack_line
from yamori.lab.processes import ProcessId, end, start_recorded
from yamori.lab.registry import Kind, Registry
from yamori.lab.spec import LabSpec, Storage, Virtualization
from yamori.lab.xen.boot import load_order
from yamori.model.errors import Conflict, Invalid


def test_a_lab_of_two_hosts_has_eight_guests_with_stable_ids() -> None:
    guests = LabSpec(name="demo").guests()
    assert [guest.name for guest in guests] == [
        "vm-a1",
        "vm-a2",
        "vm-a3",
        "vm-a4",
        "vm-b1",
        "vm-b2",
        "vm-b3",
        "vm-b4",
    ]
    assert guests == LabSpec(name="demo").guests()
    assert len({guest.uuid for guest in (*guests, *LabSpec(name="other").guests())}) == 16


def test_every_host_has_a_guest_on_each_kind_of_storage() -> None:
    spec = LabSpec(name="demo", guests_per_host=2)
    for host in spec.host_names():
        assert {guest.storage for guest in spec.guests() if guest.host == host} == set(Storage)


@pytest.mark.parametrize("name", ["", "Demo", "1st", "a" * 21, "a/b", "../x", "a b", "a\n"])
def test_a_name_that_could_leave_its_folder_or_grow_too_long_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        LabSpec(name=name)


@pytest.mark.parametrize(("field", "value"), [("hosts", 0), ("guests_per_host", 21), ("guest_memory_mib", 10)])
def test_a_size_out_of_bounds_is_refused(field: str, value: int) -> None:
    with pytest.raises(Invalid, match=field):
        LabSpec(name="demo", **{field: value})  # type: ignore[arg-type]


def test_a_spec_comes_back_from_the_registry_as_it_was() -> None:
    spec = LabSpec(name="demo", hosts=3, array_iops=99, detached=True)
    assert LabSpec.from_record({**spec.as_record(), "of_a_newer_version": 1}) == spec


def test_interface_names_fit_into_the_kernels_fifteen_characters() -> None:
    spec, widest = LabSpec(name="x" * 20, hosts=10), layout.Layout(name="x" * 20, slot=max(slot.SLOTS))
    for name in (widest.root_link, *(f"m-{host}" for host in spec.host_names())):
        assert len(name) <= 15


def test_two_slots_share_no_name_and_no_address() -> None:
    one, two = layout.Layout(name="a", slot=1), layout.Layout(name="b", slot=2)
    for read in (
        lambda lab: lab.cgroup,
        lambda lab: lab.root_link,
        lambda lab: lab.switch_namespace,
        lambda lab: lab.host_namespace("host-a"),
        lambda lab: lab.host_address(0),
        lambda lab: lab.guest_mac(20),
    ):
        assert read(one) != read(two)


def test_a_torn_line_hides_neither_what_came_before_nor_what_comes_after(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "lab" / "registry.jsonl")
    registry.create()
    registry.append(Kind.NETNS, "before")
    with registry.path.open("ab") as file:
        file.write(b'{"kind": "netns", "id": "to')
    registry.append(Kind.NETNS, "after")
    assert [record.id for record in registry.of(Kind.NETNS)] == ["before", "after"]


def test_garbage_in_the_registry_is_passed_over(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "lab" / "registry.jsonl")
    registry.create()
    registry.path.write_bytes(b'\xff\xfe\n[]\n{}\n{"kind":"?","id":"x"}\n7\n{"kind":"link","id":"kept"}\n')
    assert [record.id for record in registry.records()] == ["kept"]


def test_a_reused_pid_is_another_process_and_is_not_signalled() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        real = ProcessId.of(child.pid)
        assert real is not None
        earlier = ProcessId(pid=real.pid, started=real.started - 1)
        assert not earlier.alive()
        assert end([earlier]) == []
        assert child.poll() is None
        assert end([real]) == [real]


def test_a_zombie_counts_as_gone() -> None:
    child = subprocess.Popen(["true"])
    deadline = time.monotonic() + 20
    while ProcessId.of(child.pid) is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ProcessId.of(child.pid) is None
    child.wait()


def test_a_command_runs_only_after_it_was_recorded(tmp_path: Path) -> None:
    proof, seen = tmp_path / "ran", []

    def record(identity: ProcessId) -> None:
        seen.append((identity, proof.exists()))

    child = start_recorded(["touch", str(proof)], record=record, log=tmp_path / "log")
    assert child.wait(timeout=20) == 0
    assert proof.exists()
    assert seen[0][0].pid == child.pid
    assert not seen[0][1]


def test_a_command_that_could_not_be_recorded_never_runs(tmp_path: Path) -> None:
    proof = tmp_path / "ran"

    def refuse(_: ProcessId) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        start_recorded(["touch", str(proof)], record=refuse, log=tmp_path / "log")
    assert not proof.exists()


def test_a_slot_is_kept_until_released_and_then_given_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot, "STATE_ROOT", tmp_path)
    monkeypatch.setattr(slot, "_in_use", lambda number: number == 2)
    assert slot.take("one") == 1
    assert slot.take("one") == 1
    assert slot.take("two") == 3
    assert slot.holders() == {"one": 1, "two": 3}
    assert not slot.release(1, "two")
    assert slot.release(1, "one")
    assert slot.take("three") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="the lock is for root only")
def test_only_one_process_at_a_time_works_on_a_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot, "STATE_ROOT", tmp_path)
    assert not slot.busy("demo")
    with slot.locked("demo"):
        assert slot.busy("demo")
        with pytest.raises(Conflict), slot.locked("demo"):
            pass
    assert not slot.busy("demo")
    assert list((tmp_path / ".locks").iterdir()) == []


def test_a_hosts_certificate_is_good_for_its_address_and_no_other() -> None:
    authority = pki.Authority("demo")
    issued = authority.issue("host-a", address="10.77.1.11", server=True)
    certificate = x509.load_pem_x509_certificate(issued.certificate)
    store = Store([x509.load_pem_x509_certificate(authority.certificate)])
    now = dt.datetime.now(dt.UTC)
    name = x509.DNSName("host-a")
    verifier = PolicyBuilder().store(store).time(now).build_server_verifier(name)
    assert verifier.verify(certificate, [])[0] == certificate
    stranger = Store([x509.load_pem_x509_certificate(pki.Authority("demo").certificate)])
    with pytest.raises(x509.verification.VerificationError):
        PolicyBuilder().store(stranger).time(now).build_server_verifier(name).verify(certificate, [])
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.77.1.11"]
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)


def test_private_keys_of_a_host_are_not_readable_by_everybody(tmp_path: Path) -> None:
    pki.write_host(pki.Authority("demo"), tmp_path, name="host-a", address="10.77.1.11", qemu_group=os.getgid())
    keys = sorted(tmp_path.rglob("*key.pem"))
    assert len(keys) == 4
    assert all(key.stat().st_mode & 0o007 == 0 for key in keys)


def test_disks_differ_from_guest_to_guest_have_no_holes_and_are_the_same_each_time() -> None:
    contents = []
    for name in ("vm-a1", "vm-a2", "vm-a1"):
        file = io.BytesIO()
        storage.write_volume(file, name, 5)
        contents.append(file.getvalue())
    assert len(contents[0]) == 5 << 20
    assert contents[0] == contents[2] != contents[1]
    assert contents[0].startswith(b"YAMORI-LAB vm-a1\n")
    blocks = [contents[0][at : at + 4096] for at in range(0, 5 << 20, 4096)]
    assert b"\0" * 4096 not in blocks


def test_the_archive_of_the_guests_userland_can_be_read_by_cpio(tmp_path: Path) -> None:
    archive = cpio.Archive()
    archive.folder("bin")
    archive.file("bin/tool", b"odd", executable=True)
    content = gzip.decompress(archive.compressed())
    listed = subprocess.run(["/bin/busybox", "cpio", "-t"], input=content, capture_output=True, check=True)
    assert listed.stdout.split() == [b"bin", b"bin/tool"]


def test_a_kept_thing_is_made_once_and_a_failed_making_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "CACHE_ROOT", tmp_path)
    made: list[Path] = []

    def make(aside: Path) -> None:
        made.append(aside)
        (aside / "content").write_text("whole")

    def fail(aside: Path) -> None:
        (aside / "content").write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        cache.kept("thing", fail)
    assert (cache.kept("thing", make) / "content").read_text() == "whole"
    assert cache.kept("thing", fail) == tmp_path / "thing"
    assert len(made) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"thing", "lock"}


def test_only_what_a_dead_maker_left_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "CACHE_ROOT", tmp_path)
    (tmp_path / ".thing-dead").mkdir()

    def make(aside: Path) -> None:
        assert not (tmp_path / ".thing-dead").exists()
        assert cache.sweep() == []
        assert aside.is_dir()

    cache.kept("thing", make)


def test_old_kept_things_go_and_those_in_use_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "CACHE_ROOT", tmp_path)
    for name in ("xen-image-1", "xen-image-2", "kernel-1"):
        (tmp_path / name).mkdir()
    assert cache.prune("xen-image-", keep={"xen-image-2"}) == ["xen-image-1"]
    assert {path.name for path in tmp_path.iterdir()} == {"xen-image-2", "kernel-1", "lock"}


def test_a_lab_with_xen_hosts_has_their_guests_beside_the_others() -> None:
    spec = LabSpec(name="demo", hosts=1, guests_per_host=1, xen_hosts=2, xen_guests_per_host=2, xen_pvh=("vm-y2",))
    assert spec.all_host_names() == ("host-a", "xen-a", "xen-b")
    found = {guest.name: (guest.host, guest.virtualization) for guest in spec.guests()}
    assert found == {
        "vm-a1": ("host-a", Virtualization.QEMU),
        "vm-x1": ("xen-a", Virtualization.PV),
        "vm-x2": ("xen-a", Virtualization.PV),
        "vm-y1": ("xen-b", Virtualization.PV),
        "vm-y2": ("xen-b", Virtualization.PVH),
    }
    assert LabSpec.from_record(spec.as_record()) == spec
    with pytest.raises(Invalid, match="vm-a1"):
        LabSpec(name="demo", xen_hosts=1, xen_pvh=("vm-a1",))
    with pytest.raises(Invalid, match="disks"):
        LabSpec(name="demo", xen_hosts=2, xen_guests_per_host=9, disk_mib=512)


def test_no_two_guests_of_the_largest_lab_share_an_address() -> None:
    guests = LabSpec(name="demo", hosts=10, guests_per_host=20, xen_hosts=3, xen_guests_per_host=9).guests()
    numbers = [guest.number for guest in guests]
    assert len(set(numbers)) == len(numbers)
    assert max(numbers) < 254


def test_modules_are_loaded_after_all_that_they_need() -> None:
    needs = "kernel/c.ko: kernel/b.ko kernel/a.ko\nkernel/b.ko: kernel/a.ko\nkernel/a.ko:\nkernel/d-e.ko:\n"
    assert load_order(needs, ("b", "c", "d_e", "built_in")) == [
        "kernel/a.ko",
        "kernel/b.ko",
        "kernel/c.ko",
        "kernel/d-e.ko",
    ]


@pytest.mark.parametrize("datagram", [b"", b"x" * 44, b"\0" * 43, b"YMS1" + b"\xff" * 40])
def test_a_datagram_that_is_no_answer_is_refused(datagram: bytes) -> None:
    with pytest.raises(Invalid):
        wire.parse_answer(datagram)


@pytest.mark.parametrize(("threads", "seconds"), [(0, 1), (65, 1), (1, 0), (1, 3601)])
def test_an_attack_is_bounded_in_time_and_threads(threads: int, seconds: int) -> None:
    with pytest.raises(Invalid):
        attack_line(AttackKind.CPU, threads=threads, seconds=seconds)


def _sample(latency: float) -> service.Sample:
    return service.Sample(sent=0.0, guest="vm", latency=latency, cpu=latency, memory=latency, disk=latency)


def test_an_unanswered_request_counts_as_infinitely_late() -> None:
    samples = [_sample(0.010) for _ in range(9)] + [_sample(float("nan"))]
    stats = service._stats("vm", samples, 2.0)
    assert (stats.asked, stats.answered, stats.answered_per_second) == (10, 9, 4.5)
    assert stats.latency_p50 == 0.010
    assert stats.latency_p95 == float("inf")


def test_a_window_without_requests_knows_nothing_instead_of_saying_fine() -> None:
    stats = service._stats("vm", [], 1.0)
    assert stats.latency_p95 != stats.latency_p95
    assert stats.answered == 0
