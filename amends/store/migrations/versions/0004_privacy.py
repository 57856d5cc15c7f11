"""Privacy: everything of one person is found by an index

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_index("ix_feedbacks_customer_id", "feedbacks", ["customer_id"])


def downgrade() -> None:
    op.drop_index("ix_feedbacks_customer_id", "feedbacks")
