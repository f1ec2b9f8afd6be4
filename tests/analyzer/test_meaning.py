"""What we print means what PostgreSQL reads in the analyst's own text, on values that tell.

The text runs as it is on one side; on the other it goes through both parsers' gate, the binder and the
printer. Half of the parentheses are left away, so precedence is put to the test too.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import replace
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
    "number": [1, 2, 3, 7, Decimal("0.5"), Decimal("2.25")],
    "text": ["", "a", "o'x", None],
    "bool": [True, False, None],
    "date": ["2020-02-29"],
    "timestamp": ["2020-02-29 12:34:56.5"],
    "zoned": ["2020-02-29 12:00:00+00:00"],
    "uuid": ["00000000-0000-0000-0000-000000000000"],
}
_STEPS = {
    "ceil",
    "floor",
    "round",
    "trunc",
    "cast",
    "/",
    "%",
    "sign",
    "case",
    "nullif",
    "width_bucket",
}
"""Where two roundings that are next to nothing apart can end far from each other."""
_FAR = re.compile("1000 years|365000 days|31536000000 seconds")
"""Two such steps leave the years 1 to 9999, where dates end here and not for PostgreSQL. Arguments of
exp end at 50, so the texts with it are left out."""


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
    kind, values = TYPES[cursor.description[0].type_code], [row[0] for row in cursor.fetchall()]
    if kind is Type.INTERVAL:  # which we carry in seconds
        seconds = _plainly(connection, f"EXTRACT(epoch FROM {written})")
        return seconds and replace(seconds, stored=kind)
    return Outcome(kind, tuple(values))


def _shaky(expression: Expr) -> bool:
    """Whether double precision meets a step: then 1e-16 can become any difference."""
    nodes = walk(expression)
    if all(node.type is not Type.FLOAT8 for node in nodes):
        return False
    return any(isinstance(n, Call) and (n.function in _STEPS or n.type is Type.BOOL) for n in nodes)


def _in_no_zone(expression: Expr) -> bool:
    """date_trunc of a date is in the session's time zone for PostgreSQL, and in none here."""
    return any(
        isinstance(node, Call) and node.function == "date_trunc" and node.args[0].type is Type.DATE
        for node in walk(expression)
    )


def _same(mine: str | None, theirs: str | None, kind: Type) -> bool:
    if mine == theirs or mine is None or theirs is None or not kind.is_number:
        return mine == theirs
    a, b = Decimal(mine), Decimal(theirs)
    return abs(a - b) <= Decimal("1e-9") * max(Decimal(1), abs(b))


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
        if bound is None or len(_FAR.findall(written)) > 1 or "exp(" in written:
            seen["refused"] += 1
            continue
        theirs = _plainly(tame, written)
        if theirs is None:
            seen["PostgreSQL fails"] += 1
            continue
        if _in_no_zone(bound):
            seen["of a date"] += 1
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
    assert seen["same"] > count / 4, f"too little was compared: {seen}"


FORMS = """
i BETWEEN -2 AND 5 AND b
i NOT BETWEEN 0 AND l
NOT i BETWEEN 0 AND 5
i IN (1, 2, NULL)
i NOT IN (1, 2, 3)
t IN ('a', 'abc')
t NOT LIKE 'a%'
t NOT ILIKE '%B%'
t LIKE '%\\%'
CASE i WHEN 1 THEN 'one' WHEN NULL THEN 'never' ELSE t END
CASE WHEN b THEN 1 END
b IS NOT TRUE
b IS NOT FALSE
b IS FALSE OR b1
NOT b AND b1
NOT b = b1
NOT b IS NULL
i IS NULL = b
- i % 3
-i + l1 * 2 - 1
i - l - 1
i / 2 / 2
i1 / 2 * 2
7 - i1 % 4
- n / n1
n * -1
1 - -1
2 - + 1
t || t1 || 'x' = t1
i::bigint + 1
n::integer
m::integer * 2
i::text || 'x'
b::integer + 1
trim(t1)
trim(both from t1)
trim(leading from t1)
ltrim(t1)
left(t1, 2) || right(t1, 1)
length(t1) > 2
round(n, 1)
round(i1)
trunc(m, -1)
round(n, - 1)
-2147483648
- 9223372036854775807
ceiling(n1)
coalesce(i, l, 0)
greatest(i, l, n)
nullif(i, 1.5) / 2
nullif(i, l) / 2
d = s
d < s1
s::date = d
d >= '2020-02-29'
s BETWEEN '2020-01-01' AND '2020-12-31 23:59:59'
z > '2020-06-01 00:00:00+02'
date '2020-02-29' = d
u = '00000000-0000-0000-0000-000000000000'
true
i > 3 IS TRUE
sign(i)
abs(-i)
i::boolean
cast(i1 as double precision) / 7
i1 = '7'
n > '1.5'
'a' < t
5 % n1
l1 % 7
""".strip().splitlines()


@pytest.mark.parametrize("written", FORMS)
def test_each_form_means_what_the_text_means(tame, written):
    fields = tuple(refs(table_columns()).items())
    bound = _bound(written, ExpressionBinder(Scope((Entry("edge", fields),)), (), "a test"))
    theirs = _plainly(tame, written)
    if bound is None or theirs is None:
        pytest.fail(f"refused here: {bound is None}, fails in PostgreSQL: {theirs is None}")
    assert bound.type is theirs.stored
    (ours,) = run(tame, [bound])
    assert isinstance(ours, Outcome), ours
    for mine, plain in zip(ours.values, theirs.values, strict=True):
        assert _same(mine, plain, bound.type), f"{mine} but {plain}"
