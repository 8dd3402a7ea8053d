"""CPU limits of Xen's credit schedulers: a cap in percent of one CPU over all vCPUs, and a weight.

Source: Xen, "xl sched-credit2" in xl(1): cap 0 is none, an ordinary domain has weight 256 of 1 to 65535.
"""

from collections.abc import Callable, Mapping

from yamori.drivers.libvirt.cpu import CPU_KINDS
from yamori.drivers.libvirt.subject import Subject
from yamori.drivers.libvirt.words import clean
from yamori.model.errors import Invalid, Unsupported
from yamori.model.limits import LimitKind

_ONE_CORE = 100
_OF_ONE = 256
_MOST_WEIGHT = 65_535
_KNOWN = frozenset({"credit", "credit2"})
_CAP, _WEIGHT = "cap", "weight"
_WORDS: Mapping[LimitKind, str] = {LimitKind.CPU_CAP: _CAP, LimitKind.CPU_WEIGHT: _WEIGHT}


class CreditDial:
    """The scheduler of the VM's CPU pool, as libvirt's Xen driver shows it."""

    def cap(self, subject: Subject) -> float | None:
        """Read the cap, in cores."""
        return cores_of(_told(subject, LimitKind.CPU_CAP))

    def weight(self, subject: Subject) -> float | None:
        """Read the weight, relative to that of an ordinary VM."""
        return weight_of(_told(subject, LimitKind.CPU_WEIGHT))

    def plan(self, subject: Subject, asked: Mapping[LimitKind, float | None]) -> list[Callable[[], object]]:
        """Put what is asked into one call; the other parameter stays as it is."""
        kinds = [kind for kind in CPU_KINDS if kind in asked]
        if not kinds:
            return []
        for kind in kinds:
            _told(subject, kind)
        wanted: dict[str, int] = {}
        if LimitKind.CPU_CAP in asked:
            wanted[_CAP] = cap_for(asked[LimitKind.CPU_CAP], subject.definition.vcpus_max)
        if LimitKind.CPU_WEIGHT in asked:
            wanted[_WEIGHT] = weight_for(asked[LimitKind.CPU_WEIGHT])
        # Xen's driver knows only what is live, and refuses the flag that says so.
        return [lambda: subject.handle.setSchedulerParametersFlags(wanted, 0)]


def cores_of(cap: int) -> float | None:
    """Cores that the VM may use at most, None when unlimited."""
    return cap / _ONE_CORE if cap > 0 else None


def weight_of(weight: int) -> float | None:
    """The weight relative to an ordinary VM's, None when it is the same."""
    return None if weight == _OF_ONE else weight / _OF_ONE


def cap_for(cores: float | None, vcpus: int) -> int:
    """Xen's cap for so many cores, whole percent and at least one; None lifts it.

    Raises Invalid beyond what the VM's vCPUs could use together, which Xen refuses.
    """
    if cores is None:
        return 0
    cap = max(1, round(cores * _ONE_CORE))
    if cap > vcpus * _ONE_CORE:
        raise Invalid(f"a CPU cap of {cores:g} cores is more than the VM's {vcpus} vCPUs can use")
    return cap


def weight_for(weight: float | None) -> int:
    """Xen's weight, rounded, at least one. Raises Invalid beyond what Xen takes."""
    if weight is None:
        return _OF_ONE
    asked = round(weight * _OF_ONE)
    if asked > _MOST_WEIGHT:
        raise Invalid(f"a CPU weight of {weight:g} is more than Xen takes ({_MOST_WEIGHT / _OF_ONE:g})")
    return max(1, asked)


def _told(subject: Subject, kind: LimitKind) -> int:
    """One parameter as it holds now. Raises Unsupported under a scheduler that has no such thing."""
    word = _WORDS[kind]
    untrusted_name = str(subject.handle.schedulerType()[0])
    if untrusted_name not in _KNOWN:
        why = f"the scheduler is {clean(untrusted_name, 40)}: only credit and credit2 have a {word}"
        raise Unsupported(f"limits.{kind}", why, subject=subject.id)
    told = subject.handle.schedulerParameters().get(word)
    if not isinstance(told, int) or isinstance(told, bool) or told < 0:
        raise Unsupported(f"limits.{kind}", f"the scheduler does not tell its {word}", subject=subject.id)
    return told
