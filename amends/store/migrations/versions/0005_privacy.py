"""Privacy: everything of one person is found by an index

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_index("ix_feedbacks_customer_id", "feedbacks", ["customer_id"])


def downgrade() -> None:
    op.drop_index("ix_feedbacks_customer_id", "feedbacks")
