"""Data frames: pandas, polars and ConnectorX, and ADBC under two of them; the last three fetch by COPY."""

from __future__ import annotations

import os
import warnings

import adbc_driver_postgresql.dbapi as adbc
import connectorx
import pandas as pd
import polars as pl
import psycopg
import sqlalchemy as sa
from canonical import BY_SEX, CITIES, JOINED, PATIENTS, attempt, say

QUESTIONS = {"count": PATIENTS, "groups": BY_SEX, "join": JOINED, "cities": CITIES}


def uri() -> str:
    e = os.environ
    return (
        f"postgresql://{e['PGUSER']}:{e['PGPASSWORD']}@{e['PGHOST']}:{e['PGPORT']}/{e['PGDATABASE']}"
        f"?sslmode={e['PGSSLMODE']}"
    )


def with_adbc() -> None:
    with adbc.connect(uri()) as connection, connection.cursor() as cursor:
        for name, text in QUESTIONS.items():
            cursor.execute(text)
            table = cursor.fetch_arrow_table()
            say(f"adbc {name}", (str(table.schema.types), table.to_pylist()))
        cursor.execute("SELECT count(*) FROM patients WHERE age > $1", (40,))
        say("adbc parameters", cursor.fetchall())
        tree = connection.adbc_get_objects(depth="all", db_schema_filter="public").read_all()
        for catalog in tree.to_pylist():
            for schema in catalog["catalog_db_schemas"]:
                for table in sorted(schema["db_schema_tables"], key=lambda one: one["table_name"]):
                    columns = [
                        (c["column_name"], c["xdbc_type_name"]) for c in table["table_columns"]
                    ]
                    say("adbc table", (table["table_name"], table["table_type"], columns))
        say("adbc schema", str(connection.adbc_get_table_schema("patients")))
        attempt("adbc error", lambda: cursor.execute("SELECT nope FROM patients"))


def with_pandas() -> None:
    engine = sa.create_engine(uri().replace("postgresql:", "postgresql+psycopg:", 1))
    for name, text in QUESTIONS.items():
        frame = pd.read_sql_query(text, engine)
        say(f"pandas {name}", (list(map(str, frame.dtypes)), frame.to_dict("records")))
    frame = pd.read_sql_query(
        sa.text("SELECT count(*) AS n FROM patients WHERE age > :a"), engine, params={"a": 40}
    )
    say("pandas parameters", frame.to_dict("records"))
    say("pandas table", pd.read_sql_table("cities", engine).sort_values("name").to_dict("records"))
    say("pandas chunks", [len(part) for part in pd.read_sql_query(BY_SEX, engine, chunksize=2)])
    engine.dispose()
    with psycopg.connect("") as connection, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        say("pandas dbapi", pd.read_sql_query(BY_SEX, connection).to_dict("records"))


def with_polars() -> None:
    for engine in ("connectorx", "adbc"):
        for name, text in QUESTIONS.items():
            frame = pl.read_database_uri(text, uri(), engine=engine)
            say(f"polars {engine} {name}", (str(frame.schema), frame.rows()))


def with_connectorx() -> None:
    for protocol in ("binary", "csv", "cursor"):
        for name, text in QUESTIONS.items():
            frame = connectorx.read_sql(uri(), text, protocol=protocol)
            say(f"connectorx {protocol} {name}", frame.to_dict("records"))


if __name__ == "__main__":
    with_adbc()
    with_pandas()
    with_polars()
    with_connectorx()
