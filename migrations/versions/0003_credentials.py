"""Logins by SCRAM: a verifier beside each token, and a secret that salts are made from.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tokens", sa.Column("scram_stored_key", sa.LargeBinary()))
    op.add_column("tokens", sa.Column("scram_server_key", sa.LargeBinary()))
    op.create_check_constraint(
        op.f("tokens_scram_check"),
        "tokens",
        "(scram_stored_key IS NULL) = (scram_server_key IS NULL)",
    )
    table = op.create_table(
        "secrets",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("secrets_pkey")),
    )
    op.bulk_insert(table, [{"name": "scram salts", "value": secrets.token_bytes(32)}])


def downgrade() -> None:
    raise NotImplementedError("the ledger only goes forward: old programs would misread it")
