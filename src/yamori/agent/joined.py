"""One endpoint out of two: what the hypervisor's own interface offers, and what the agent on its host adds.

Neither modules nor steps can tell. See docs/decisions/0016-host-agent.md.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace

from yamori.agent.joined_limits import JoinedLimitsReader, JoinedLimitsWriter, Routes
from yamori.agent.joined_migration import JoinedMigration, moving
from yamori.capabilities.session import Acting, Sensing, Session
from yamori.model.errors import YamoriError
from yamori.model.ids import EndpointName
from yamori.model.support import FEATURES, Cell, Level, Support

log = logging.getLogger(__name__)

_PRESENT = frozenset({Level.NATIVE, Level.AGENT})
_ADDED = ("usage", "limits")
"""The capabilities that an agent adds to; everything else is the hypervisor's. Moves are beside, as one whole."""


class JoinedSession:
    """The hypervisor's session, with the agent's beside it.

    The hypervisor's own comes first; what it lacks, the agent adds. Limits that the agent offers go through the
    agent even where both can, because it ends them by itself when nobody is left to let go. While the agent is
    away, what only it offers is unknown; what the hypervisor offers too goes on.
    """

    def __init__(self, endpoint: EndpointName, native: Session, agent: Session) -> None:
        self._endpoint = endpoint
        self._native = native
        self._agent = agent
        self._told: Mapping[str, Cell] = {}
        """What the agent said of itself when it was last asked with success."""
        self._own: Mapping[str, Cell] = {}
        """The same of the hypervisor."""

    @property
    def sensing(self) -> Sensing:
        """The reading side."""
        native, agent = self._native.sensing, self._agent.sensing
        usage = native.usage or (agent.usage if self._may("usage") else None)
        limits = native.limits
        if agent.limits is not None and self._may("limits"):
            limits = JoinedLimitsReader(self._routes(), native.inventory, native.limits, agent.limits)
        migration = self._joined_migration() if self._moves_need_agent() else native.migration
        return replace(native, usage=usage, limits=limits, migration=migration)

    @property
    def acting(self) -> Acting:
        """The changing side."""
        native, agent = self._native.acting, self._agent.acting
        limits = native.limits
        if agent.limits is not None and self._may("limits"):
            limits = JoinedLimitsWriter(
                self._routes(), self._native.sensing.inventory, native.limits, agent.limits
            )
        migration = self._joined_migration() if self._moves_need_agent() else native.migration
        return replace(native, limits=limits, migration=migration)

    async def probe(self) -> Support:
        """Ask both. Where the agent cannot be asked, what only it could offer is unknown; ask again soon."""
        support = await self._native.probe()
        self._own = support.cells
        try:
            agent = await self._agent.probe()
        except YamoriError as error:
            cells = {f: self._without_agent(f, support.cells[f], error) for f in FEATURES}
            cells |= self._moves(self._told, away=error)
            return replace(support, cells=cells, provisional=True)
        self._told = agent.cells
        cells = {f: _both(support.cells[f], agent.cells[f]) for f in FEATURES}
        cells |= self._moves(agent.cells)
        return replace(support, cells=cells, provisional=agent.provisional)

    async def close(self) -> None:
        """Let go of both."""
        try:
            await self._native.close()
        finally:
            await self._agent.close()

    def _moves_need_agent(self) -> bool:
        """Say whether the hypervisor has moves to offer, but none by itself: somebody must carry the memory."""
        own = self._own.get("migration.live")
        return own is not None and own.level is Level.NONE and self._native.acting.migration is not None

    def _moves(self, agent: Mapping[str, Cell], *, away: YamoriError | None = None) -> Mapping[str, Cell]:
        """Return the rows of moves: the hypervisor's, but where it needs the agent, who alone moves nothing."""
        own = {f: cell for f, cell in self._own.items() if f.partition(".")[0] == "migration"}
        return own | moving(own, agent, away=away) if self._moves_need_agent() else own

    def _joined_migration(self) -> JoinedMigration | None:
        mover, watch = self._native.acting.migration, self._native.sensing.migration
        carrier, carried = self._agent.acting.migration, self._agent.sensing.migration
        if mover is None or watch is None or carrier is None or carried is None or not self._may("migration"):
            return None
        return JoinedMigration(mover, watch, carrier, carried)

    def _may(self, word: str) -> bool:
        """Say whether the agent offers something of a capability, or may do so for all that is known."""
        rows = [f for f in FEATURES if f.partition(".")[0] == word]
        return not self._told or any(self._told[row].level in _PRESENT for row in rows)

    def _routes(self) -> Routes:
        return Routes(self._endpoint, frozenset(f for f, cell in self._told.items() if cell.level in _PRESENT))

    def _without_agent(self, feature: str, native: Cell, error: YamoriError) -> Cell:
        offered = not self._told or self._told[feature].level in _PRESENT
        if native.level in _PRESENT or not offered or feature.partition(".")[0] not in _ADDED:
            return native
        return Cell(level=Level.UNKNOWN, reason=f"the agent on the host cannot be asked: {error.message}"[:400])


def _both(native: Cell, agent: Cell) -> Cell:
    """Return the cell of what the two offer together."""
    if native.level in _PRESENT or agent.level not in (*_PRESENT, Level.UNKNOWN):
        if native.level is Level.NONE and agent.reason and agent.reason != native.reason:
            return Cell(level=Level.NONE, reason=f"{native.reason}; the agent: {agent.reason}"[:400])
        return native
    if agent.level is Level.UNKNOWN:
        return agent
    return Cell(level=Level.AGENT, reason=agent.reason)
