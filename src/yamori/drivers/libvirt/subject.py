"""One VM under one call: its handle and what its definition says now."""

from dataclasses import dataclass
from typing import Any

from yamori.drivers.libvirt.listing import find, read_definition
from yamori.drivers.libvirt.translate import Definition
from yamori.model.errors import Conflict
from yamori.model.ids import VMId


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a job on one VM works with, in libvirt's worker thread."""

    handle: Any
    definition: Definition

    @property
    def id(self) -> VMId:
        """The VM."""
        return self.definition.id


def subject_of(link: Any, vm: VMId) -> Subject:
    """Look a VM up with its present definition. Raises NotFound, Invalid, libvirtError."""
    handle = find(link, vm)
    return Subject(handle=handle, definition=read_definition(handle, ()))


def running(link: Any, vm: VMId) -> Subject:
    """The same for a VM that must run. Raises Conflict as well."""
    subject = subject_of(link, vm)
    if not subject.handle.isActive():
        raise Conflict("the VM is not running", subject=vm)
    return subject
