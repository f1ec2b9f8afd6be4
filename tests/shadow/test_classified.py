"""Where the classifier sends a statement, held against the shadow itself.

What is said to be the shadow's runs there and trips nothing. What is said to be the gateway's would
trip there, so nothing that the shadow could answer is taken from it.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from analyzer.classify import Kind, classify
from server.shadow import TRIPWIRE

TOOLS = (Path(__file__).parent / "tools.sql").read_text()
META = r"""
\d \d+ \dt+ \dt+_*.* \dv+ \di+ \d_patients \d+_patients \d+_visits \d+_yearly \da \dc \dC \dd \dD
\ddp \dE \des+ \det+ \deu+ \dew+ \df \dfS_set_config \dF+ \dFd+ \dFp+ \dFt+ \dg+ \dL+ \dm \dn+ \dO
\do_= \dp \drds \dRp \ds \dT+ \du+ \dx+ \dX \dy \l \sf_set_config \sv_yearly \z
"""


def statements() -> Iterator[str]:
    lines = [line for line in TOOLS.splitlines() if not line.startswith("--")]
    return (text.strip() for text in re.split(r";\n", "\n".join(lines)) if text.strip())


def test_what_tools_ask_is_the_shadows_and_runs(room):
    names = room.shadow.names("clinic")
    ada = room.login()
    for sql in statements():
        for piece in classify(sql, names, ("public",)):
            assert piece.kind in (Kind.SHADOW, Kind.NOTHING), sql
            run(ada, sql[piece.span.start : piece.span.end])


def test_what_psql_asks_is_the_shadows_and_runs(room):
    if shutil.which("psql") is None:
        pytest.skip("psql is not installed")
    room.login()
    names = room.shadow.names("clinic")
    commands = [word for command in META.split() for word in ("-c", command.replace("_", " ", 1))]
    done = subprocess.run(
        ["psql", "-X", "-E", "-h", room.shadow.socket.parent, "-U", "ada", "clinic", *commands],
        capture_output=True,
        text=True,
        check=False,
    )
    # An older psql than the server may ask for what is no longer there, never for a right.
    assert "permission" not in done.stderr
    queries = re.findall(r"\*+ QUERY \*+\n(.*?)\n\*{20,}", done.stdout, re.DOTALL)
    assert len(queries) > 50
    for sql in queries:
        kinds = {piece.kind for piece in classify(sql, names, ("public",))}
        assert kinds == {Kind.SHADOW}, sql


class Talk:
    """Random queries, in which every name stands in every place that has one."""

    NAMES = (
        "patients", "public.patients", '"patients"', "visits", "items", "yearly", "Patients",
        "cities", "public.cities", '"cities"', "pg_catalog.pg_class", "epsql.columns", "pg_roles",
    )  # fmt: skip
    GIVEN = ("patients", "cities", "x", '"visits"')

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def query(self, depth: int = 3) -> str:
        pick = self.chance.randrange(8) if depth else 0
        if pick == 1:
            return f"{self.query(0)} UNION ALL {self.query(0)}"
        if pick == 2:
            first, second = self.chance.sample(self.GIVEN, 2)
            word = self.chance.choice(("", "RECURSIVE "))
            return (
                f"WITH {word}{first} AS ({self.query(depth - 1)}),"
                f" {second} AS ({self.query(depth - 1)}) {self.query(depth - 1)}"
            )
        where = ""
        if depth and self.chance.random() < 0.4:
            where = f" WHERE EXISTS ({self.query(depth - 1)})"
        return f"SELECT {self.value(depth)} AS a FROM {self.relation(depth)}{where}"

    def relation(self, depth: int) -> str:
        pick = self.chance.randrange(5) if depth else 0
        alias = f"r{self.chance.randrange(10**6)}"
        if pick == 1:
            return f"({self.query(depth - 1)}) {alias}"
        if pick == 2:
            return f"{self.relation(0)} CROSS JOIN {self.relation(0)}"
        if pick == 3:
            return f"generate_series(1, (SELECT count(*) FROM ({self.query(depth - 1)}) q)) {alias}"
        return f"{self.chance.choice((*self.NAMES, *self.GIVEN))} {alias}"

    def value(self, depth: int) -> str:
        pick = self.chance.randrange(5) if depth else 0
        if pick == 1:
            return f"(SELECT count(*) FROM ({self.query(depth - 1)}) q)"
        if pick == 2:
            return f"CASE WHEN EXISTS ({self.query(depth - 1)}) THEN 1 ELSE 2 END"
        return "1"


@pytest.mark.parametrize("seed", range(8))
def test_random_queries_go_where_they_trip_nothing(room, seed):
    names = room.shadow.names("clinic")
    ada = room.login()
    talk = Talk(seed)
    went = set()
    for _ in range(100):
        sql = talk.query()
        (piece,) = classify(sql, names, ("public",))
        went.add(piece.kind)
        tripped = trips(ada, sql)
        if piece.kind is Kind.SHADOW:
            assert not tripped, sql
        else:
            # With an error in its names it is nobody's; and what is pruned at planning time reads
            # nothing. So only one direction holds without exception.
            assert piece.kind is Kind.PROTECTED
    assert went == {Kind.SHADOW, Kind.PROTECTED}


def test_what_the_gateway_gets_would_mostly_trip(room):
    """The classifier calls little protected that the shadow could answer: a WITH that is not used,
    and what else Postgres finds out that it need not read."""
    names = room.shadow.names("clinic")
    ada = room.login()
    talk = Talk(99)
    protected: list[bool | None] = []
    while len(protected) < 100:
        sql = talk.query(1)
        (piece,) = classify(sql, names, ("public",))
        if piece.kind is Kind.PROTECTED and trips(ada, sql) is not None:
            protected.append(trips(ada, sql))
    assert sum(map(bool, protected)) >= 85


def trips(connection: psycopg.Connection, sql: str) -> bool | None:
    """Whether a protected relation is read; None where the query is wrong for another reason."""
    try:
        connection.execute(sql)
    except psycopg.errors.InsufficientPrivilege as error:
        return TRIPWIRE in str(error)
    except psycopg.Error:
        return None
    return False


def run(connection: psycopg.Connection, sql: str) -> None:
    if sql.startswith("COPY"):
        with connection.cursor().copy(sql) as copy:
            list(copy)
    else:
        connection.execute(sql)
