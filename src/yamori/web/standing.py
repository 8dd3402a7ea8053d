"""One word for how a VM is served, out of all its objectives."""

from yamori.control.facade import Served, Standing, VMView

WORST_FIRST = (Standing.BROKEN, Standing.UNKNOWN, Standing.KEPT, Standing.NOT_PROMISED)
"""Something broken outweighs all; something unknown outweighs what is kept, so that it is never shown as kept."""


def standing_of(view: VMView) -> Standing:
    """Return the worst standing of a VM's objectives; NOT_PROMISED where nothing is promised."""
    there = {served.standing for served in view.served}
    return next((s for s in WORST_FIRST if s in there), Standing.NOT_PROMISED)


def strain(served: Served) -> float:
    """Return the measured value as a fraction of its bound: above 1 it is broken. Unknown counts as 0."""
    if served.value is None or not served.bound:
        return 0.0
    return served.value / served.bound
