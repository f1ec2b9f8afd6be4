"""Small databases with heavy tails and bad values, and a way to take one person out in a moment.

The clinic of ``tests.fixture`` with three tables more, for what the clinic has none of: a table with
one row a person, a path through it, columns that are never NULL, a boolean of which one value is
declared. The tables live in the schema ``kept``. What statements see, in ``public``, are views that
leave out the rows of the person named by a setting of the session, so a neighbour costs one SET.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import psycopg
from psycopg import sql

from analyzer.catalog import Catalog
from server.policy import parse_policy
from tests import fixture

POLICY = (
    fixture.POLICY
    + """
[tables.profiles]
path = ["patient_id -> patients.id"]
unique = [["id"], ["patient_id"]]

[tables.profiles.columns]
id = { type = "bigint", nullable = false }
patient_id = { type = "integer" }
smoker = { type = "boolean", nullable = false, values = [true] }
grade = { type = "integer", nullable = false, values = [1, 2, 3], lower = 1, upper = 3 }
level = { type = "numeric", nullable = false, lower = 0, upper = 10, tick = 0.01 }
reading = { type = "double precision", nullable = false, lower = -5, upper = 5, tick = 0.5 }
seen = { type = "date", nullable = false }

[tables.notes]
path = ["profile_id -> profiles.id", "patient_id -> patients.id"]

[tables.notes.columns]
id = { type = "bigint", nullable = false }
profile_id = { type = "bigint" }
words = { type = "integer", lower = 0, upper = 1000 }
open = { type = "boolean", nullable = false, values = [false] }

[tables.regions]
protected = false
unique = [["name"]]

