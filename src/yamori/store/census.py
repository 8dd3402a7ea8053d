"""The inventory in a recording: whole in the first chunk of a file, then only what has changed."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from yamori.model.errors import Invalid
from yamori.model.plain import from_plain, to_plain
from yamori.model.vm import VM
from yamori.store.chunk import Arrays, Chunk

CHANGED = "inventory"
"""Array: JSON text of the list of VMs that are new or different."""
GONE = "gone"
"""Member of the head: id and host of VMs that are no more."""
ORDER = "order"
"""Member of the head: id and host of all, in order, where new ones are not simply at the end."""

_Key = tuple[str, str]


def _key(vm: VM) -> _Key:
    # A VM may be on two hosts at once, while it moves or when something is badly wrong: that must be kept.
    return vm.id, vm.host or ""


class CensusTaker:
    """Tells what changed from one inventory to the next. Keeps the text of each VM: writing it is what costs."""

    def __init__(self) -> None:
        self._texts: dict[_Key, tuple[VM, str]] = {}
        self._told: dict[_Key, None] = {}
        self._last: tuple[VM, ...] | None = None

    def forget(self) -> None:
        """Tell everything next time: a new file begins."""
        self._told = {}
        self._last = None

    def changes(self, vms: tuple[VM, ...]) -> tuple[dict[str, Any], Arrays]:
        """Return what the chunk of an inventory must hold, as members of its head and as arrays."""
        if vms == self._last:
            return {}, {}
        listed = {_key(vm): vm for vm in vms}
        texts = [text for key, vm in listed.items() if (text := self._news(key, vm)) is not None]
        gone = [key for key in self._told if key not in listed]
        for key in gone:
            del self._told[key]
        for key in [key for key in self._texts if key not in listed]:
            del self._texts[key]
        self._told |= dict.fromkeys(listed)
        head: dict[str, Any] = {GONE: gone} if gone else {}
        if list(self._told) != list(listed):
            head[ORDER] = list(listed)
            self._told = dict.fromkeys(listed)
        self._last = vms
        return head, {CHANGED: np.frombuffer(f"[{','.join(texts)}]".encode(), "|u1")}

    def _news(self, key: _Key, vm: VM) -> str | None:
        """Return the text of a VM that the reader of this file does not know as it is."""
        known = self._texts.get(key)
        if known is not None and known[0] == vm:
            return None if key in self._told else known[1]
        text = json.dumps(to_plain(vm), separators=(",", ":"))
        self._texts[key] = (vm, text)
        return text


class CensusReader:
    """Follows the changes of one file."""

    def __init__(self) -> None:
        self._vms: dict[_Key, VM] = {}
        self._listed: tuple[VM, ...] | None = None

    def follow(self, chunk: Chunk) -> tuple[VM, ...]:
        """Return the inventory at a chunk. Raises Invalid."""
        if CHANGED in chunk.arrays:
            self._change(chunk)
        if self._listed is None:
            raise Invalid("the inventory is missing")
        return self._listed

    def _change(self, chunk: Chunk) -> None:
        try:
            plain = json.loads(chunk.arrays[CHANGED].tobytes())
        except (ValueError, RecursionError) as error:
            raise Invalid(f"the inventory is no JSON: {error}") from None
        changed: Sequence[VM] = from_plain(tuple[VM, ...], plain, where=CHANGED)
        for key in from_plain(tuple[_Key, ...], chunk.head.get(GONE, []), where=GONE):
            self._vms.pop(key, None)
        self._vms |= {_key(vm): vm for vm in changed}
        if ORDER in chunk.head:
            order = from_plain(tuple[_Key, ...], chunk.head[ORDER], where=ORDER)
            if len(order) != len(self._vms) or self._vms.keys() != set(order):
                raise Invalid("the order of the inventory does not list the VMs that it has")
            self._vms = {key: self._vms[key] for key in order}
        self._listed = tuple(self._vms.values())
