"""The driver conformance kit: one contract a capability, each test one promise of its Protocol.

A driver's test gives the fixtures and inherits the contracts; see docs/how-to/write-a-driver.md.
"""

import pytest

# So that a broken promise is shown with its values. Contracts are imported by their files.
pytest.register_assert_rewrite(
    *(
        f"{__name__}.{word}"
        for word in (
            "broken_move",
            "cancelled_moves",
            "contract",
            "effects",
            "expiry",
            "forecasts",
            "inventory",
            "changes",
            "usage",
            "limits",
            "pinning",
            "power",
            "migration",
            "moving",
            "refused_moves",
            "standing_still",
            "support",
            "values",
        )
    )
)
