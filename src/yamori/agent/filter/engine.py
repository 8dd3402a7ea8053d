"""Carries Filters out: one table of ours on the bridge, one batch for a port's change, and reading back what is.

Everything is asked of the kernel; nothing is remembered here. One engine at a time may write on a host.
"""

import errno
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from yamori.agent.filter import messages, wire
from yamori.agent.filter.line import Line
from yamori.agent.filter.messages import Hook, ToldRule
from yamori.agent.filter.port import Attachment, check_interface, is_here
from yamori.agent.filter.program import PEERS_COUNTED, Program, chain_of, chains_of, compiled, stem
from yamori.agent.filter.skeleton import EARLY, INGRESS, MAPS, OURS, TABLE, entries, own, skeleton
from yamori.agent.filter.way import Way, proof
from yamori.agent.filter.wire import MOST_BATCH, Batch, Nft, NftRefused
from yamori.model.errors import Unsupported
from yamori.model.filter import Filter, Replies
from yamori.model.filter_rule import Direction

_NEW = wire.CREATE
_RULE = wire.CREATE | wire.APPEND
_FIRST_SET = 10
"""Numbers by which the sets of one batch are told apart; those below are the skeleton's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What one rule of a Filter has counted since its port was first filtered here."""

    packets: int = 0
    octets: int = 0


Counts = Mapping[tuple[Direction, str], Count]
"""By the way that the packets went, and the id of what decided."""


