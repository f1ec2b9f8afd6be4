"""Analysts, accounts, entries, the admin log and tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_analysts_and_accounts()
    _create_entries()
    _create_admin_log_and_tokens()
    _forbid()


def downgrade() -> None:
    raise NotImplementedError("the ledger only goes forward: old programs would misread it")


def _time(name: str, *, now: bool = False) -> sa.Column[object]:
    if now:
        return sa.Column(
            name, sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        )
    return sa.Column(name, sa.DateTime(timezone=True))


def _create_analysts_and_accounts() -> None:
    op.create_table(
        "analysts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        _time("created_at", now=True),
        _time("disabled_at"),
        sa.PrimaryKeyConstraint("id", name="analysts_pkey"),
        sa.UniqueConstraint("name", name="analysts_name_key"),
        sa.CheckConstraint("name ~ '^[a-z][a-z0-9_.-]{0,62}$'", name=op.f("analysts_name_check")),
    )
    op.create_table(
        "accounts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("analyst_id", sa.Uuid()),
        sa.Column("epsilon_cap", sa.BigInteger(), nullable=False),
        sa.Column("epsilon_spent", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("delta_cap", sa.BigInteger(), nullable=False),
        sa.Column("delta_spent", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rho_spent", sa.BigInteger(), server_default="0", nullable=False),
        _time("created_at", now=True),
        sa.PrimaryKeyConstraint("id", name="accounts_pkey"),
        sa.UniqueConstraint("dataset", "analyst_id", name="accounts_dataset_analyst_id_key"),
        sa.ForeignKeyConstraint(["analyst_id"], ["analysts.id"], name="accounts_analyst_id_fkey"),
        sa.CheckConstraint(
            "0 <= epsilon_spent AND epsilon_spent <= epsilon_cap",
            name=op.f("accounts_epsilon_check"),
        ),
        sa.CheckConstraint(
            "0 <= delta_spent AND delta_spent <= delta_cap", name=op.f("accounts_delta_check")
        ),
        sa.CheckConstraint("0 <= rho_spent", name=op.f("accounts_rho_check")),
    )
    op.create_index(
        "accounts_one_per_dataset",
        "accounts",
        ["dataset"],
        unique=True,
        postgresql_where=sa.text("analyst_id IS NULL"),
    )


def _create_entries() -> None:
    op.create_table(
        "workers",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        _time("started_at", now=True),
        sa.PrimaryKeyConstraint("id", name="workers_pkey"),
    )
    op.create_table(
        "entries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("analyst_id", sa.Uuid(), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text()),
        sa.Column("request_digest", sa.Text(), nullable=False),
        sa.Column("plan_digest", sa.Text(), nullable=False),
        sa.Column("sql", sa.Text(), nullable=False),
        sa.Column("events", postgresql.JSONB(), nullable=False),
        sa.Column("epsilon", sa.BigInteger(), nullable=False),
        sa.Column("delta", sa.BigInteger(), nullable=False),
        sa.Column("rho", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("worker_id", sa.Integer(), nullable=False),
        _time("reserved_at", now=True),
        _time("dispatched_at"),
        _time("finished_at"),
        sa.Column("answer", sa.JSON()),
        sa.PrimaryKeyConstraint("id", name="entries_pkey"),
        sa.UniqueConstraint("number", name="entries_number_key"),
        sa.ForeignKeyConstraint(
            ["dataset", "analyst_id"],
            ["accounts.dataset", "accounts.analyst_id"],
            name="entries_dataset_analyst_id_fkey",
        ),
        sa.ForeignKeyConstraint(["worker_id"], ["workers.id"], name="entries_worker_id_fkey"),
        sa.CheckConstraint(
            "state IN ('reserved', 'dispatched', 'answered', 'failed', 'voided')",
            name=op.f("entries_state_check"),
        ),
        sa.CheckConstraint(
            "epsilon >= 0 AND delta >= 0 AND rho >= 0", name=op.f("entries_charge_check")
        ),
        sa.CheckConstraint(
            "(state = 'answered') = (answer IS NOT NULL)", name=op.f("entries_answer_check")
        ),
        sa.CheckConstraint(
            "(state IN ('reserved', 'dispatched')) = (finished_at IS NULL)",
            name=op.f("entries_finished_check"),
        ),
        sa.CheckConstraint(
            "state NOT IN ('dispatched', 'answered') OR dispatched_at IS NOT NULL",
            name=op.f("entries_dispatched_check"),
        ),
        sa.CheckConstraint(
            "state <> 'voided' OR dispatched_at IS NULL", name=op.f("entries_voided_check")
        ),
    )
    op.create_index(
        "entries_one_per_request",
        "entries",
        ["analyst_id", "request_id"],
        unique=True,
        postgresql_where=sa.text("state <> 'voided'"),
    )
    op.create_index("entries_newest", "entries", ["analyst_id", "number"])
    op.create_index(
        "entries_unfinished",
        "entries",
        ["worker_id"],
        postgresql_where=sa.text("state IN ('reserved', 'dispatched')"),
    )


def _create_admin_log_and_tokens() -> None:
    op.create_table(
        "admin_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        _time("at", now=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", postgresql.JSONB(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="admin_log_pkey"),
    )
    op.create_table(
        "tokens",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("analyst_id", sa.Uuid()),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("secret_sha256", sa.LargeBinary(), nullable=False),
        _time("created_at", now=True),
        _time("expires_at"),
        _time("revoked_at"),
        sa.PrimaryKeyConstraint("key_id", name="tokens_pkey"),
        sa.ForeignKeyConstraint(["analyst_id"], ["analysts.id"], name="tokens_analyst_id_fkey"),
        sa.CheckConstraint("kind IN ('analyst', 'admin')", name=op.f("tokens_kind_check")),
        sa.CheckConstraint(
            "(kind = 'analyst') = (analyst_id IS NOT NULL)", name=op.f("tokens_holder_check")
        ),
        sa.CheckConstraint("length(secret_sha256) = 32", name=op.f("tokens_secret_check")),
    )


def _forbid() -> None:
    """Facts stay: whatever the program does, these rows are not deleted or rewritten."""
    op.execute("""
        CREATE FUNCTION ledger_keeps_facts() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% of % is not allowed: the ledger keeps facts', TG_OP, TG_TABLE_NAME;
        END $$
    """)
    changes = {
        "analysts": "UPDATE OF id, name, created_at",
        "accounts": "UPDATE OF id, dataset, analyst_id, created_at",
        "entries": (
            "UPDATE OF id, number, analyst_id, dataset, request_id, request_digest, plan_digest,"
            " sql, events, epsilon, delta, rho, worker_id, reserved_at"
        ),
        "admin_log": "UPDATE",
    }
    for table, update in changes.items():
        op.execute(
            f"CREATE TRIGGER {table}_keep_facts BEFORE DELETE OR TRUNCATE OR {update} ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION ledger_keeps_facts()"
        )
