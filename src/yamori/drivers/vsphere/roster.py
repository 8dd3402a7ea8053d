"""Which of the server's objects stands for which id of ours, as the last listing had it."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from pyVmomi import vim

from yamori.drivers.vsphere.collector import Found, everything
from yamori.drivers.vsphere.link import Link
from yamori.drivers.vsphere.translate import host_ids, vm_id
from yamori.model.errors import Conflict, NotFound
from yamori.model.ids import EndpointName, HostId, VMId


class Roster:
    """Shared by the abilities of one endpoint. What it hands out is replaced, never changed."""

    def __init__(self, endpoint: EndpointName) -> None:
        self.endpoint = endpoint
        self.hosts: dict[str, HostId] = {}
        """Host ids by the server's key."""
        self.host_refs: dict[HostId, Any] = {}
        """The server's references by host id."""
        self.doubles: frozenset[VMId] = frozenset()
        """Ids that more than one VM has: nothing is done to them."""

    def learn_hosts(self, hosts: Iterable[Found]) -> dict[str, HostId]:
        """Take all hosts of a listing and return their ids by the server's key."""
        found = list(hosts)
        ids = host_ids(self.endpoint, found)
        self.hosts = ids
        self.host_refs = {ids[each.key]: each.ref for each in found}
        return ids

    def learn_doubles(self, ids: Iterable[VMId]) -> frozenset[VMId]:
        """Take the ids of all VMs of a listing and return those that were in it twice."""
        self.doubles = frozenset(id for id, times in Counter(ids).items() if times > 1)
        return self.doubles

    def host(self, link: Link, key: str | None) -> HostId | None:
        """The id of a host by the server's key; hosts are listed when it is a new one. Raises faults."""
        if key is None:
            return None
        if key not in self.hosts:
            self.learn_hosts(everything(link, {vim.HostSystem: ("name",)}))
        return self.hosts.get(key)

    def find(self, link: Link, vm: VMId, *, to_act: bool) -> Any:
        """The server's reference of a VM. Raises NotFound, Conflict when two have the id, faults."""
        if vm_id(vm) != vm:
            raise NotFound("there is no such VM", subject=str(vm)[:64])
        if to_act and vm in self.doubles:
            raise Conflict("two VMs have this id: nothing is done to either", subject=vm)
        ref = link.content.searchIndex.FindByUuid(uuid=vm, vmSearch=True, instanceUuid=True)
        if ref is None:
            raise NotFound("there is no such VM", subject=vm)
        return ref
