"""What the simulator answers to the rules of quality."""

from collections.abc import Mapping

from yamori.manifest.quality import Answers, Done, Exempt, Todo

_KIT = "tests/conformance/test_simulator.py"
_WORLD = "tests/drivers/simulator/test_world.py::"
_WITHIN = Exempt(reason="it is in the same process: nobody is dialled, and no text comes from outside")

QUALITY: Mapping[str, Answers] = {
    "simulator": {
        "conformance-kit": Done(by=(_KIT,)),
        "bulk-reads": Done(by=(f"{_WORLD}test_a_hundred_thousand_vms_are_one_frame",)),
        "bounded-waits": Done(
            by=("tests/scenarios/test_holding_by_hand.py::test_an_endpoint_that_hangs_holds_up_nobody_else",)
        ),
        "hostile-input": _WITHIN,
        "typed-errors": Exempt(reason="there is no vendor's library"),
        "peer-verified": _WITHIN,
        "read-only-mode": Exempt(
            reason="features are taken away one by one with `without`; there is nothing to protect"
        ),
        "how-to": Done(by=("docs/tutorial/first-run.md",)),
        "real-hypervisor": Todo(lacks="it is the stand-in, and stays one"),
        "reconnects": Done(
            by=(f"{_WORLD}test_a_cut_line_is_unreachable_until_it_is_mended_and_ends_every_watch",)
        ),
        "least-privilege": _WITHIN,
        "secrets-hidden": Exempt(reason="it has none"),
        "other-hands": Done(by=(f"{_WORLD}test_what_is_done_by_hand_is_seen_by_the_sessions",)),
        "follows-changes": Done(by=(f"{_KIT}::TestChanges",)),
        "migration-encrypted": Exempt(reason="nothing travels"),
        "moves-found-again": Done(by=(f"{_KIT}::TestMigration",)),
        "proven-by-effect": Done(by=(f"{_KIT}::TestEffects",)),
        "one-copy": Done(
            by=("tests/scenarios/test_holding_by_hand.py::test_a_move_that_breaks_leaves_the_vm_at_its_source",)
        ),
        "as-specified": Exempt(reason="it is the specification"),
        "cost-published": Done(by=("docs/explanation/benchmarks.md",)),
        "main-job": Done(
            by=("tests/scenarios/test_story.py::test_every_attack_is_contained_and_every_effect_is_verified",)
        ),
    }
}
