"""Which VMs a rule speaks of. Three answers: yes, no, and unknown where the fleet does not say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from yamori.model.host import Host
from yamori.model.vm import VM

STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, str_max_length=500)
"""How every model of the policy is read."""


def as_list(value: Any) -> Any:
    """Let one value stand for a list of one."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


_GLOB = {"type": "string", "minLength": 1}
Globs = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(as_list),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [_GLOB, {"type": "array", "items": _GLOB, "minItems": 1}]}),
]
"""One pattern or a list of which one must fit: ``*`` any text, ``?`` one character, ``[ab]`` one of these."""


class Selector(BaseModel):
    """Conditions on a VM. All keys given must hold (and); of the values of one key any may (or).

    ``any``, ``all`` and ``not`` hold further selectors. A label that a VM does not carry does not match; a host or
    site that is not known gives unknown, which never helps to allow.
    """

    model_config = STRICT

    name: Globs | None = Field(default=None, description="Patterns of VM names.")
    tenant: Globs | None = Field(default=None, description="Patterns of the label tenant.")
    sla: Globs | None = Field(default=None, description="Patterns of the label sla.")
    label: dict[str, Globs] | None = Field(default=None, description="Label names with patterns of their values.")
    host: Globs | None = Field(default=None, description="Patterns of host ids.")
    site: Globs | None = Field(default=None, description="Patterns of sites.")
    any: tuple[Selector, ...] | None = Field(default=None, min_length=1, description="At least one must match.")
    all: tuple[Selector, ...] | None = Field(default=None, min_length=1, description="Every one must match.")
    not_: Selector | None = Field(default=None, alias="not", description="Must not match.")

    def matches(self, vm: VM | None, host: Host | None) -> bool | None:
        """Say whether a VM is meant; None when what is known does not suffice to tell."""
        if vm is None:
            return None if self.model_fields_set else True
        site = None if host is None else host.site
        answers = [_one(self.name, vm.name), _one(self.host, vm.host), _one(self.site, site)]
        answers += [_label(self.tenant, vm.labels, "tenant"), _label(self.sla, vm.labels, "sla")]
        answers += [_label(patterns, vm.labels, name) for name, patterns in (self.label or {}).items()]
        answers += [part.matches(vm, host) for part in self.all or ()]
        if self.any is not None:
            answers.append(_or(part.matches(vm, host) for part in self.any))
        if self.not_ is not None:
            inner = self.not_.matches(vm, host)
            answers.append(None if inner is None else not inner)
        return both(*answers)

    def label_names(self) -> frozenset[str]:
        """Return every label name that is asked for, here and in the parts."""
        names = set(self.label or ())
        for part in (*(self.any or ()), *(self.all or ()), *((self.not_,) if self.not_ else ())):
            names |= part.label_names()
        return frozenset(names)

    def sla_patterns(self) -> tuple[str, ...]:
        """Return every pattern of an SLA class that is asked for, here and in the parts."""
        found = self.sla or ()
        for part in (*(self.any or ()), *(self.all or ()), *((self.not_,) if self.not_ else ())):
            found += part.sla_patterns()
        return found


def fits(patterns: Iterable[str], value: str) -> bool:
    """Say whether any pattern fits the whole value, case-sensitively."""
    return any(fnmatchcase(value, pattern) for pattern in patterns)


def both(*answers: bool | None) -> bool | None:
    """Combine by and: no wins, then unknown (Kleene's three-valued logic)."""
    if any(answer is False for answer in answers):
        return False
    return None if any(answer is None for answer in answers) else True


def _or(answers: Iterable[bool | None]) -> bool | None:
    seen = list(answers)
    if any(answer is True for answer in seen):
        return True
    return None if any(answer is None for answer in seen) else False


def _one(patterns: tuple[str, ...] | None, value: str | None) -> bool | None:
    if patterns is None:
        return True
    return None if value is None else fits(patterns, value)


def _label(patterns: tuple[str, ...] | None, labels: Mapping[str, str], name: str) -> bool:
    if patterns is None:
        return True
    return name in labels and fits(patterns, labels[name])
