"""Carries Filters out: one table of ours on the bridge, one batch for a port's change, and reading back what is.

Everything is asked of the kernel; nothing is remembered here. One engine at a time may write on a host.
"""

import errno
import itertools
from collections.abc import Iterable

from yamori.agent import netlink
from yamori.agent.filter import messages, wire
from yamori.agent.filter.change import Change
from yamori.agent.filter.layout import FAMILIES, Layout, Place, is_ours, shard_of
from yamori.agent.filter.port import Attachment, check_interface
from yamori.agent.filter.program import Program, stem
from yamori.agent.filter.seat import Seat
from yamori.agent.filter.seated import Seated, seated, translated
from yamori.agent.filter.skeleton import entries, own, skeleton
from yamori.agent.filter.told import Count, Counts, counted, names_in, places_of, rules_in
from yamori.agent.filter.way import Way
from yamori.agent.filter.wire import MOST_BATCH, Batch, Nft, NftRefused
from yamori.model.filter import Filter

__all__ = ["Count", "Counts", "Engine"]


class Engine:
    """The packet filter of one network namespace. Blocking, for one thread; ``fenced`` as in ``Layout``."""

    def __init__(
        self,
        nft: Nft,
        way: Way,
        fenced: tuple[str, ...] = (),
        *,
        seat: Seat = Seat.BRIDGE,
        owned: bool = False,
    ) -> None:
        """``owned``: keep others' hands off our tables for as long as ``nft`` is open (``Means.owned``)."""
        self._nft = nft
        self.layout = Layout(way=way, seat=seat, fenced=fenced)
        self._owned = owned

    @property
    def way(self) -> Way:
        """How replies are known."""
        return self.layout.way

    def establish(self) -> None:
        """Make our table and the chains by which packets enter it, or put them right. Ports stay as they are.

        With ``owned``, also take up the tables that an earlier life has left.
        """
        batch = Batch()
        skeleton(batch, self.layout, owned=self._owned)
        own(batch, self._tables(), owned=self._owned)
        self._nft.commit(batch)

    def compile(self, wanted: Filter) -> Program:
        """Translate a Filter for this host. Raises Unsupported when it demands what the host lacks."""
        return translated(self.layout, wanted)

    def apply(self, attachments: Iterable[Attachment]) -> None:
        """Make Filters hold, each port's all at once; what was counted goes on.

        Every Filter is translated before anything is changed. Raises Unsupported, Invalid, NftRefused.
        """
        wanted = [seated(self.layout, each) for each in attachments]
        change = self._change(wanted)
        self._begin(change.batch)
        for each in wanted:
            change.port(each)
            if change.batch.size > MOST_BATCH:
                self._nft.commit(change.batch)
                change = self._change(wanted)
        self._nft.commit(change.batch)

    def rebuild(self, attachments: Iterable[Attachment]) -> None:
        """Put whole tables in the place of ours: after a change of way or seat, or damage. Counts begin anew.

        Whoever filters before also filters after; there is no moment without. One table after the other is
        replaced at once, the bridge's last. Raises Unsupported, Invalid, NftRefused.
        """
        wanted = sorted((seated(self.layout, each) for each in attachments), key=lambda each: shard_of(each.stem))
        there = self._tables()
        if self.layout.seat is not Seat.BRIDGE:
            for place, ports in itertools.groupby(wanted, key=lambda each: shard_of(each.stem)):
                change = self._change((), fresh=True)
                self._drop(change.batch, there & {place})
                for each in ports:
                    if place in each.parts:
                        change.part(each.parts[place], {})
                self._nft.commit(change.batch)
        kept = {shard_of(each.stem) for each in wanted} if self.layout.seat is not Seat.BRIDGE else set()
        change = self._change((), fresh=True)
        self._drop(change.batch, there - kept)
        skeleton(change.batch, self.layout, owned=self._owned)
        for each in wanted:
            for place, part in each.parts.items():
                if place not in kept:
                    change.part(part, {})
            change.lead(each)
        self._nft.commit(change.batch)

    def withdraw(self) -> None:
        """Take all that is ours away; what others made stays."""
        batch = Batch()
        self._drop(batch, self._tables())
        self._nft.commit(batch)

    def sweep(self) -> None:
        """Remove sets of peers that no port uses any more, and tables that no port is left in."""
        chains = [messages.read_chain(body) for body in self._nft.dump(wire.GET_CHAIN, wire.NETDEV)]
        inhabited = {chain.table for chain in chains}
        for place in sorted(self._tables()):
            if place.family == wire.NETDEV and place.table not in inhabited:
                self._delete_unused(wire.DEL_TABLE, place, messages.table(place.table))
            elif place.family != wire.INET:
                self._sweep(place)

    def _sweep(self, place: Place) -> None:
        for body in self._nft.dump(wire.GET_SET, place.family, messages.table(place.table)):
            name = netlink.text(netlink.fields(body).get(2, b""))
            if messages.is_shared(name):
                self._delete_unused(wire.DEL_SET, place, messages.set_of(place.table, name))

    def _delete_unused(self, kind: int, place: Place, body: bytes) -> None:
        batch = Batch()
        batch.add(kind, place.family, body)
        try:
            self._nft.commit(batch)
        except NftRefused as error:
            if error.errno != errno.EBUSY:
                raise

    def preview(self, attachment: Attachment) -> None:
        """Let the kernel try a Filter without carrying it out. Raises Unsupported, Invalid, NftRefused."""
        wanted = seated(self.layout, attachment)
        change = self._change([wanted])
        self._begin(change.batch)
        change.port(wanted)
        self._nft.commit(change.batch, trial=True)

    def remove(self, port: str, interface: str) -> None:
        """Take away what holds at a port; what was not there stays away. Raises Invalid, NftRefused."""
        check_interface(interface)
        change = self._change(())
        change.remove(stem(port), interface)
        self._nft.commit(change.batch)

    def counts(self, port: str) -> Counts:
        """Read what the rules of a port have counted. A port that is not filtered has none."""
        name = stem(port)
        return counted(
            rule
            for place in places_of(name)
            for chain in names_in(name, place)
            for rule in rules_in(self._nft, place, chain)
        )

    def _change(self, wanted: Iterable[Seated], *, fresh: bool = False) -> Change:
        staying = frozenset(each.stem for each in wanted)
        return Change(nft=self._nft, layout=self.layout, owned=self._owned, staying=staying, fresh=fresh)

    def _begin(self, batch: Batch) -> None:
        """Have the tables that are there for all."""
        place, name = next(iter(entries(self.layout)))
        if self._nft.one(wire.GET_CHAIN, place.family, messages.chain(place.table, name)) is None:
            skeleton(batch, self.layout, owned=self._owned)
        elif self._owned:
            own(batch, {each for each, _ in entries(self.layout)}, owned=True)

    def _tables(self) -> set[Place]:
        """Return those of our tables that are there."""
        return {
            Place(family=family, table=name)
            for family in FAMILIES
            for body in self._nft.dump(wire.GET_TABLE, family)
            if is_ours(family, name := netlink.text(netlink.fields(body).get(1, b"")))
        }

    def _drop(self, batch: Batch, places: set[Place]) -> None:
        for place in sorted(places):
            batch.add(wire.DEL_TABLE, place.family, messages.table(place.table))