[tables.regions.columns]
name = { type = "text", nullable = false }
country = { type = "text", nullable = false }
"""
)

SCHEMA = """
CREATE SCHEMA kept;
CREATE TABLE public.cities (name text PRIMARY KEY, region text NOT NULL);
CREATE TABLE public.regions (name text PRIMARY KEY, country text NOT NULL);
CREATE TABLE kept.patients (
    owner integer, id integer, name text, age integer, sex text NOT NULL, city text, zip text,
    bmi numeric(5,2), weight double precision, points bigint, active boolean NOT NULL, born date
);
CREATE TABLE kept.visits (
    owner integer, id bigint, patient_id integer, cost numeric(12,2), balance numeric,
    diagnosis text, kind text, visited_at timestamp NOT NULL, score double precision
);
CREATE TABLE kept.items (
    owner integer, id bigint, visit_id bigint, label text NOT NULL, quantity integer NOT NULL
);
CREATE TABLE kept.profiles (
    owner integer, id bigint, patient_id integer, smoker boolean NOT NULL, grade integer NOT NULL,
    level numeric NOT NULL, reading double precision NOT NULL, seen date NOT NULL
);
CREATE TABLE kept.notes (
    owner integer, id bigint, profile_id bigint, words integer, open boolean NOT NULL
);
"""
PROTECTED = ("patients", "visits", "items", "profiles", "notes")
PUBLIC = {
    "cities": fixture.CITIES,
    "regions": (("east", "Norway"), ("north", "Norway"), ("west", "Norway"), ("south", "Denmark")),
}

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Small:
    """A small database: the rows of each protected table, each with its owner in front."""

    tables: dict[str, Rows]

    @property
    def people(self) -> list[int]:
        """Everybody whose rows are there, with a row in ``patients`` or without."""
        return sorted({r[0] for rows in self.tables.values() for r in rows if r[0] is not None})


@cache
def catalog() -> Catalog:
    """The extended clinic as its owner declares it."""
    return parse_policy(POLICY)


def wild(seed: int, people: int = 12) -> Small:
    """Heavy tails, rows without owner, keys that are not declared, and values at their limits."""
    return _make(random.Random(seed), people, _Wild)


def tame(seed: int, people: int = 30) -> Small:
    """A few rows a person, all owned, all inside the bounds and on the grid: no bound bites."""
    return _make(random.Random(seed), people, _Tame)


_Chance = random.Random


class _Tame:
    """Values that any owner would expect."""

    @staticmethod
    def count(chance: _Chance, most: int) -> int:
        return chance.randint(0, min(most, 3))

    @staticmethod
    def owner(_: _Chance, person: int) -> int | None:
        return person

    @staticmethod
    def pick(chance: _Chance, plain: Callable[[], Any], _: Sequence[Any]) -> Any:
        return plain()

    @staticmethod
    def maybe(chance: _Chance, value: Any) -> Any:
        return None if chance.random() < 0.15 else value


class _Wild(_Tame):
    """Values that somebody hostile, or a broken import, would leave behind."""

    @staticmethod
    def count(chance: _Chance, most: int) -> int:
        return min(most, chance.choice((0, 1, 1, 2, 3, 8, 25, 60)))

    @staticmethod
    def owner(chance: _Chance, person: int) -> int | None:
        return None if chance.random() < 0.05 else person

    @staticmethod
    def pick(chance: _Chance, plain: Callable[[], Any], odd: Sequence[Any]) -> Any:
        return chance.choice(odd) if chance.random() < 0.2 else plain()


_ODD_FLOATS = ("NaN", "Infinity", "-Infinity", "-0", "1e308", "-1e308", "5e-324", "1e16", "-1e16")
_ODD_NUMERICS = ("NaN", "Infinity", "-Infinity", "1e-1000", "-1e400", f"1{'0' * 4000}", "0.005")
_ODD_TEXTS = ("", "ends in \\", "x" * 5_000, "%_\\%", "\u00e5\u0301 \U0001f600", "Alicetown")
_ODD_DATES = ("infinity", "-infinity", "4714-11-24 BC", "5874897-12-31")
_ODD_TIMES = ("infinity", "-infinity", "294276-12-31", "4714-11-24 BC")
_ODD_INTS = (-(2**31), 2**31 - 1, 0, -1, 121)


def _make(chance: _Chance, people: int, style: type[_Tame]) -> Small:
    tables: dict[str, Rows] = {name: [] for name in PROTECTED}
    for person in range(1, people + 1):
        if style is _Tame or chance.random() < 0.9:  # some own rows and have none of their own
            tables["patients"].append((person, person, *_patient(chance, style)))
        profile = None
        if chance.random() < 0.8:
            profile = 500 + person
            tables["profiles"].append((person, profile, person, *_profile(chance, style)))
        for _ in range(style.count(chance, 8) if profile else 0):
            words = style.pick(chance, lambda: chance.randint(0, 900), _ODD_INTS)
            is_open = style is not _Tame and chance.random() < 0.4
            note = (person, len(tables["notes"]), profile, style.maybe(chance, words), is_open)
            tables["notes"].append(note)
        for _ in range(style.count(chance, 120)):
            owner = style.owner(chance, person)
            visit = 1_000 + len(tables["visits"])
            tables["visits"].append((owner, visit, owner, *_visit(chance, style)))
            for _ in range(style.count(chance, 4)):
                quantity = style.pick(chance, lambda: chance.randint(1, 10), _ODD_INTS)
                label = style.pick(chance, lambda: f"item {chance.randint(1, 4)}", _ODD_TEXTS)
                row = (owner, len(tables["items"]), visit, label, quantity)
                tables["items"].append(row)
    return Small(tables)


def _patient(chance: _Chance, style: type[_Tame]) -> tuple[Any, ...]:
    pick, maybe = style.pick, style.maybe
    cities = [name for name, _ in fixture.CITIES[:4]]
    return (
        maybe(chance, pick(chance, lambda: f"person {chance.randint(1, 5)}", _ODD_TEXTS)),
        maybe(chance, pick(chance, lambda: chance.randint(0, 99), _ODD_INTS)),
        pick(chance, lambda: chance.choice(("female", "male")), ("unlisted", "")),
        maybe(chance, pick(chance, lambda: chance.choice(cities), _ODD_TEXTS)),
        pick(chance, lambda: f"{chance.randint(0, 6):04}", _ODD_TEXTS),
        maybe(
            chance,
            pick(
                chance,
                lambda: Decimal(chance.randint(1500, 4500)) / 100,
                ("NaN", "-999.99", "999.99"),
            ),
        ),
        maybe(chance, pick(chance, lambda: chance.randint(40, 140) * 1.0, _ODD_FLOATS)),
        maybe(chance, pick(chance, lambda: chance.randint(-500, 500), (-(2**63), 2**63 - 1))),
        chance.random() < 0.5,
        maybe(chance, pick(chance, lambda: _day(chance), _ODD_DATES)),
    )


def _visit(chance: _Chance, style: type[_Tame]) -> tuple[Any, ...]:
    pick, maybe = style.pick, style.maybe
    return (
        maybe(
            chance,
            pick(
                chance,
                lambda: Decimal(chance.randint(0, 1_000_000)) / 100,
                ("NaN", "-9999999999.99", "9999999999.99"),
            ),
        ),
        maybe(
            chance,
            pick(chance, lambda: Decimal(chance.randint(-50_000, 50_000)) / 100, _ODD_NUMERICS),
        ),
        maybe(chance, pick(chance, lambda: chance.choice(fixture.DIAGNOSES), _ODD_TEXTS)),
        maybe(chance, pick(chance, lambda: chance.choice(fixture.KINDS), ("unlisted", ""))),
        pick(
            chance,
            lambda: datetime(2020, 1, 1) + timedelta(days=chance.randint(0, 5)),
            _ODD_TIMES,
        ),
        maybe(chance, pick(chance, lambda: chance.randint(-4, 4) / 4, _ODD_FLOATS)),
    )


def _profile(chance: _Chance, style: type[_Tame]) -> tuple[Any, ...]:
    pick = style.pick
    return (
        style is _Tame or chance.random() < 0.7,
        pick(chance, lambda: chance.randint(1, 3), _ODD_INTS),
        pick(chance, lambda: Decimal(chance.randint(0, 1000)) / 100, _ODD_NUMERICS),
        pick(chance, lambda: chance.randint(-10, 10) / 2, _ODD_FLOATS),
        pick(chance, lambda: _day(chance), _ODD_DATES),
    )


def _day(chance: _Chance) -> date:
    return date(1990, 1, 1) + timedelta(days=chance.randint(0, 4))


GHOSTS: dict[str, Rows] = {
    "visits": [
        (None, 9_000_000 + i, None, 5000, 100, "flu", "planned", "2020-01-02", 0.5)
        for i in range(1_000)
    ],
    "items": [
        (None, 9_000_000 + i, 9_000_000 + i if i % 2 else None, "item 1", 5) for i in range(1_000)
    ],
    "notes": [(None, 9_000_000 + i, None, 500, False) for i in range(1_000)],
}
"""Rows without an owner, which must not matter."""


def build(uri: str, data: Small, *, public: bool = True) -> None:
    """Makes the tables and views in an empty database and fills them.

    Args:
        uri: of the database, as its superuser.
        data: rows of the protected tables.
        public: False leaves the public tables empty too.
    """
    with psycopg.connect(uri) as connection:
        connection.execute(SCHEMA)
        for table, rows in PUBLIC.items() if public else ():
            _copy(connection, sql.Identifier("public", table), list(rows))
        for table in PROTECTED:
            place = sql.Identifier("kept", table)
            connection.execute(
                sql.SQL("ALTER TABLE {} ADD ghost boolean NOT NULL DEFAULT false").format(place)
            )
            _copy(connection, place, [(*row, False) for row in data.tables[table]])
            _copy(connection, place, [(*row, True) for row in GHOSTS.get(table, [])])
            connection.execute(_view(connection, table))
        connection.commit()
        connection.autocommit = True
        connection.execute("ANALYZE")


def _view(connection: psycopg.Connection, table: str) -> sql.Composed:
    cursor = connection.execute(
        sql.SQL("SELECT * FROM {} LIMIT 0").format(sql.Identifier("kept", table))
    )
    names = [column.name for column in cursor.description or ()]
    return sql.SQL(
        "CREATE VIEW {} AS SELECT {} FROM {} WHERE"
        " owner IS DISTINCT FROM coalesce(NULLIF(current_setting('test.without', true), ''), '-1')::int"
        " AND (NOT ghost OR current_setting('test.ghosts', true) = 'on')"
        " AND (owner IS NOT NULL OR current_setting('test.owned', true) IS DISTINCT FROM 'on')"
        " AND current_setting('test.nobody', true) IS DISTINCT FROM 'on'"
    ).format(
        sql.Identifier("public", table),
        sql.SQL(", ").join(sql.Identifier(n) for n in names if n not in ("owner", "ghost")),
        sql.Identifier("kept", table),
    )


def _copy(connection: psycopg.Connection, place: sql.Identifier, rows: Rows) -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy(sql.SQL("COPY {} FROM STDIN").format(place)) as copy,
    ):
        for row in rows:
            copy.write_row([None if v is None else str(v) for v in row])
