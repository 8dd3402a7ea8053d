"""What this driver answers to the rules of quality. Where nothing is said, it is still to do."""

from collections.abc import Mapping

from yamori.manifest.quality import Answers, Done, Todo

_TESTS = "tests/drivers/vsphere/"
_STAND_IN = Todo(lacks="proven against a simulator of the interface, which enforces nothing")
_HOW_TO = Done(by=("docs/how-to/vsphere.md",))

QUALITY: Mapping[str, Answers] = {
    "VMware vCenter Server": {
        "conformance-kit": Done(by=("tests/conformance/test_vsphere.py",)),
        "bulk-reads": Done(
            by=(f"{_TESTS}test_thousand_vms.py::test_a_reading_takes_at_most_three_calls_and_mostly_one",)
        ),
        "bounded-waits": Done(
            by=(
                f"{_TESTS}test_outages.py::"
                "test_a_server_that_hangs_costs_a_bounded_number_of_threads_and_is_noticed",
                f"{_TESTS}test_threads.py::test_when_all_threads_hang_new_calls_are_refused",
            )
        ),
        "hostile-input": Done(
            by=(
                f"{_TESTS}test_garbage.py::test_garbage_is_an_error_of_ours_in_bounded_words",
                f"{_TESTS}test_on_the_simulator.py::test_a_hostile_name_is_shown_bounded_and_harms_nothing",
            )
        ),
        "typed-errors": Done(by=(f"{_TESTS}test_failure.py::test_each_fault_says_who_must_act",)),
        "peer-verified": Done(
            by=(
                f"{_TESTS}test_certificates.py::test_a_certificate_of_a_foreign_authority_is_refused",
                f"{_TESTS}test_certificates.py::test_a_certificate_for_another_name_is_refused",
                f"{_TESTS}test_certificates.py::test_localhost_is_verified_as_well",
            )
        ),
        "read-only-mode": Done(
            by=(f"{_TESTS}test_on_the_simulator.py::test_read_only_offers_nothing_that_changes_anything",)
        ),
        "how-to": _HOW_TO,
        "real-hypervisor": _STAND_IN,
        "reconnects": Done(
            by=(
                f"{_TESTS}test_outages.py::"
                "test_a_killed_server_is_unreachable_at_once_and_served_again_when_it_is_back",
                f"{_TESTS}test_outages.py::"
                "test_after_the_session_was_ended_another_is_opened_and_the_call_goes_on",
            )
        ),
        "least-privilege": _HOW_TO,
        "secrets-hidden": Done(by=(f"{_TESTS}test_login.py::test_the_password_is_in_no_log_and_no_error",)),
        "other-hands": Done(
            by=(
                f"{_TESTS}test_on_the_simulator.py::test_what_another_hand_has_set_of_the_same_allocation_is_kept",
            )
        ),
        "follows-changes": Todo(lacks="the stand-in tells changes of power, not of configuration"),
        "migration-encrypted": Done(
            by=(
                f"{_TESTS}test_decisions.py::"
                "test_a_move_is_refused_unless_the_server_says_that_encryption_is_required",
                f"{_TESTS}test_on_the_simulator.py::"
                "test_the_simulator_cannot_prove_encryption_so_no_move_is_offered",
            )
        ),
        "moves-found-again": Todo(lacks="no stand-in keeps what moves depend on, so none was ever made"),
        "proven-by-effect": _STAND_IN,
        "as-specified": Done(
            by=(
                "tests/conformance/test_machine_on_vsphere.py::"
                "test_the_vsphere_driver_behaves_as_the_simulator_specifies",
            )
        ),
    }
}
