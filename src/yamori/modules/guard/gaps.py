"""Keeps the last reading of hosts that were not read this time, so that a gap is a gap and not a new start."""

import numpy as np

from yamori.capabilities.sensing.usage import UsageFrame


def bridge(before: UsageFrame, now: UsageFrame, keep_s: float) -> UsageFrame:
    """Add to ``now`` the rows of hosts that only ``before`` has, unless they are older than ``keep_s``.

    The rows keep their old reading time. Seen from the next frame they yield rates over the whole gap; seen
    from this one no time has passed, so that everything about them is unknown.
    """
    present = set(now.hosts)
    if present.issuperset(before.hosts):
        return now
    newest = float(np.max(now.read_at)) if len(now.read_at) else float(np.max(before.read_at))
    age = newest - before.read_at
    absent = np.array([h not in present for h in before.hosts]) & (age <= keep_s)
    if not absent.any():
        return now
    number = np.cumsum(absent) - 1 + len(now.hosts)
    rows = np.flatnonzero(absent[before.host_of])
    return UsageFrame(
        wall=now.wall,
        vms=now.vms + tuple(before.vms[i] for i in rows.tolist()),
        hosts=now.hosts + tuple(h for h, a in zip(before.hosts, absent.tolist(), strict=True) if a),
        host_of=np.concatenate([now.host_of, number[before.host_of[rows]].astype(np.int32)]),
        read_at=np.concatenate([now.read_at, before.read_at[absent]]),
        values=np.concatenate([now.values, before.values[rows]]),
        host_values=np.concatenate([now.host_values, before.host_values[absent]]),
    )
