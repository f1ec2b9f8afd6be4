"""What the shadow takes away from everybody, so that an analyst's role can read and do no harm.

Functions belong to one database each, so all of this is done in ``template1``, which every data
set's database is then a copy of. Only functions and views have to be named here: the analysts'
roles own nothing, belong to nothing, and may create nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from server.shadow import TRIPWIRE, Statement
from server.shadow.cluster import SUPERUSER

_VOLATILE = (
    "clock_timestamp|timeofday|current_query|set_config",
    "random.*|setseed|gen_random_uuid|uuidv[0-9]+|array_sample|array_shuffle|bernoulli|system",
    "nextval|currval|setval|lastval|pg_sequence_last_value|pg_get_sequence_data",
    "pg_(database|relation|table|indexes|total_relation)_size|pg_partition_(tree|ancestors)",
    "pg_(database_)?collation_actual_version|pg_is_in_recovery|pg_is_wal_replay_paused",
    "pg_jit_available|pg_stat_clear_snapshot|amvalidate|pg_advisory_unlock_all",
)
"""Names of the functions with side effects, or none but a clock, that stay. Whatever else is
declared volatile nobody may call: large objects, which fill the disk; advisory locks, NOTIFY and
signals; functions that run SQL from a string, which nobody has looked at; and what a later Postgres
will have. ``set_config`` stays, because drivers call it when they connect; ``analyzer.classify``
looks at what it is to set; drivers also unlock what nobody can have locked."""

_STABLE = (
    "(query|cursor|table|schema|database)_to_xml.*|ts_stat|ts_rewrite",
    # What the others do, and how much. Statistics of tables stay: tools join them.
    "pg_stat_get_activity|pg_stat_get_backend_.*|pg_stat_get_db_.*|pg_stat_get_progress_info",
    "pg_lock_status|pg_(safe_snapshot_)?blocking_pids|pg_prepared_xact|pg_stat_get_io",
    "pg_stat_get_(wal.*|slru|bgwriter.*|checkpointer.*|buf.*|subscription.*|xact_.*)",
    "pg_stat_get_replication_.*|pg_get_replication_slots|pg_show_replication_origin_status",
)
"""Names of those among the others that nobody may call."""

_ERROR_BARS = {
    "integer": "bigint",
    "bigint": "bigint",
    "numeric": "double precision",
    "double precision": "double precision",
    "date": "bigint",
    "timestamp without time zone": "double precision",
    "timestamp with time zone": "double precision",
}
"""The type of ``error_bar(x)``, by that of x, as the analyzer has it: of moments it is in days."""


def template() -> Iterator[Statement]:
    """Run once, in ``template1``, as the superuser."""
    yield sql.SQL("SET allow_system_table_mods = on")
    yield sql.SQL("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    yield sql.SQL("REVOKE USAGE ON LANGUAGE plpgsql, sql FROM PUBLIC")
    yield sql.SQL(_REVOKE).format(
        kept=sql.Literal(f"^({'|'.join(_VOLATILE)})$"),
        taken=sql.Literal(f"^({'|'.join(_STABLE)})$"),
    )
    # Who else there is. The views of their names show oneself, and the owner of the tables.
    yield sql.SQL(_ONESELF).format(
        view=sql.Literal("pg_roles"),
        shown=sql.Literal(f"NOT rolcanlogin OR rolname IN (current_user, '{SUPERUSER}')"),
    )
    yield sql.SQL(_ONESELF).format(
        view=sql.Literal("pg_user"),
        shown=sql.Literal(f"usename IN (current_user, '{SUPERUSER}')"),
    )
    yield sql.SQL("CREATE SCHEMA epsql")
    yield sql.SQL("GRANT USAGE ON SCHEMA epsql TO PUBLIC")
    yield sql.SQL(_TRIPWIRE).format(name=sql.Identifier("epsql", TRIPWIRE))
    for argument, bar in _ERROR_BARS.items():
        for name, result in (("error_bar", bar), ("ci_low", argument), ("ci_high", argument)):
            yield sql.SQL(_COMPANION).format(
                name=sql.Identifier("pg_catalog", name),
                argument=sql.SQL(argument),
                result=sql.SQL(result),
                message=sql.Literal(f"{name} stands around an aggregate over protected rows"),
            )


def database(name: str, search_path: tuple[str, ...]) -> Iterator[Statement]:
    """Run after a database is made, outside of a transaction."""
    identifier = sql.Identifier(name)
    yield sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(identifier)
    yield sql.SQL("GRANT CONNECT ON DATABASE {} TO PUBLIC").format(identifier)
    settings = {
        # Advice, since anybody may set them otherwise; it makes the common mistakes plain.
        "default_transaction_read_only": sql.Literal("on"),
        "idle_in_transaction_session_timeout": sql.Literal("2h"),
        "statement_timeout": sql.Literal("60s"),
    }
    if search_path != ("public",):
        path = sql.SQL(", ").join([sql.Identifier("$user"), *map(sql.Identifier, search_path)])
        yield sql.SQL("ALTER DATABASE {} SET search_path = {}").format(identifier, path)
    for setting, value in settings.items():
        yield sql.SQL("ALTER DATABASE {} SET {} = {}").format(
            identifier, sql.Identifier(setting), value
        )


def cluster() -> Iterator[Statement]:
    """Run when all databases are there, outside of a transaction."""
    for name in ("template0", "template1"):
        yield sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name))
    # It was needed to hear why it does not start. What follows quotes analysts, who may even turn
    # on that their statements are printed.
    yield sql.SQL("ALTER SYSTEM SET log_min_messages = panic")
    yield sql.SQL("SELECT pg_reload_conf()")


def role(name: str, sessions: int) -> Statement:
    """An analyst's role: it may log in, ``sessions`` times at once, and nothing else."""
    return sql.SQL(
        "CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
        " CONNECTION LIMIT {}"
    ).format(sql.Identifier(name), sql.Literal(sessions))


_REVOKE = """
DO $$ DECLARE found regprocedure; BEGIN
  FOR found IN
    SELECT f.oid FROM pg_proc f
    WHERE f.pronamespace = 'pg_catalog'::regnamespace
      AND (f.proname ~ {taken} OR f.provolatile = 'v' AND f.proname !~ {kept})
      AND NOT EXISTS (SELECT FROM pg_type t WHERE f.oid IN (t.typinput, t.typreceive, t.typsend))
  LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', found);
  END LOOP;
END $$
"""

_ONESELF = """
DO $$ BEGIN
  EXECUTE format('CREATE OR REPLACE VIEW pg_catalog.%I AS SELECT * FROM (%s) AS everybody WHERE %s',
                 {view}, rtrim(pg_get_viewdef({view}::regclass), ';'), {shown});
END $$
"""

_TRIPWIRE = """
CREATE FUNCTION {name}() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  RAISE insufficient_privilege USING MESSAGE = 'protected rows are not here';
END $$;
REVOKE EXECUTE ON FUNCTION {name}() FROM PUBLIC
"""

_COMPANION = """
CREATE FUNCTION {name}({argument}) RETURNS {result} LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  RAISE feature_not_supported USING MESSAGE = {message};
END $$
"""
