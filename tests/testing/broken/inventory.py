"""Inventories that break one promise each."""

import dataclasses

from tests.testing.broken.layer import Layer, VendorError, VendorText
from yamori.capabilities.sensing.inventory import Listing
from yamori.model.errors import Invalid, NotFound
from yamori.model.ids import VMId
from yamori.model.vm import VM


class RaisesTheVendorsError(Layer):
    async def vm(self, vm: VMId) -> VM:
        try:
            return await self.healthy.vm(vm)
        except NotFound as error:
            raise VendorError("domain not found") from error


class SaysInvalidForNotFound(Layer):
    async def vm(self, vm: VMId) -> VM:
        try:
            return await self.healthy.vm(vm)
        except NotFound as error:
            raise Invalid("bad id") from error


class LeaksAVendorType(Layer):
    async def vm(self, vm: VMId) -> VM:
        found = await self.healthy.vm(vm)
        return dataclasses.replace(found, name=VendorText(found.name))


class LeaksAHandle(Layer):
    async def read(self) -> Listing:
        listing = await self.healthy.read()
        vms = tuple(dataclasses.replace(vm, labels={**vm.labels, "handle": self.world}) for vm in listing.vms)
        return dataclasses.replace(listing, vms=vms)


class ListsAVMTwice(Layer):
    async def read(self) -> Listing:
        listing = await self.healthy.read()
        return dataclasses.replace(listing, vms=listing.vms + listing.vms[:1])


class SaysZeroForUnknownSize(Layer):
    async def read(self) -> Listing:
        listing = await self.healthy.read()
        return dataclasses.replace(
            listing, hosts=tuple(dataclasses.replace(host, memory_bytes=0) for host in listing.hosts)
        )
