"""Found by an index: everything of one person, and open cases that may have fallen off the agenda

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_index("ix_feedbacks_customer_id", "feedbacks", ["customer_id"])
    op.create_index(
        "ix_cases_open",
        "cases",
        ["journey", "id"],
        postgresql_where=sa.text("closed_at IS NULL"),
        sqlite_where=sa.text("closed_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_cases_open", "cases")
    op.drop_index("ix_feedbacks_customer_id", "feedbacks")
