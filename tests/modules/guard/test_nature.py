import numpy as np
import pytest

from yamori.modules.guard.nature import Conduct, Nature, judge

NAN = float("nan")


def conduct(**changes):
    """A VM that burns all its CPU since three readings and was idle before."""
    told = {
        "resource": "cpu",
        "vcpus": 2.0,
        "cpu_cores": 2.0,
        "delay": 0.0,
        "disk_iops": 1.0,
        "disk_bytes_s": 4096.0,
        "disk_latency_s": 0.001,
        "tx_packets_s": 2.0,
        "tx_bytes_s": 200.0,
        "rx_packets_s": 2.0,
        "assigned_bytes": 1e9,
        "surprise": 30.0,
        "taken": 2.0,
        "hour_usual": NAN,
        "known_s": 600.0,
        "watching_s": 600.0,
        "traffic_rise": 1.0,
        "cpu_rise": 20.0,
        "series": np.array([0.1] * 8 + [2.0] * 3, np.float32),
    }
    return Conduct(**{**told, **changes})


def test_all_vcpus_burning_without_input_or_output_is_hijacking():
    told = judge(conduct())
    assert told.nature is Nature.ATTACK
    assert told.techniques == ("T1496",)


def test_on_a_full_host_what_waits_to_run_counts_as_burning():
    assert judge(conduct(cpu_cores=0.6, delay=0.7, taken=0.6)).nature is Nature.ATTACK


def test_a_service_that_answers_more_requests_is_load():
    crowd = conduct(rx_packets_s=4000.0, tx_packets_s=4000.0, traffic_rise=20.0, cpu_cores=1.2)
    assert judge(crowd).nature is Nature.LOAD


def test_what_happens_at_this_hour_every_day_is_no_attack():
    assert judge(conduct(hour_usual=1.9)).nature is not Nature.ATTACK


def test_a_vm_that_has_only_just_started_is_no_attack():
    assert judge(conduct(known_s=10.0)).nature is not Nature.ATTACK


def test_without_history_it_says_unknown():
    assert judge(conduct(known_s=10.0, watching_s=10.0)).nature is Nature.UNKNOWN


@pytest.mark.parametrize("column", ["delay", "disk_bytes_s", "tx_packets_s", "surprise", "hour_usual"])
def test_what_is_unknown_never_makes_an_attack_out_of_load(column):
    load = {"rx_packets_s": 4000.0, "tx_packets_s": 4000.0, "traffic_rise": 20.0, "disk_bytes_s": 5e6}
    assert judge(conduct(**load)).nature is Nature.LOAD
    assert judge(conduct(**{**load, column: NAN})).nature is not Nature.ATTACK


def disk(**changes):
    return conduct(
        resource="disk",
        cpu_cores=0.2,
        series=np.array([20.0] * 8 + [900.0] * 3, np.float32),
        taken=900.0,
        **changes,
    )


def test_small_requests_without_pause_are_an_attack_on_the_disk():
    told = judge(disk(disk_iops=900.0, disk_bytes_s=900 * 4096.0))
    assert told.nature is Nature.ATTACK
    assert told.techniques == ("T1499",)


def test_a_backup_reads_large_pieces_a_few_at_a_time():
    assert judge(disk(disk_iops=250.0, disk_bytes_s=250 * 262144.0, disk_latency_s=0.004)).nature is Nature.LOAD


def test_large_requests_many_at_once_are_no_backup():
    assert judge(disk(disk_iops=150.0, disk_bytes_s=150 * 262144.0, disk_latency_s=0.13)).nature is Nature.ATTACK


def test_a_flood_of_small_packets_in_one_direction_is_an_attack():
    flood = conduct(
        resource="network", cpu_cores=0.5, tx_packets_s=50_000.0, tx_bytes_s=4.5e6, rx_packets_s=10.0,
        traffic_rise=300.0, series=np.array([100.0] * 8 + [5e4] * 3, np.float32), taken=5e4,
    )  # fmt: skip
    assert judge(flood).techniques == ("T1498",)


def test_a_guest_that_fills_its_memory_and_serves_nobody_denies_service():
    hog = conduct(
        resource="memory", cpu_cores=0.3, taken=0.95e9, series=np.array([2e8] * 8 + [6e8, 9e8, 9.5e8], np.float32)
    )
    assert judge(hog).techniques == ("T1499",)
