"""SQLAlchemy over four drivers: its inspector, and its own SQL. The driver is the first argument."""

from __future__ import annotations

import os
import ssl
import sys

import sqlalchemy as sa
from canonical import attempt, say
from sqlalchemy.dialects.postgresql.base import PGInspector


def engine(driver: str) -> sa.Engine:
    environment = os.environ
    url = sa.URL.create(
        f"postgresql+{driver}",
        environment["PGUSER"],
        environment["PGPASSWORD"],
        environment["PGHOST"],
        int(environment["PGPORT"]),
        environment["PGDATABASE"],
    )
    arguments = {}
    if driver == "pg8000" and environment["PGSSLMODE"] != "disable":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        arguments["ssl_context"] = context
    return sa.create_engine(url, connect_args=arguments)


def inspected(inspector: PGInspector) -> None:
    say("schemas", inspector.get_schema_names())
    say("default", inspector.default_schema_name)
    tables = sorted(inspector.get_table_names())
    say("tables", tables)
    say("views", inspector.get_view_names())
    say("materialized", inspector.get_materialized_view_names())
    say("sequences", inspector.get_sequence_names())
    say("enums", inspector.get_enums())
    for table in tables:
        columns = inspector.get_columns(table)
        say(
            f"columns of {table}",
            [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in columns],
        )
        say(f"key of {table}", inspector.get_pk_constraint(table)["constrained_columns"])
        keys = inspector.get_foreign_keys(table)
        say(
            f"foreign keys of {table}",
            [(k["constrained_columns"], k["referred_table"], k["referred_columns"]) for k in keys],
        )
        indexes = inspector.get_indexes(table)
        say(f"indexes of {table}", sorted(str(i["column_names"]) for i in indexes))
        say(f"unique of {table}", inspector.get_unique_constraints(table))
        say(f"checks of {table}", inspector.get_check_constraints(table))
    say("has", (inspector.has_table("patients"), inspector.has_table("nowhere")))


def asked(connection: sa.Connection) -> None:
    metadata = sa.MetaData()
    metadata.reflect(connection)
    patients, visits, cities = (metadata.tables[n] for n in ("patients", "visits", "cities"))
    count = sa.func.count()
    say("count", connection.execute(sa.select(count).select_from(patients)).scalar_one())
    by_sex = sa.select(patients.c.sex, count.label("n"), sa.func.sum(patients.c.age).label("years"))
    say(
        "groups", connection.execute(by_sex.group_by(patients.c.sex).order_by(patients.c.sex)).all()
    )
    older = sa.select(count).select_from(patients).where(patients.c.age >= 40)
    say("bound", connection.execute(older).all())
    few = sa.select(count).select_from(patients).where(patients.c.sex.in_(["male", "other"]))
    say("in", connection.execute(few).all())
    joined = (
        sa.select(patients.c.sex, count)
        .select_from(visits.join(patients, visits.c.patient_id == patients.c.id))
        .where(visits.c.kind == "planned")
        .group_by(patients.c.sex)
        .order_by(patients.c.sex)
    )
    say("join", connection.execute(joined).all())
    say("public", connection.execute(sa.select(cities).order_by(cities.c.name)).all())
    with connection.begin_nested():
        say("nested", connection.execute(sa.text("SELECT count(*) FROM patients")).scalar_one())
    attempt("error", lambda: connection.execute(sa.text("SELECT nope FROM patients")))
    connection.rollback()
    say("after it", connection.execute(sa.text("SELECT count(*) FROM patients")).scalar_one())


def main() -> None:
    made = engine(sys.argv[1])
    inspector = sa.inspect(made)
    assert isinstance(inspector, PGInspector)
    inspected(inspector)
    with made.connect() as connection:
        asked(connection)
    made.dispose()


if __name__ == "__main__":
    main()
