"""What we print means what PostgreSQL reads in the analyst's own text, on values that tell.

The text runs as it is on one side; on the other it goes through both parsers' gate, the binder and the
printer. Half of the parentheses are left away, so precedence is put to the test too.
"""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal

import psycopg
import pytest
from sqlglot import exp

from analyzer.bind_expressions import ExpressionBinder
from analyzer.expressions import Call, Expr, walk
from analyzer.functions.base import coerce
from analyzer.parse import parse
from analyzer.refusals import Refusal
from analyzer.scope import Entry, Scope
from analyzer.types import Type
from tests.analyzer.expressions import Maker, refs, table_columns, text
from tests.analyzer.live import TYPES, Outcome, connect, make_table, run, tame_rows

CONSTANTS = {
    "number": [1, 2, 3, 7, Decimal("0.5"), Decimal("2.25"), None],
    "text": ["", "a", "o'x", None],
    "bool": [True, False, None],
    "date": ["2020-02-29"],
    "timestamp": ["2020-02-29 12:34:56.5"],
    "zoned": ["2020-02-29 12:00:00+00:00"],
    "uuid": ["00000000-0000-0000-0000-000000000000"],
}
_STEPS = {"ceil", "floor", "round", "trunc", "cast", "/", "%", "sign", "case", "nullif"}
"""Where two roundings that are next to nothing apart can end far from each other."""


def _build(uri: str) -> None:
    with connect(uri) as connection:
        make_table(connection, tame_rows(60))


@pytest.fixture(scope="module")
def tame(postgres):
    with connect(postgres.template("tame", _build)) as connection:
        yield connection


def _bound(written: str, binder: ExpressionBinder) -> Expr | None:
    """Our reading of an expression's text, or None where it is refused."""
    try:
        item = parse(f"SELECT {written} AS x FROM edge").expressions[0]
        assert isinstance(item, exp.Alias)
        return coerce(binder.bind(item.this), Type.TEXT)
    except Refusal:
        return None


def _plainly(connection: psycopg.Connection, written: str) -> Outcome | None:
    """PostgreSQL's own reading, or None where it fails: ours then has a value, by rule."""
    try:
        cursor = connection.execute(f"SELECT {written} FROM edge AS t0 ORDER BY ctid".encode())
    except psycopg.Error:
        return None
    assert cursor.description is not None
    values = tuple(row[0] for row in cursor.fetchall())
    return Outcome(TYPES[cursor.description[0].type_code], values)


def _shaky(expression: Expr) -> bool:
    """Whether double precision meets a step: then 1e-16 can become any difference."""
    nodes = walk(expression)
    if all(node.type is not Type.FLOAT8 for node in nodes):
        return False
    return any(isinstance(n, Call) and (n.function in _STEPS or n.type is Type.BOOL) for n in nodes)


def _same(mine: str | None, theirs: str | None, kind: Type) -> bool:
    if mine == theirs or mine is None or theirs is None or not kind.is_number:
        return mine == theirs
    a, b = Decimal(mine), Decimal(theirs)
    return abs(a - b) <= Decimal("1e-9") * max(1, abs(b))


@pytest.mark.parametrize("seed, count", [(5, 500), pytest.param(6, 10_000, marks=pytest.mark.slow)])
def test_printed_sql_means_what_the_text_means(tame, seed, count):
    chance = random.Random(seed)
    maker = Maker(chance, constants=CONSTANTS)
    fields = tuple(refs(table_columns()).items())
    binder = ExpressionBinder(Scope((Entry("edge", fields),)), (), "a test")
    seen: Counter[str] = Counter()
    for _ in range(count):
        node = maker.some(3)
        written = text(node, chance)
        bound = _bound(written, binder)
        if bound is None:
            seen["refused"] += 1
            continue
        theirs = _plainly(tame, written)
        if theirs is None:
            seen["PostgreSQL fails"] += 1
            continue
        assert bound.type is theirs.stored, f"{written}: {bound.type} but {theirs.stored}"
        if _shaky(bound):
            seen["shaky"] += 1
            continue
        (ours,) = run(tame, [bound])
        assert isinstance(ours, Outcome), f"{written}: {ours}"
        for mine, plain in zip(ours.values, theirs.values, strict=True):
            assert _same(mine, plain, bound.type), f"{written}: {mine} but {plain}"
        seen["same"] += 1
    assert seen["same"] > count / 3, f"too little was compared: {seen}"