class Engine:
    """The packet filter of one network namespace. Blocking, for one thread; ``fenced`` as in ``skeleton``."""

    def __init__(self, nft: Nft, way: Way, fenced: tuple[str, ...] = (), *, owned: bool = False) -> None:
        """``owned``: keep others' hands off our tables for as long as ``nft`` is open (``Means.owned``)."""
        self._nft = nft
        self._way = way
        self._fenced = fenced
        self._owned = owned

    @property
    def way(self) -> Way:
        """How replies are known."""
        return self._way

    def establish(self) -> None:
        """Make our table and the chains by which packets enter it, or put them right. Ports stay as they are.

        With ``owned``, also take up the table that an earlier life has left.
        """
        batch = Batch()
        skeleton(batch, self._way, self._fenced, owned=self._owned)
        self._nft.commit(batch)

    def compile(self, wanted: Filter) -> Program:
        """Translate a Filter for this host. Raises Unsupported when it demands what the host lacks."""
        if wanted.replies is Replies.PROVEN and self._way is Way.PLAIN:
            why = "replies must be proven, and this kernel tracks no connections on a bridge"
            raise Unsupported("filter.stateful", why, subject=wanted.port)
        return compiled(wanted, proof(self._way))

    def apply(self, attachments: Iterable[Attachment]) -> None:
        """Make Filters hold, each port's all at once; what was counted goes on. Raises Unsupported, NftRefused.

        Every Filter is translated before anything is changed.
        """
        programs = [(each.interface, self.compile(each.filter)) for each in attachments]
        known: set[str] = set()
        batch = self._begun()
        for interface, program in programs:
            check_interface(interface)
            self._port(batch, interface, program, known)
            if batch.size > MOST_BATCH:
                self._nft.commit(batch)
                batch = Batch()
        self._nft.commit(batch)

    def rebuild(self, attachments: Iterable[Attachment]) -> None:
        """Put a whole table in the place of ours at once: after a change of way, or damage. Counts begin anew.

        Whoever filters before also filters after; there is no moment without. Raises Unsupported, NftRefused.
        """
        programs = [(each.interface, self.compile(each.filter)) for each in attachments]
        batch = Batch()
        for family in OURS:
            batch.add(wire.NEW_TABLE, family, messages.table(TABLE), _NEW)
            batch.add(wire.DEL_TABLE, family, messages.table(TABLE))
        skeleton(batch, self._way, self._fenced, owned=self._owned)
        known: set[str] = set()
        for interface, program in programs:
            check_interface(interface)
            self._port(batch, interface, program, known, fresh=True)
        self._nft.commit(batch)

    def withdraw(self) -> None:
        """Take all that is ours away; what others made stays."""
        batch = Batch()
        for family in OURS:
            batch.add(wire.NEW_TABLE, family, messages.table(TABLE), _NEW)
            batch.add(wire.DEL_TABLE, family, messages.table(TABLE))
        self._nft.commit(batch)

    def sweep(self) -> None:
        """Remove sets of peers that no port uses any more."""
        for body in self._nft.dump(wire.GET_SET, wire.BRIDGE, messages.table(TABLE)):
            name = wire.read_word(wire.fields(body).get(2, b""))
            if messages.is_shared(name):
                batch = Batch()
                batch.add(wire.DEL_SET, wire.BRIDGE, messages.set_of(TABLE, name))
                try:
                    self._nft.commit(batch)
                except NftRefused as error:
                    if error.errno != errno.EBUSY:
                        raise

    def preview(self, attachment: Attachment) -> None:
        """Let the kernel try a Filter without carrying it out. Raises Unsupported, NftRefused."""
        check_interface(attachment.interface)
        batch = self._begun()
        self._port(batch, attachment.interface, self.compile(attachment.filter), set())
        self._nft.commit(batch, trial=True)

    def remove(self, port: str, interface: str) -> None:
        """Take away what holds at a port; what was not there stays away. Raises NftRefused."""
        check_interface(interface)
        batch = Batch()
        for way in Direction:
            if self._leads_to(way, interface) == chain_of(port, way):
                batch.add(wire.DEL_ELEMENT, wire.BRIDGE, messages.entry(TABLE, MAPS[way], interface))
        there = [name for name in chains_of(port) if self._has_chain(name)]
        meters = self._meters_of(port, there)
        gate = messages.chain(TABLE, stem(port))
        if self._nft.one(wire.GET_CHAIN, wire.NETDEV, gate) is not None:
            batch.add(wire.DEL_RULE, wire.NETDEV, messages.rules_of(TABLE, stem(port)))
            batch.add(wire.DEL_CHAIN, wire.NETDEV, gate)
        for name in there:
            batch.add(wire.DEL_RULE, wire.BRIDGE, messages.rules_of(TABLE, name))
        for name in there:
            batch.add(wire.DEL_CHAIN, wire.BRIDGE, messages.chain(TABLE, name))
        for name in sorted(meters):
            batch.add(wire.DEL_SET, wire.BRIDGE, messages.set_of(TABLE, name))
        self._nft.commit(batch)

    def counts(self, port: str) -> Counts:
        """Read what the rules of a port have counted. A port that is not filtered has none."""
        found: dict[tuple[Direction, str], Count] = {}
        for way in Direction:
            for told in self._rules_of(port, way):
                if told.id is not None:
                    before = found.get((way, told.id), Count())
                    found[way, told.id] = Count(
                        packets=before.packets + told.packets, octets=before.octets + told.octets
                    )
        return found

    def _begun(self) -> Batch:
        batch = Batch()
        if not self._has_chain(next(name for _, name in entries(self._way, self._fenced))):
            skeleton(batch, self._way, self._fenced, owned=self._owned)
        elif self._owned:
            own(batch, self._way, self._fenced)
        return batch

    def _port(
        self, batch: Batch, interface: str, program: Program, known: set[str], *, fresh: bool = False
    ) -> None:
        """Add a port's change to a batch; ``fresh``: the batch has begun with an empty table."""
        names = chains_of(program.port)
        counted: Counts = {}
        meters: set[str] = set()
        if not fresh and self._has_chain(names[0]):
            counted = self.counts(program.port)
            meters = self._meters_of(program.port, [n for n in names if self._has_chain(n)])
        self._sets(batch, program, meters, known, fresh=fresh)
        for name in names:
            batch.add(wire.NEW_CHAIN, wire.BRIDGE, messages.chain(TABLE, name), _NEW)
            batch.add(wire.DEL_RULE, wire.BRIDGE, messages.rules_of(TABLE, name))
        for name, line, count in going_on(program, counted):
            body = messages.rule(TABLE, name, line, (count.packets, count.octets))
            batch.add(wire.NEW_RULE, wire.BRIDGE, body, _RULE)
        for name in sorted(meters - set(program.meters)):
            batch.add(wire.DEL_SET, wire.BRIDGE, messages.set_of(TABLE, name))
        self._lead(batch, program.port, interface, fresh=fresh)
        self._gate(batch, program, interface, fresh=fresh)

    def _sets(self, batch: Batch, program: Program, meters: set[str], known: set[str], *, fresh: bool) -> None:
        """Make what sets a program looks into; a set that is there has the content that its name says."""
        for name, ranges in program.sets.items():
            if name not in known and (fresh or not self._has_set(name)):
                body = messages.ranges_set(TABLE, name, ranges, _FIRST_SET + len(known))
                batch.add(wire.NEW_SET, wire.BRIDGE, body, _NEW)
                for body in messages.range_elements(TABLE, name, ranges):
                    batch.add(wire.NEW_ELEMENT, wire.BRIDGE, body, _NEW)
            known.add(name)
        for name, length in program.meters.items():
            known.add(name)
            if name not in meters:
                body = messages.meter(TABLE, name, length, PEERS_COUNTED, _FIRST_SET + len(known))
                batch.add(wire.NEW_SET, wire.BRIDGE, body, _NEW)

    def _lead(self, batch: Batch, port: str, interface: str, *, fresh: bool) -> None:
        """Let an interface's packets enter a port's chains; another port's that had this name no longer."""
        for way in Direction:
            there = None if fresh else self._leads_to(way, interface)
            wanted = chain_of(port, way)
            if there == wanted:
                continue
            if there is not None:
                batch.add(wire.DEL_ELEMENT, wire.BRIDGE, messages.entry(TABLE, MAPS[way], interface))
            body = messages.entry(TABLE, MAPS[way], interface, wanted)
            batch.add(wire.NEW_ELEMENT, wire.BRIDGE, body, _NEW)

    def _gate(self, batch: Batch, program: Program, interface: str, *, fresh: bool) -> None:
        """Stop at the interface itself what the bridge must not even learn from, once the interface is there."""
        name = stem(program.port)
        there = None if fresh else self._nft.one(wire.GET_CHAIN, wire.NETDEV, messages.chain(TABLE, name))
        hook = Hook(number=INGRESS, priority=EARLY, device=interface)
        if there is not None:
            batch.add(wire.DEL_RULE, wire.NETDEV, messages.rules_of(TABLE, name))
            if messages.read_chain(there).hook != hook:
                batch.add(wire.DEL_CHAIN, wire.NETDEV, messages.chain(TABLE, name))
        if not is_here(interface):
            return
        batch.add(wire.NEW_TABLE, wire.NETDEV, messages.table(TABLE, owned=self._owned), _NEW)
        batch.add(wire.NEW_CHAIN, wire.NETDEV, messages.chain(TABLE, name, hook), _NEW)
        for line in program.gate:
            batch.add(wire.NEW_RULE, wire.NETDEV, messages.rule(TABLE, name, line), _RULE)

    def _leads_to(self, way: Direction, interface: str) -> str | None:
        told = self._nft.one(wire.GET_ELEMENT, wire.BRIDGE, messages.entry(TABLE, MAPS[way], interface))
        return None if told is None else next((to for _, _, to in messages.read_elements(told)), None)

    def _has_chain(self, name: str) -> bool:
        return self._nft.one(wire.GET_CHAIN, wire.BRIDGE, messages.chain(TABLE, name)) is not None

    def _has_set(self, name: str) -> bool:
        return self._nft.one(wire.GET_SET, wire.BRIDGE, messages.set_of(TABLE, name)) is not None

    def _rules_of(self, port: str, way: Direction) -> list[ToldRule]:
        begins = chain_of(port, way)
        chains = [(wire.BRIDGE, name) for name in chains_of(port) if name.startswith(begins)]
        if way is Direction.OUT:
            chains.append((wire.NETDEV, stem(port)))
        return [
            messages.read_rule(body)
            for family, name in chains
            for body in self._nft.dump(wire.GET_RULE, family, messages.rules_of(TABLE, name))
        ]

    def _meters_of(self, port: str, chains: list[str]) -> set[str]:
        begins = stem(port).encode()
        found: set[str] = set()
        for name in chains:
            for body in self._nft.dump(wire.GET_RULE, wire.BRIDGE, messages.rules_of(TABLE, name)):
                for step in messages.read_rule(body).steps:
                    if step.name == "dynset" and step.parts.get(1, b"").startswith(begins):
                        found.add(wire.read_word(step.parts[1]))
        return found


def _way_of(port: str, chain: str) -> Direction:
    return Direction.IN if chain.startswith(chain_of(port, Direction.IN)) else Direction.OUT


def going_on(program: Program, counted: Counts) -> Iterator[tuple[str, Line, Count]]:
    """Give the count so far of each id to the first line that bears it, so that sums over an id never fall."""
    left = dict(counted)
    for name, lines in program.chains.items():
        way = _way_of(program.port, name)
        for line in lines:
            yield name, line, Count() if line.id is None else left.pop((way, line.id), Count())
