"""The tables, as the newest migration leaves them. Times are RFC 3339 text in UTC, model values JSON text."""

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    text,
)

METADATA = MetaData()

RUNS = Table(
    "runs",
    METADATA,
    Column("ordinal", Integer, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("subject", String, nullable=False),
    Column("state", String, nullable=False),
    Column("created_at", String, nullable=False),
    Column("updated_at", String, nullable=False),
    Column("proposal", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("before", Text),
    Column("seen", Text),
    Column("error", Text),
    Index("runs_by_subject", "subject", "ordinal"),
    Index("runs_by_state", "state", "ordinal"),
    sqlite_autoincrement=True,
)

ENTRIES = Table(
    "entries",
    METADATA,
    Column("run", String, ForeignKey("runs.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", String, nullable=False),
    Column("step", String, nullable=False),
    Column("note", Text, nullable=False),
    Column("token", Integer, nullable=False),
    Column("at", String, nullable=False),
)

LEASES = Table(
    "leases",
    METADATA,
    Column("subject", String, primary_key=True),
    Column("owner", String),  # null once given back; the row stays, for its token
    Column("token", Integer, nullable=False),
    Column("expires_at", Float, nullable=False),  # seconds since the epoch
)

LEDGER = Table(
    "ledger",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("previous", String, nullable=False),
    Column("hash", String, nullable=False),
)

LEDGER_HEAD = Table(
    "ledger_head",
    METADATA,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("count", Integer, nullable=False),
    Column("hash", String, nullable=False),
    Column("mac", String, nullable=False),
)

FINDINGS = Table(
    "findings",
    METADATA,
    Column("ordinal", Integer, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("key", String, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("body", Text, nullable=False),
    Index("findings_open", "key", unique=True, sqlite_where=text("open = 1"), postgresql_where=text("open")),
    sqlite_autoincrement=True,
)

RULINGS = Table(
    "rulings",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("proposal", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("run", String),
    Index("rulings_by_run", "run"),
    sqlite_autoincrement=True,
)

HOLDS = Table(
    "holds",
    METADATA,
    Column("ordinal", Integer, primary_key=True, autoincrement=True),  # the newest of a VM is in force
    Column("run", String, nullable=False, unique=True),
    Column("vm", String, nullable=False),
    Column("body", Text, nullable=False),
    Index("holds_by_vm", "vm", "ordinal"),
    sqlite_autoincrement=True,
)

AGENTS = Table(
    "agents",
    METADATA,
    Column("name", String, primary_key=True),
    Column("enrolled_at", String),  # null while only a token was made
    Column("revoked_at", String),
)

AGENT_CERTIFICATES = Table(
    "agent_certificates",
    METADATA,
    Column("ordinal", Integer, primary_key=True, autoincrement=True),  # the newest of an agent is the last
    Column("serial", String, nullable=False, unique=True),
    Column("agent", String, ForeignKey("agents.name"), nullable=False),
    Column("not_before", String, nullable=False),
    Column("not_after", String, nullable=False),
    Index("agent_certificates_by_agent", "agent", "ordinal"),
    sqlite_autoincrement=True,
)

AGENT_TOKENS = Table(
    "agent_tokens",
    METADATA,
    Column("id", String, primary_key=True),
    Column("agent", String, ForeignKey("agents.name"), nullable=False),
    Column("digest", String, nullable=False),
    Column("made_at", String, nullable=False),
    Column("expires_at", String, nullable=False),
    Column("wrong", Integer, nullable=False),
    Column("spent", String),  # why it is good no longer; null while it is
    Index("agent_tokens_by_agent", "agent"),
)
