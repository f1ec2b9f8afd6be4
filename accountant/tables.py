"""The ledger's tables, with its invariants a second time as constraints.

They live in a database of their own. Epsilon and rho are bigints in 1e-12, delta and slack in
1e-18. ``entries`` is the journal: what happened, in order, never changed. The other tables are what
follows from it, kept at hand. ``migrations`` builds the same tables, and the triggers that keep
facts from being changed.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    ForeignKey,
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


def _spent(prefix: str) -> list[Column[int]]:
    return [_amount(f"{prefix}{part}_spent", "0") for part in ("epsilon", "delta", "rho", "slack")]


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

members = Table(
    "members",
    metadata,
    Column("group_name", Text(collation="C"), primary_key=True),
    Column("analyst_id", Uuid, ForeignKey("analysts.id"), primary_key=True),
    Index("members_of", "analyst_id"),
    CheckConstraint("group_name ~ '^[a-z][a-z0-9_.-]{0,62}$'", name="name"),
)

datasets = Table(
    "datasets",
    metadata,
    Column("name", Text, primary_key=True),
    # Grows when the data owner says that the data is not what it was.
    Column("epoch", BigInteger, nullable=False, server_default="1"),
    CheckConstraint("epoch >= 1", name="epoch"),
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("dataset", Text, ForeignKey("datasets.name"), nullable=False),
    # Empty in accounts from before units were named, until their data set is opened again.
    Column("unit", Text, nullable=False),
    Column("scope", Text, nullable=False),
    # The analyst's id or the group's name; empty for everyone.
    Column("holder", Text(collation="C"), nullable=False),
    _amount("epsilon_cap"),
    _amount("delta_cap"),
    # Follows from the two caps; stored so that the constraint below can use it.
    _amount("rho_cap"),
    *_spent(""),
    Column("state", Text, nullable=False, server_default="open"),
    Column("window_kind", Text),
    _amount("window_number", "0"),
    _amount("window_epsilon_cap", "0"),
    _amount("window_delta_cap", "0"),
    *_spent("window_"),
    _now("created_at"),
    UniqueConstraint("dataset", "unit", "scope", "holder"),
    CheckConstraint("scope IN ('everyone', 'group', 'analyst')", name="scope"),
    CheckConstraint("(scope = 'everyone') = (holder = '')", name="holder"),
    CheckConstraint("state IN ('open', 'frozen', 'closed')", name="state"),
    CheckConstraint("window_kind IN ('day', 'week', 'month')", name="window"),
    CheckConstraint(
        "0 <= epsilon_spent AND 0 <= delta_spent AND 0 <= rho_spent AND 0 <= slack_spent",
        name="spent",
    ),
    # The filters once more; see accountant.filters. Accounts from before there were two may have
    # more delta spent than a quarter, so under basic it may reach the whole.
    CheckConstraint(
        "(epsilon_spent <= epsilon_cap AND delta_spent <= delta_cap)"
        " OR (rho_spent <= rho_cap AND slack_spent <= delta_cap / 4)",
        name="cap",
    ),
)

workers = Table(
    "workers",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    _now("started_at"),
    # When another process found it dead and burned what it had left unfinished.
    _when("gone_at"),
)

entries = Table(
    "entries",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    # Canonical JSON: see accountant.records. Everything that an entry says, but for two long texts.
    Column("record", Text, nullable=False),
    # The same again, for look-ups; made by Postgres, so that it cannot differ.
    Column("doc", JSONB, Computed("record::jsonb", persisted=True), nullable=False),
    Column("hash", LargeBinary, nullable=False),
    # The reply and the noisy cells, as text; their digests are in the record.
    Column("answer", Text),
    Column("cells", Text),
    CheckConstraint("length(hash) = 32", name="hash"),
    CheckConstraint("(answer IS NOT NULL) = (doc ? 'answer')", name="answer"),
    CheckConstraint("(cells IS NOT NULL) = (doc ? 'cells')", name="cells"),
    # A release is reserved once, dispatched at most once, and ends at most once.
    Index(
        "entries_once",
        text("(doc ->> 'release')"),
        text("(doc ->> 'step')"),
        unique=True,
        postgresql_where=text("doc ? 'release'"),
    ),
    Index(
        "entries_newest",
        text("(doc ->> 'analyst')"),
        "number",
        postgresql_where=text("doc ->> 'kind' = 'reserve'"),
    ),
    Index(
        "entries_request",
        text("(doc ->> 'analyst')"),
        text("(doc ->> 'request_id')"),
        postgresql_where=text("doc ? 'request_id'"),
    ),
    Index(
        "entries_worker",
        text("(doc ->> 'worker')"),
        postgresql_where=text("doc ? 'worker'"),
    ),
    Index(
        "entries_source",
        text("(doc ->> 'source')"),
        postgresql_where=text("doc ? 'source'"),
    ),
    Index(
        "entries_plan",
        text("(doc ->> 'plan_digest')"),
        "number",
        postgresql_where=text("cells IS NOT NULL"),
    ),
    Index(
        "entries_question",
        text("(doc ->> 'analyst')"),
        text("(doc ->> 'question_digest')"),
        "number",
        postgresql_where=text("cells IS NOT NULL"),
    ),
)

head = Table(
    "head",
    metadata,
    # One row, locked by every transaction that writes: the end of the chain of entries.
    Column("one", Boolean, primary_key=True, server_default=text("true")),
    Column("number", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    CheckConstraint("one", name="one"),
    CheckConstraint("length(hash) = 32", name="hash"),
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
