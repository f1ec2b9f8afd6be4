"""One append-only journal; accounts by privacy unit and layer; groups, windows, epochs.

What the first schema held is carried over: each entry becomes the entries of its steps, each line
of the admin log an entry, each account one with the same spending. Units had no names then: such
accounts get an empty one, and ``open dataset`` names it.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from accountant.events import ThresholdEvent, from_json
from accountant.filters import Budget, rho_cap
from accountant.losses import ceil_delta
from accountant.records import GENESIS, Chain

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_PARTS = ("epsilon", "delta", "rho", "slack")


def upgrade() -> None:
    for table in ("entries", "accounts"):
        op.rename_table(table, f"old_{table}")
        _rename_what_belongs_to(table)
    op.add_column("workers", sa.Column("gone_at", sa.DateTime(timezone=True)))
    _create_members_and_datasets()
    _create_accounts()
    _create_journal()
    _carry_over()
    for table in ("old_entries", "old_accounts", "admin_log"):
        op.drop_table(table)
    _forbid()


def downgrade() -> None:
    raise NotImplementedError("the ledger only goes forward: old programs would misread it")


def _rename_what_belongs_to(table: str) -> None:
    """Constraints and indexes keep the names of their table; the new one needs them."""
    op.execute(f"""
        DO $$ DECLARE name text; BEGIN
          FOR name IN SELECT conname FROM pg_constraint
                      WHERE conrelid = 'old_{table}'::regclass AND conname LIKE '{table}%' LOOP
            EXECUTE format('ALTER TABLE old_{table} RENAME CONSTRAINT %I TO %I',
                           name, 'old_' || name);
          END LOOP;
          FOR name IN SELECT indexrelid::regclass::text FROM pg_index
                      WHERE indrelid = 'old_{table}'::regclass
                        AND indexrelid::regclass::text LIKE '{table}%' LOOP
            EXECUTE format('ALTER INDEX %I RENAME TO %I', name, 'old_' || name);
          END LOOP;
        END $$
    """)


def _create_members_and_datasets() -> None:
    op.create_table(
        "members",
        sa.Column("group_name", sa.Text(collation="C"), nullable=False),
        sa.Column("analyst_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("group_name", "analyst_id", name="members_pkey"),
        sa.ForeignKeyConstraint(["analyst_id"], ["analysts.id"], name="members_analyst_id_fkey"),
        sa.CheckConstraint(
            "group_name ~ '^[a-z][a-z0-9_.-]{0,62}$'", name=op.f("members_name_check")
        ),
    )
    op.create_index("members_of", "members", ["analyst_id"])
    op.create_table(
        "datasets",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("name", name="datasets_pkey"),
        sa.CheckConstraint("epoch >= 1", name=op.f("datasets_epoch_check")),
    )


def _amount(name: str, *, zero: bool = False) -> sa.Column[int]:
    default = "0" if zero else None
    return sa.Column(name, sa.BigInteger(), server_default=default, nullable=False)


def _create_accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(collation="C"), nullable=False),
        _amount("epsilon_cap"),
        _amount("delta_cap"),
        _amount("rho_cap"),
        *(_amount(f"{part}_spent", zero=True) for part in _PARTS),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("window_kind", sa.Text()),
        _amount("window_number", zero=True),
        _amount("window_epsilon_cap", zero=True),
        _amount("window_delta_cap", zero=True),
        *(_amount(f"window_{part}_spent", zero=True) for part in _PARTS),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name="accounts_pkey"),
        sa.ForeignKeyConstraint(["dataset"], ["datasets.name"], name="accounts_dataset_fkey"),
        sa.UniqueConstraint(
            "dataset", "unit", "scope", "holder", name="accounts_dataset_unit_scope_holder_key"
        ),
        sa.CheckConstraint(
            "scope IN ('everyone', 'group', 'analyst')", name=op.f("accounts_scope_check")
        ),
        sa.CheckConstraint(
            "(scope = 'everyone') = (holder = '')", name=op.f("accounts_holder_check")
        ),
        sa.CheckConstraint(
            "state IN ('open', 'frozen', 'closed')", name=op.f("accounts_state_check")
        ),
        sa.CheckConstraint(
            "window_kind IN ('day', 'week', 'month')", name=op.f("accounts_window_check")
        ),
        sa.CheckConstraint(
            "0 <= epsilon_spent AND 0 <= delta_spent AND 0 <= rho_spent AND 0 <= slack_spent",
            name=op.f("accounts_spent_check"),
        ),
        sa.CheckConstraint(
            "(epsilon_spent <= epsilon_cap AND delta_spent <= delta_cap)"
            " OR (rho_spent <= rho_cap AND slack_spent <= delta_cap / 4)",
            name=op.f("accounts_cap_check"),
        ),
    )


def _create_journal() -> None:
    op.create_table(
        "entries",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column(
            "doc",
            postgresql.JSONB(),
            sa.Computed("record::jsonb", persisted=True),
            nullable=False,
        ),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.Text()),
        sa.Column("cells", sa.Text()),
        sa.PrimaryKeyConstraint("number", name="entries_pkey"),
        sa.CheckConstraint("length(hash) = 32", name=op.f("entries_hash_check")),
        sa.CheckConstraint(
            "(answer IS NOT NULL) = (doc ? 'answer')", name=op.f("entries_answer_check")
        ),
        sa.CheckConstraint(
            "(cells IS NOT NULL) = (doc ? 'cells')", name=op.f("entries_cells_check")
        ),
    )
    for name, columns, where in (
        ("once", "(doc ->> 'release'), (doc ->> 'step')", "doc ? 'release'"),
        ("newest", "(doc ->> 'analyst'), number", "doc ->> 'kind' = 'reserve'"),
        ("request", "(doc ->> 'analyst'), (doc ->> 'request_id')", "doc ? 'request_id'"),
        ("worker", "(doc ->> 'worker')", "doc ? 'worker'"),
        ("source", "(doc ->> 'source')", "doc ? 'source'"),
        ("plan", "(doc ->> 'plan_digest'), number", "cells IS NOT NULL"),
        (
            "question",
            "(doc ->> 'analyst'), (doc ->> 'question_digest'), number",
            "cells IS NOT NULL",
        ),
    ):
        unique = "UNIQUE " if name == "once" else ""
        op.execute(f"CREATE {unique}INDEX entries_{name} ON entries ({columns}) WHERE {where}")
    op.create_table(
        "head",
        sa.Column("one", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("one", name="head_pkey"),
        sa.CheckConstraint("one", name=op.f("head_one_check")),
        sa.CheckConstraint("length(hash) = 32", name=op.f("head_hash_check")),
    )


def _carry_over() -> None:
    bind = op.get_bind()
    began = bind.execute(sa.text("SELECT now()")).scalar_one()
    steps = _old_analysts(bind) + _old_accounts(bind) + _old_log(bind) + _old_entries(bind)
    chain = Chain(0, GENESIS, min((step[0] for step in steps), default=began))
    for at, _, kind, facts, answer in sorted(steps, key=lambda step: step[:2]):
        chain = Chain(chain.number, chain.hash, max(chain.at, at), chain.entries)
        chain.append(kind, facts, answer=answer)
    if chain.entries:
        bind.execute(
            sa.text(
                "INSERT INTO entries (number, record, hash, answer)"
                " VALUES (:number, :record, :hash, :answer)"
            ),
            [
                {"number": e.number, "record": e.record, "hash": e.hash, "answer": e.answer}
                for e in chain.entries
            ],
        )
    bind.execute(
        sa.text("INSERT INTO head (number, hash, at) VALUES (:number, :hash, :at)"),
        {"number": chain.number, "hash": chain.hash, "at": chain.at},
    )


_Step = tuple[Any, tuple[int, int], str, dict[str, Any], str | None]
"""When; what breaks ties; kind; facts; answer."""


def _old_analysts(bind: sa.Connection) -> list[_Step]:
    steps: list[_Step] = []
    query = "SELECT *, row_number() OVER (ORDER BY created_at, name) AS place FROM analysts"
    for row in bind.execute(sa.text(query)):
        facts = {
            "name": row.name,
            "analyst": str(row.id),
            "actor": "epsql migrate",
            "reason": "",
            "carried": True,
        }
        steps.append((row.created_at, (-1, row.place), "add analyst", facts, None))
        if row.disabled_at is not None:
            steps.append((row.disabled_at, (9, row.place), "disable analyst", facts, None))
    return steps


def _old_accounts(bind: sa.Connection) -> list[_Step]:
    """Opened with the caps that they have now; what they had before is in the old log."""
    bind.execute(sa.text("INSERT INTO datasets (name) SELECT DISTINCT dataset FROM old_accounts"))
    slack = _slack(bind)
    steps: list[_Step] = []
    for row in bind.execute(sa.text("SELECT * FROM old_accounts ORDER BY id")):
        holder = "" if row.analyst_id is None else str(row.analyst_id)
        account = {
            "dataset": row.dataset,
            "unit": "",
            "scope": "analyst" if holder else "everyone",
            "holder": holder,
            "epsilon_cap": row.epsilon_cap,
            "delta_cap": row.delta_cap,
        }
        bind.execute(
            sa.text(
                "INSERT INTO accounts (dataset, unit, scope, holder, epsilon_cap, delta_cap,"
                " rho_cap, epsilon_spent, delta_spent, rho_spent, slack_spent, created_at)"
                " VALUES (:dataset, :unit, :scope, :holder, :epsilon_cap, :delta_cap, :rho_cap,"
                " :epsilon, :delta, :rho, :slack, :created_at)"
            ),
            {
                **account,
                "rho_cap": rho_cap(Budget(row.epsilon_cap, row.delta_cap)),
                "epsilon": row.epsilon_spent,
                "delta": row.delta_spent,
                "rho": row.rho_spent,
                "slack": slack.get((row.dataset, holder), 0),
                "created_at": row.created_at,
            },
        )
        facts = {**account, "actor": "epsql migrate", "reason": "", "carried": True}
        steps.append((row.created_at, (0, row.id), "open account", facts, None))
    return steps


def _slack(bind: sa.Connection) -> dict[tuple[str, str], int]:
    """The sum of slack of each old account, which the old schema did not keep."""
    sums: dict[tuple[str, str], int] = {}
    for row in bind.execute(sa.text("SELECT * FROM old_entries WHERE state <> 'voided'")):
        for holder in ("", str(row.analyst_id)):
            key = (row.dataset, holder)
            sums[key] = sums.get(key, 0) + _slack_of(row.events)
    return sums


def _slack_of(events: list[dict[str, Any]]) -> int:
    deltas = [e.delta for e in map(from_json, events) if isinstance(e, ThresholdEvent)]
    return ceil_delta(sum(deltas, Fraction(0)))


def _old_log(bind: sa.Connection) -> list[_Step]:
    steps: list[_Step] = []
    for row in bind.execute(sa.text("SELECT * FROM admin_log ORDER BY id")):
        facts = {
            "actor": row.actor,
            "action": row.action,
            "subject": row.subject,
            "detail": row.detail,
            "reason": row.reason,
        }
        steps.append((row.at, (1, row.id), "carried note", facts, None))
    return steps


def _old_entries(bind: sa.Connection) -> list[_Step]:
    steps: list[_Step] = []
    ends = {"answered": "answer", "failed": "fail", "voided": "void"}
    query = "SELECT *, answer::text AS reply FROM old_entries ORDER BY number"
    for row in bind.execute(sa.text(query)):
        release = str(row.id)
        facts = {
            "release": release,
            "step": 0,
            "analyst": str(row.analyst_id),
            "dataset": row.dataset,
            "units": [""],
            "request_digest": row.request_digest,
            "plan_digest": row.plan_digest,
            "question_digest": "",
            "epoch": 1,
            "sql": row.sql,
            "events": row.events,
            "loss": {
                "epsilon": row.epsilon,
                "delta": row.delta,
                "rho": row.rho,
                "slack": _slack_of(row.events),
            },
            "charged": [["", "analyst", str(row.analyst_id)], ["", "everyone", ""]],
            "worker": row.worker_id,
            "carried": True,
        }
        if row.request_id is not None:
            facts["request_id"] = row.request_id
        at = row.reserved_at
        steps.append((at, (2, row.number), "reserve", facts, None))
        # A clock that was set back in between must not put the steps in another order.
        if row.dispatched_at is not None:
            at = max(at, row.dispatched_at)
            step = {"release": release, "step": 1}
            steps.append((at, (3, row.number), "dispatch", step, None))
        if row.finished_at is not None:
            at = max(at, row.finished_at)
            end = {"release": release, "step": 2}
            steps.append((at, (4, row.number), ends[row.state], end, row.reply))
    return steps


def _forbid() -> None:
    """Facts stay: whatever the program does, these rows are not deleted or rewritten."""
    changes = {
        "accounts": "UPDATE OF id, dataset, scope, holder, created_at",
        "entries": "UPDATE",
        "datasets": "UPDATE OF name",
    }
    for table, update in changes.items():
        op.execute(
            f"CREATE TRIGGER {table}_keep_facts BEFORE DELETE OR TRUNCATE OR {update} ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION ledger_keeps_facts()"
        )
    op.execute(
        "CREATE TRIGGER head_keeps_facts BEFORE DELETE OR TRUNCATE ON head"
        " FOR EACH STATEMENT EXECUTE FUNCTION ledger_keeps_facts()"
    )
    for name, table, when in (
        ("accounts_keep_unit", "accounts", "OLD.unit <> '' AND NEW.unit <> OLD.unit"),
        ("head_only_grows", "head", "NEW.number <= OLD.number OR NEW.at < OLD.at"),
        ("datasets_only_grow", "datasets", "NEW.epoch < OLD.epoch"),
    ):
        op.execute(
            f"CREATE TRIGGER {name} BEFORE UPDATE ON {table} FOR EACH ROW WHEN ({when})"
            " EXECUTE FUNCTION ledger_keeps_facts()"
        )
