"""Tracked by key: a tracking id is the key without its dashes, so neither it nor an index of it is kept

Both were in random order, and amid many effects each entry of such an index is a page to read and to write.
SQLite copies the table.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    with op.batch_alter_table("effects") as effects:
        effects.drop_constraint("uq_effects_tracking_id", type_="unique")
        effects.drop_column("tracking_id")


def downgrade() -> None:
    op.add_column("effects", sa.Column("tracking_id", sa.String(length=48), nullable=True))
    op.execute("UPDATE effects SET tracking_id = replace(key, '-', '')")
    with op.batch_alter_table("effects") as effects:
        effects.alter_column("tracking_id", nullable=False)
        effects.create_unique_constraint(op.f("uq_effects_tracking_id"), ["tracking_id"])
