"""What this driver answers to the rules of quality, for each hypervisor that libvirt speaks to."""

from collections.abc import Mapping

from yamori.manifest.quality import Answers, Done, Exempt, Todo

_CONNECTION = "tests/drivers/libvirt/test_connection.py::"
_HOSTS = "tests/drivers/libvirt/test_hosts.py::"
_MOVES = "tests/drivers/libvirt/test_moves.py::"
_TRANSLATE = "tests/drivers/libvirt/test_translate.py::"
_XEN = "tests/conformance/test_xen_among_others.py::"
_XEN_KIT = "tests/conformance/test_libvirt_xen.py"
_XEN_MOVES = "tests/conformance/test_libvirt_xen_moves.py::"
_MIXED = "tests/mixed/test_mixed_fleet.py::test_a_mixed_fleet_under_faults_loses_nothing_and_acts_once"
_XEN_HOW_TO = Done(by=("docs/how-to/xen-hosts.md", "docs/how-to/agent.md"))
_HOW_TO = Done(by=("docs/how-to/libvirt-hosts.md",))
_NO_MOVES = Exempt(reason="it cannot migrate")

_ALL: Answers = {
    "bounded-waits": Done(
        by=(
            f"{_CONNECTION}test_a_deaf_endpoint_is_unreachable_at_once_after_the_first_time_and_hurts_nobody",
            "tests/drivers/libvirt/test_workers.py::test_too_many_hanging_calls_are_the_last",
        )
    ),
    "hostile-input": Done(
        by=(
            f"{_TRANSLATE}test_any_tree_of_known_words_is_read_or_invalid",
            f"{_TRANSLATE}test_a_billion_laughs_are_not_laughed",
            "tests/drivers/libvirt/test_counters.py::"
            "test_any_statistics_give_a_row_of_numbers_that_are_not_negative_or_infinite",
        )
    ),
    "typed-errors": Done(by=("tests/drivers/libvirt/test_failure.py::test_each_error_says_who_must_act",)),
    "read-only-mode": Done(by=(f"{_CONNECTION}test_a_read_only_session_reads_and_offers_nothing_that_changes",)),
    "reconnects": Done(by=(f"{_CONNECTION}test_a_lost_link_is_opened_again_and_tells_who_watches",)),
    "secrets-hidden": Done(
        by=("tests/drivers/libvirt/test_settings.py::test_a_password_is_not_repeated_in_the_error",)
    ),
}
"""What does not depend on the hypervisor behind libvirt."""
_VERIFIED = (
    "tests/security/test_never_in_plaintext.py::test_an_address_that_proves_nothing_or_runs_something_is_refused"
)
_SPECIFIED = Done(
    by=(
        "tests/conformance/test_machine_on_libvirt.py::"
        "test_the_built_in_driver_behaves_as_the_simulator_specifies",
    )
)
_COST = Done(by=("docs/explanation/benchmarks.md",))

QUALITY: Mapping[str, Answers] = {
    "QEMU": {
        **_ALL,
        "conformance-kit": Done(by=("tests/conformance/test_libvirt_qemu.py",)),
        "bulk-reads": Done(by=(f"{_HOSTS}test_one_bulk_call_reads_all_vms",)),
        "peer-verified": Done(
            by=(_VERIFIED, f"{_HOSTS}test_a_wrong_client_certificate_is_unreachable_and_says_so")
        ),
        "how-to": _HOW_TO,
        "real-hypervisor": Done(by=("tests/conformance/test_libvirt_qemu.py",)),
        "least-privilege": _HOW_TO,
        "other-hands": Done(
            by=(
                f"{_HOSTS}test_limits_set_by_hand_are_read_as_they_are",
                f"{_HOSTS}test_a_limit_on_reads_alone_is_told_as_such_and_left_alone",
            )
        ),
        "follows-changes": Done(
            by=(f"{_HOSTS}test_a_vm_defined_by_hand_is_seen_told_and_forgotten_when_it_is_gone",)
        ),
        "migration-encrypted": Done(
            by=(
                f"{_MOVES}test_every_move_is_encrypted_and_goes_from_daemon_to_daemon",
                f"{_MOVES}test_a_destination_that_cannot_prove_its_name_gets_nothing",
            )
        ),
        "moves-found-again": Done(
            by=(
                f"{_MOVES}test_a_move_under_way_is_found_by_its_key_and_another_one_is_a_conflict",
                f"{_MOVES}test_our_own_link_cut_in_the_middle_does_not_stop_the_move",
            )
        ),
        "proven-by-effect": Done(by=("tests/conformance/test_libvirt_qemu.py::TestEffects",)),
        "restart-under-load": Done(by=(_MIXED,)),
        "one-copy": Done(by=(f"{_MOVES}test_a_link_cut_in_the_middle_leaves_exactly_one_running_copy",)),
        "as-specified": _SPECIFIED,
        "cost-published": _COST,
        "main-job": Done(by=("README.md", "scripts/test.sh")),
    },
    "Xen": {
        **_ALL,
        "conformance-kit": Done(by=(_XEN_KIT,)),
        "bulk-reads": Done(
            by=("tests/bench/test_real_labs.py::test_a_xen_host_is_read_with_one_call_over_its_agents_line",)
        ),
        "peer-verified": Done(by=(_VERIFIED, f"{_XEN}test_a_wrong_client_certificate_is_unreachable_and_says_so")),
        "how-to": _XEN_HOW_TO,
        "real-hypervisor": Done(by=(_XEN_KIT,)),
        "least-privilege": _XEN_HOW_TO,
        "other-hands": Done(by=(f"{_XEN}TestHands::test_limits_set_by_hand_are_read_as_they_are",)),
        "follows-changes": Done(
            by=(f"{_XEN}TestHands::test_a_vm_defined_by_hand_is_seen_told_and_forgotten_when_it_is_gone",)
        ),
        "migration-encrypted": Done(by=(f"{_XEN_MOVES}TestAlone::test_nothing_on_the_wire_can_be_read",)),
        "moves-found-again": Done(by=(f"{_XEN_MOVES}TestMigration",)),
        "proven-by-effect": Done(by=(f"{_XEN_KIT}::TestEffects", f"{_XEN_MOVES}TestMigration")),
        "restart-under-load": Done(
            by=(
                f"{_XEN}TestManagementKilled::"
                "test_a_held_guest_stays_held_while_libvirtd_and_the_agent_die_under_it",
                _MIXED,
            )
        ),
        "one-copy": Done(
            by=(
                f"{_XEN_MOVES}TestAlone::"
                "test_a_link_that_is_cut_in_the_middle_leaves_one_copy_and_the_next_move_succeeds",
            )
        ),
        "as-specified": _SPECIFIED,
        "cost-published": _COST,
        "main-job": Done(by=("README.md", "scripts/test.sh")),
    },
    "libvirt test driver": {
        **_ALL,
        "conformance-kit": Done(by=("tests/conformance/test_libvirt_test_driver.py",)),
        "bulk-reads": Exempt(reason="it counts nothing"),
        "peer-verified": Exempt(reason="it is in the same process"),
        "how-to": Exempt(reason="its address is test:///default, and there is nothing to set up"),
        "real-hypervisor": Todo(lacks="it is a stand-in, and stays one"),
        "migration-encrypted": _NO_MOVES,
        "moves-found-again": _NO_MOVES,
        "one-copy": _NO_MOVES,
        "as-specified": _SPECIFIED,
        "cost-published": _COST,
    },
}
