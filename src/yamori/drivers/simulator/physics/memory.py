"""Who keeps its memory: the balloon, touching, and what the host pages out when it has promised too much."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Flags = NDArray[np.bool_]

PAGE = 4096.0
BALLOON_FRACTION_S = 0.25
"""A balloon moves by this fraction of the VM's largest memory each second."""

GUEST_FAULTS_S = 2000.0
"""A guest that swaps waits for each of its major faults: at half a millisecond each, so many a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes at the end of the step; ``paging`` is what went to and came from the host's swap in it.

    ``missing`` is the fraction of what the guest uses that is not in host memory. ``faults`` are major faults
    inside the guest, which swaps by itself when its balloon leaves it less than it uses.
    """

    assigned: Floats
    resident: Floats
    paged: Floats
    paging: Floats
    missing: Floats
    faults: Floats


def step(
    *,
    seconds: float,
    running: Flags,
    working_set: Floats,
    touch: Floats,
    target: Floats,
    largest: Floats,
    assigned: Floats,
    resident: Floats,
    paged: Floats,
    host: Ints,
    host_memory: Floats,
) -> Memory:
    """Move the balloons, let guests touch memory, and take back in proportion what a host does not have."""
    reach = BALLOON_FRACTION_S * largest * seconds
    assigned = np.where(running, assigned + np.clip(target - assigned, -reach, reach), assigned)
    resident = np.minimum(resident, assigned)
    used = np.minimum(working_set, assigned)
    grow = np.where(running, np.clip(used - resident, 0.0, touch * seconds), 0.0)
    fetched = np.minimum(grow, paged)
    resident = resident + grow
    held = np.bincount(host, resident, minlength=host_memory.size)
    keep = np.divide(host_memory, held, out=np.ones_like(host_memory), where=held > host_memory)
    evicted = resident * (1.0 - keep[host])
    resident = resident - evicted
    paged = np.maximum(np.minimum(paged - fetched + evicted, assigned - resident), 0.0)
    gone, short = np.maximum(used - resident, 0.0), np.maximum(working_set - assigned, 0.0)
    missing = np.divide(gone, used, out=np.zeros_like(used), where=used > 0)
    squeezed = np.divide(short, working_set, out=np.zeros_like(used), where=working_set > 0)
    rate = np.minimum(touch / PAGE * squeezed, GUEST_FAULTS_S)
    faults = np.where(running, rate * seconds, 0.0)
    return Memory(
        assigned=assigned,
        resident=resident,
        paged=paged,
        paging=fetched + evicted,
        missing=np.clip(missing, 0.0, 1.0),
        faults=faults,
    )
