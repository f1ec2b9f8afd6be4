"""Superset itself: its engine for Postgres, its model of a database, and the SQL that a chart makes.

Run by the Python of ``.clients/superset``. Superset's own tables are a SQLite file that is not kept.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from canonical import BY_SEX, CITIES, JOINED, attempt, say

HOME = Path(tempfile.mkdtemp(prefix="superset-"))
atexit.register(shutil.rmtree, HOME)
(HOME / "settings.py").write_text(
    f"SECRET_KEY = {'s' * 42!r}\nSQLALCHEMY_DATABASE_URI = 'sqlite:///{HOME}/superset.db'\n"
)
os.environ |= {"SUPERSET_CONFIG_PATH": str(HOME / "settings.py"), "SUPERSET_HOME": str(HOME)}

from superset.app import create_app  # noqa: E402 - it reads its settings when it is imported


def database() -> Any:
    """The place, as Superset keeps a connection to it."""
    from superset.models.core import Database

    env = os.environ
    user, password = (quote(env[name], safe="") for name in ("PGUSER", "PGPASSWORD"))
    found = Database(database_name="clinic", expose_in_sqllab=True)
    found.set_sqlalchemy_uri(
        f"postgresql+psycopg2://{user}:{password}@{env['PGHOST']}:{env['PGPORT']}"
        f"/{env['PGDATABASE']}?sslmode={env['PGSSLMODE']}"
    )
    return found


def catalog(place: Any) -> None:
    from superset.sql.parse import Table

    say("engine", place.db_engine_spec.__name__)
    say("catalogs", sorted(place.get_all_catalog_names()))
    say("schemas", sorted(place.get_all_schema_names(catalog=None)))
    tables = sorted(place.get_all_table_names_in_schema(catalog=None, schema="public"))
    say("tables", [table for table, *_ in tables])
    say("views", sorted(place.get_all_view_names_in_schema(catalog=None, schema="public")))
    for name, *_ in tables:
        table = Table(name, "public")
        columns = place.get_columns(table)
        say(f"columns of {name}", [(c["column_name"], str(c["type"])) for c in columns])
        say(f"key of {name}", place.get_pk_constraint(table)["constrained_columns"])
        say(f"foreign keys of {name}", len(place.get_foreign_keys(table)))


def grains(place: Any) -> None:
    """A chart over time, at each of Superset's time grains: whether it is answered."""
    from sqlalchemy import column

    for grain in place.db_engine_spec.get_time_grain_expressions():
        made = place.db_engine_spec.get_timestamp_expr(column("visited_at"), None, grain)
        sql = f"SELECT {made} AS at, COUNT(*) AS n FROM public.visits GROUP BY {made} ORDER BY at"
        attempt(
            f"grain {grain}", lambda sql=sql: "answered" if rows(place, sql) is not None else ""
        )


def rows(place: Any, sql: str) -> list[tuple[Any, ...]]:
    """What the SQL lab shows of a query: through the engine's own execute and fetch."""
    with place.get_raw_connection(schema="public") as connection:
        cursor = connection.cursor()
        place.db_engine_spec.execute(cursor, sql, place)
        return [tuple(row) for row in place.db_engine_spec.fetch_data(cursor, 1000)]


def lab(place: Any) -> None:
    attempt("by sex", lambda: rows(place, BY_SEX))
    attempt("limited", lambda: rows(place, place.apply_limit_to_sql(BY_SEX, 2)))
    attempt("a join", lambda: rows(place, JOINED))
    attempt("a public table", lambda: rows(place, CITIES))
    attempt("samples", lambda: len(rows(place, "SELECT name FROM patients LIMIT 100")))
    frame = place.get_df(
        "SELECT kind, COUNT(*) AS n FROM visits GROUP BY kind ORDER BY kind", schema="public"
    )
    say("frame", frame.to_dict(orient="records"))
    say("types of the frame", [str(kind) for kind in frame.dtypes])


def stopped(place: Any) -> None:
    """The SQL lab's stop button: another connection ends the one that it named."""
    spec = place.db_engine_spec
    with place.get_raw_connection() as asking, place.get_raw_connection() as stopping:
        number = spec.get_cancel_query_id(asking.cursor(), None)
        say("is stopped", spec.cancel_query(stopping.cursor(), None, number))


with contextlib.redirect_stdout(sys.stderr):  # it says where its settings are
    app = create_app()
with app.app_context():
    here = database()
    catalog(here)
    grains(here)
    lab(here)
    stopped(here)
