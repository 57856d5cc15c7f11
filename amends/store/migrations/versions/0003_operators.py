"""Operators: settled quarantine, what was done by hand, circuit breakers, forgotten customers

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

from amends.store.types import UtcDateTime

revision = "0003"
down_revision = "0002"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("customers", sa.Column("forgotten_at", UtcDateTime(), nullable=True))
    op.add_column(
        "quarantine", sa.Column("state", sa.String(length=10), server_default="open", nullable=False)
    )
    op.add_column("quarantine", sa.Column("settled_at", UtcDateTime(), nullable=True))
    op.add_column("quarantine", sa.Column("settled_by", sa.String(length=60), nullable=True))
    op.add_column("quarantine", sa.Column("note", sa.String(length=300), server_default="", nullable=False))
    op.create_index(
        "ix_quarantine_open",
        "quarantine",
        ["journey", "id"],
        postgresql_where=sa.text("state = 'open'"),
        sqlite_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "breakers",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("openings", sa.Integer(), nullable=False),
        sa.Column("allowance", sa.Integer(), nullable=True),
        sa.Column("retry_at", UtcDateTime(), nullable=True),
        sa.Column("lease_owner", sa.String(length=36), nullable=True),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_breakers")),
    )
    op.create_table(
        "operator_log",
        sa.Column("id", _ID, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor", sa.String(length=60), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=120), nullable=False),
        sa.Column("detail", sa.String(length=500), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operator_log")),
    )
    op.create_index("ix_operator_log_subject", "operator_log", ["subject", "id"])


def downgrade() -> None:
    op.drop_table("operator_log")
    op.drop_table("breakers")
    op.drop_index("ix_quarantine_open", "quarantine")
    for column in ("note", "settled_by", "settled_at", "state"):
        op.drop_column("quarantine", column)
    op.drop_column("customers", "forgotten_at")
