"""One bound for reads and writes together, kept by a kernel that has one for each: how to share it out. Pure.

The two shares always add up to the bound, so that it holds whatever the guest does. Who uses nearly all of its
share gets what the other leaves; a guest that turns from reading to writing has all of it again after some ticks.
"""

NEARLY = 0.85
LEFT = 0.05
"""The least share, as a fraction of the bound: enough to see that somebody begins to use it."""
SPARE = 1.3
"""What is left to the one that does not use its share, relative to what it uses."""


def halves(bound: int) -> tuple[int, int]:
    """Share a bound out while nothing is known of its use."""
    return max(1, bound - bound // 2), max(1, bound // 2)


def shared(bound: int, shares: tuple[int, int], used: tuple[float, float]) -> tuple[int, int]:
    """Return the next shares of reads and writes, after they used so much per second of the present ones."""
    full = tuple(use >= NEARLY * share for use, share in zip(used, shares, strict=True))
    if full[0] == full[1]:
        return shares
    idle = 1 if full[0] else 0
    least = max(1, round(bound * LEFT))
    left = min(shares[idle], max(least, round(used[idle] * SPARE)))
    rest = max(1, bound - left)
    return (rest, left) if idle == 1 else (left, rest)
