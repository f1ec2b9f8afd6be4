"""psqlODBC through pyodbc. The first argument is the driver's library, the second its settings."""

from __future__ import annotations

import os
import sys

import pyodbc
from canonical import BY_SEX, CITIES, JOINED, PATIENTS, failed, say


def rows(found: list[pyodbc.Row], *columns: str) -> list[tuple[object, ...]]:
    return [tuple(getattr(row, name) for name in columns) for row in found]


def main() -> None:
    e = os.environ
    connection = pyodbc.connect(
        f"DRIVER={sys.argv[1]};SERVER={e['PGHOST']};PORT={e['PGPORT']};DATABASE={e['PGDATABASE']};"
        f"UID={e['PGUSER']};PWD={e['PGPASSWORD']};SSLmode={e['PGSSLMODE']};{sys.argv[2]}"
    )
    cursor = connection.cursor()
    say("server", connection.getinfo(pyodbc.SQL_DBMS_NAME))
    say("tables", rows(cursor.tables(schema="public").fetchall(), "table_name", "table_type"))
    found = cursor.columns(table="patients").fetchall()
    say("columns", rows(found, "column_name", "type_name", "column_size", "nullable"))
    say("key", rows(cursor.primaryKeys("visits").fetchall(), "table_name", "column_name"))
    found = cursor.foreignKeys(foreignTable="visits").fetchall()
    say(
        "foreign keys",
        rows(found, "fktable_name", "fkcolumn_name", "pktable_name", "pkcolumn_name"),
    )
    found = cursor.statistics("cities", unique=True).fetchall()
    say("statistics", rows(found, "table_name", "column_name", "non_unique"))
    say("types", sorted(set(rows(cursor.getTypeInfo().fetchall(), "type_name"))))
    for text in (PATIENTS, BY_SEX, JOINED, CITIES):
        cursor.execute(text)
        described = [(c[0], c[1].__name__, c[3]) for c in cursor.description]
        say(text, (described, [tuple(row) for row in cursor.fetchall()]))
    cursor.execute("SELECT count(*) FROM patients WHERE age >= ? AND sex = ?", 40, "male")
    say("parameters", cursor.fetchval())
    cursor.execute(BY_SEX)
    say("piecewise", (tuple(cursor.fetchone()), [tuple(r) for r in cursor.fetchmany(1)]))
    cursor.close()
    cursor = connection.cursor()
    try:
        cursor.execute("SELECT nope FROM patients")
    except pyodbc.Error as error:
        print("error !", error.args[0])
    try:
        connection.rollback()
        cursor.execute(PATIENTS)
        say("after rollback", cursor.fetchval())
    except pyodbc.Error as error:
        failed("after rollback", error)
    connection.commit()
    connection.close()


if __name__ == "__main__":
    main()
