"""What is seen between runs: told at once, and where it belongs on the ledger written there in the background."""

import asyncio
from typing import Any

from yamori.control.events import Events
from yamori.control.facade import EndpointView, EventKind
from yamori.model.ids import HostId, RunId, VMId
from yamori.model.plain import to_plain
from yamori.model.proposal import Decision, Proposal
from yamori.trust.ledger import Ledger, RecordKind


class Notes:
    """Tells events and queues their records, so that whoever sees something never waits for the disk."""

    def __init__(self, ledger: Ledger, events: Events) -> None:
        self._ledger = ledger
        self._events = events
        self._queue: asyncio.Queue[tuple[RecordKind, dict[str, Any]]] = asyncio.Queue()

    def ruled(self, proposal: Proposal, decision: Decision, run: RunId | None) -> None:
        """Tell what policy ruled; its record is written with the ruling."""
        body = {"proposal": to_plain(proposal), "decision": to_plain(decision), "run": run}
        self._events.tell(EventKind.DECIDED, proposal.action.vm, body)

    def contact(self, endpoint: EndpointView) -> None:
        """Tell that an endpoint was reached or lost."""
        body = {"contact": endpoint.contact.value, "error": endpoint.error, "gap": endpoint.gap}
        self._events.tell(EventKind.ENDPOINT, endpoint.name, body)

    def drifted(self, vm: VMId, changes: tuple[str, ...]) -> None:
        """Note limits that another hand has changed."""
        self._events.tell(EventKind.DRIFT, vm, {"changes": list(changes)})
        self._queue.put_nowait((RecordKind.DRIFT, {"vm": vm, "changes": list(changes)}))

    def doubled(self, vm: VMId, where: tuple[HostId, ...]) -> None:
        """Note a VM of which more than one copy runs."""
        self._events.tell(EventKind.DUPLICATE, vm, {"hosts": list(where)})
        self._queue.put_nowait((RecordKind.DUPLICATE, {"vm": vm, "hosts": list(where)}))

    async def write(self) -> None:
        """Write what is noted until cancelled."""
        while True:
            kind, body = await self._queue.get()
            await self._ledger.append(kind, body)
