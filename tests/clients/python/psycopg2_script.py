"""psycopg2: simple protocol only, client-side parameters, named cursors, copy."""

from __future__ import annotations

import io

import psycopg2
import psycopg2.extras
from canonical import BY_SEX, CITIES, JOINED, PATIENTS, attempt, say


def main() -> None:
    connection = psycopg2.connect("")
    with connection.cursor() as cursor:
        for text in (PATIENTS, BY_SEX, JOINED, CITIES):
            cursor.execute(text)
            say(
                text, (cursor.description, cursor.fetchall(), cursor.statusmessage, cursor.rowcount)
            )
        cursor.execute("SELECT count(*) FROM patients WHERE age >= %s AND sex = %s", (40, "male"))
        say("parameters", cursor.fetchall())
        cursor.execute("SELECT count(*) FROM patients WHERE sex IN %s", (("male", "female"),))
        say("a tuple", cursor.fetchall())
        output = io.StringIO()
        cursor.copy_expert(f"COPY ({BY_SEX}) TO STDOUT WITH CSV HEADER", output)
        say("copy", output.getvalue())
    with connection.cursor("named") as cursor:
        cursor.itersize = 1
        cursor.execute(BY_SEX)
        say("named cursor", list(cursor))
    with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
        cursor.execute(BY_SEX)
        say("dictionaries", [dict(row) for row in cursor.fetchall()])
    with connection.cursor() as cursor:
        attempt("unknown column", lambda: cursor.execute("SELECT nope FROM patients"))
        attempt("failed transaction", lambda: cursor.execute(PATIENTS))
        connection.rollback()
        cursor.execute(PATIENTS)
        say("after rollback", cursor.fetchall())
    say("parameters of the session", connection.get_parameter_status("server_version"))
    connection.close()


if __name__ == "__main__":
    main()
