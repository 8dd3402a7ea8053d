"""Identities. A VM keeps its id when it moves between hosts; a name is only for people."""

from typing import NewType

VMId = NewType("VMId", str)
"""The hypervisor's own stable identity of a VM (libvirt: UUID), lower case."""

HostId = NewType("HostId", str)
"""A host: the endpoint's name, or ``endpoint/host`` where one endpoint speaks for several hosts."""

EndpointName = NewType("EndpointName", str)
"""A configured connection, named by the operator."""

RunId = NewType("RunId", str)
FindingId = NewType("FindingId", str)
RuleId = NewType("RuleId", str)
