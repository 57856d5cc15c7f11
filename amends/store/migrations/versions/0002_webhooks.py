"""Webhooks: events, counts of refused requests, and Zalo users

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from amends.store.types import UtcDateTime

revision = "0002"
down_revision = "0001"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_index(
        "ix_customers_zalo_uid",
        "customers",
        ["zalo_uid"],
        postgresql_where=sa.text("zalo_uid IS NOT NULL"),
        sqlite_where=sa.text("zalo_uid IS NOT NULL"),
    )
    op.create_table(
        "zalo_users",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account", sa.String(length=40), nullable=False),
        sa.Column("uid", sa.String(length=64), nullable=False),
        sa.Column("customer_id", _ID, nullable=True),
        sa.Column("last_interaction_at", UtcDateTime(), nullable=True),
        sa.Column("left_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_zalo_users_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_zalo_users")),
        sa.UniqueConstraint("account", "uid", name=op.f("uq_zalo_users_account_uid")),
    )
    op.create_index(
        "ix_zalo_users_customer_id",
        "zalo_users",
        ["customer_id"],
        postgresql_where=sa.text("customer_id IS NOT NULL"),
        sqlite_where=sa.text("customer_id IS NOT NULL"),
    )
    op.create_index("ix_zalo_users_uid", "zalo_users", ["uid"])
    op.create_table(
        "webhook_events",
        sa.Column("id", _ID, nullable=False),
        sa.Column("door", sa.String(length=120), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("occurred_at", UtcDateTime(), nullable=False),
        sa.Column(
            "payload",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"),
            nullable=True,
        ),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("note", sa.String(length=300), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_events")),
        sa.UniqueConstraint("door", "key", name=op.f("uq_webhook_events_door_key")),
    )
    op.create_index(
        "ix_webhook_events_waiting",
        "webhook_events",
        ["door", "id"],
        postgresql_where=sa.text("state = 'waiting'"),
        sqlite_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        "intake_counts",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("door", sa.String(length=120), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "door", "outcome", name=op.f("pk_intake_counts")),
    )


def downgrade() -> None:
    op.drop_table("intake_counts")
    op.drop_table("webhook_events")
    op.drop_table("zalo_users")
    op.drop_index("ix_customers_zalo_uid", "customers")
