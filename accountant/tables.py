"""The ledger's tables, with its invariants a second time as constraints.

They live in a database of their own. Epsilon and rho are bigints in 1e-12, delta in 1e-18. Times
are the ledger database's. ``migrations`` builds the same tables, and the triggers that keep rows of
``analysts``, ``entries`` and ``admin_log`` from being deleted.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)


def _when(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True))


def _now(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


def _amount(name: str, server_default: str | None = None) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=server_default)


analysts = Table(
    "analysts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text(collation="C"), nullable=False, unique=True),
    _now("created_at"),
    _when("disabled_at"),
    # No case, no spaces, no letters beyond ASCII: two analysts never look alike.
    CheckConstraint("name ~ '^[a-z][a-z0-9_.-]{0,62}$'", name="name"),
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("dataset", Text, nullable=False),
    # NULL for the data set's own account, over all analysts.
    Column("analyst_id", Uuid, ForeignKey("analysts.id")),
    _amount("epsilon_cap"),
    _amount("epsilon_spent", "0"),
    _amount("delta_cap"),
    _amount("delta_spent", "0"),
    _amount("rho_spent", "0"),
    _now("created_at"),
    UniqueConstraint("dataset", "analyst_id"),
    Index(
        "accounts_one_per_dataset",
        "dataset",
        unique=True,
        postgresql_where=text("analyst_id IS NULL"),
    ),
    CheckConstraint("0 <= epsilon_spent AND epsilon_spent <= epsilon_cap", name="epsilon"),
    CheckConstraint("0 <= delta_spent AND delta_spent <= delta_cap", name="delta"),
    CheckConstraint("0 <= rho_spent", name="rho"),
)

workers = Table(
    "workers",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    _now("started_at"),
)

entries = Table(
    "entries",
    metadata,
    Column("id", Uuid, primary_key=True),
    # The order of entries: within a data set, the order in which they were reserved.
    Column("number", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("analyst_id", Uuid, nullable=False),
    Column("dataset", Text, nullable=False),
    Column("request_id", Text),
    Column("request_digest", Text, nullable=False),
    Column("plan_digest", Text, nullable=False),
    Column("sql", Text, nullable=False),
    Column("events", JSONB, nullable=False),
    _amount("epsilon"),
    _amount("delta"),
    _amount("rho"),
    Column("state", Text, nullable=False),
    Column("worker_id", Integer, ForeignKey("workers.id"), nullable=False),
    _now("reserved_at"),
    _when("dispatched_at"),
    _when("finished_at"),
    # json keeps the text as it was written; jsonb would turn 1e16 into an integer in a replay.
    Column("answer", JSON(none_as_null=True)),
    ForeignKeyConstraint(["dataset", "analyst_id"], ["accounts.dataset", "accounts.analyst_id"]),
    Index(
        "entries_one_per_request",
        "analyst_id",
        "request_id",
        unique=True,
        # A voided entry never touched data and cost nothing: its request may be made again.
        postgresql_where=text("state <> 'voided'"),
    ),
    Index("entries_newest", "analyst_id", "number"),
    Index(
        "entries_unfinished",
        "worker_id",
        postgresql_where=text("state IN ('reserved', 'dispatched')"),
    ),
    CheckConstraint(
        "state IN ('reserved', 'dispatched', 'answered', 'failed', 'voided')", name="state"
    ),
    CheckConstraint("epsilon >= 0 AND delta >= 0 AND rho >= 0", name="charge"),
    CheckConstraint("(state = 'answered') = (answer IS NOT NULL)", name="answer"),
    CheckConstraint(
        "(state IN ('reserved', 'dispatched')) = (finished_at IS NULL)", name="finished"
    ),
    CheckConstraint(
        "state NOT IN ('dispatched', 'answered') OR dispatched_at IS NOT NULL", name="dispatched"
    ),
    CheckConstraint("state <> 'voided' OR dispatched_at IS NULL", name="voided"),
)

admin_log = Table(
    "admin_log",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _now("at"),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", JSONB, nullable=False),
    Column("reason", Text, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("analyst_id", Uuid, ForeignKey("analysts.id")),
    Column("label", Text, nullable=False),
    Column("secret_sha256", LargeBinary, nullable=False),
    # What a login by SCRAM is checked against; tokens from before there was one have none.
    Column("scram_stored_key", LargeBinary),
    Column("scram_server_key", LargeBinary),
    _now("created_at"),
    _when("expires_at"),
    _when("revoked_at"),
    CheckConstraint("kind IN ('analyst', 'admin')", name="kind"),
    CheckConstraint("(kind = 'analyst') = (analyst_id IS NOT NULL)", name="holder"),
    CheckConstraint("length(secret_sha256) = 32", name="secret"),
    CheckConstraint("(scram_stored_key IS NULL) = (scram_server_key IS NULL)", name="scram"),
)

# What the ledger keeps for the server; never shown.
secrets = Table(
    "secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
