"""Brings a database to the tables of this version, and refuses one that is from a later version."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from yamori.model.errors import Conflict

MIGRATIONS = Path(__file__).parent / "migrations"


def newest() -> str:
    """Return the name of the newest schema that this version knows."""
    head = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    return head or ""


def upgrade(connection: Connection, to: str = "head") -> None:
    """Bring the tables up to date, within the transaction of the connection: all steps or none.

    Raises Conflict for a database whose schema this version does not know; it is left as it is.
    """
    scripts = ScriptDirectory(str(MIGRATIONS))
    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        raise Conflict(
            f"the database has schema {found}, this version of Yamori knows up to {newest()}",
            mend="install the version that wrote it, or a later one",
        )

    def steps(revision: Any, _: MigrationContext) -> Iterable[Any]:
        return scripts._upgrade_revs(to, revision)

    with EnvironmentContext(Config(), scripts, fn=steps, destination_rev=to) as environment:
        # SQLite does DDL in transactions; alembic would not rely on it unless told.
        environment.configure(connection=connection, transactional_ddl=True)
        environment.run_migrations()
