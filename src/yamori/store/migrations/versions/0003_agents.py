"""The roll of the agents on hosts: their certificates and the tokens that they enrol with."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of the roll."""
    op.create_table(
        "agents",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("enrolled_at", sa.String),
        sa.Column("revoked_at", sa.String),
    )
    op.create_table(
        "agent_certificates",
        sa.Column("ordinal", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("serial", sa.String, nullable=False, unique=True),
        sa.Column("agent", sa.String, sa.ForeignKey("agents.name"), nullable=False),
        sa.Column("not_before", sa.String, nullable=False),
        sa.Column("not_after", sa.String, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("agent_certificates_by_agent", "agent_certificates", ["agent", "ordinal"])
    op.create_table(
        "agent_tokens",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("agent", sa.String, sa.ForeignKey("agents.name"), nullable=False),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("made_at", sa.String, nullable=False),
        sa.Column("expires_at", sa.String, nullable=False),
        sa.Column("wrong", sa.Integer, nullable=False),
        sa.Column("spent", sa.String),
    )
    op.create_index("agent_tokens_by_agent", "agent_tokens", ["agent"])
