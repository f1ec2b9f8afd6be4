"""Two parsers agree or the query is refused: probes, planted misreadings, chance, and extremes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pgparse
import postgast.native
import pytest
import sqlglot
from sqlglot import exp

from analyzer import agreement_postgres, agreement_sqlglot
from analyzer.agreement import check_agreement, read_statement
from analyzer.lexical import TextLimits, check_text
from analyzer.parse import parse, parse_as
from analyzer.refusals import Refusal, SyntaxRefused, TooComplex, UnknownFunction
from analyzer.syntax import Tree
from tests.analyzer.agreement_grammar import Texts
from tests.analyzer.agreement_probes import DIFFERENT, EXPRESSIONS, REFUSED, STATEMENTS
from tests.analyzer.golden import FIXTURES, read

ROOT = Path(__file__).parents[2]
ACCEPTED = [*(f"SELECT {text} FROM t" for text in EXPRESSIONS), *STATEMENTS]


def _tree(sql: str) -> exp.Select:
    tree = sqlglot.parse_one(sql + "\n", dialect="postgres")
    while isinstance(tree, exp.Subquery):
        tree = tree.this
    assert isinstance(tree, exp.Select)
    return tree


def _statement_of_18(sql: str) -> dict[str, Any]:
    """libpg_query's tree again, by the grammar of PostgreSQL 18."""
    result = postgast.native.lib.pg_query_parse(sql.encode())
    try:
        assert not result.error, result.error.contents.message
        text = re.sub(rb'"(rexpr_)?list_(start|end)":\d+,?', b"", result.parse_tree)
        statement: dict[str, Any] = json.loads(text.replace(b",}", b"}"))["stmts"][0]["stmt"]
        return statement
    finally:
        postgast.native.lib.pg_query_free_parse_result(result)


@pytest.mark.parametrize("sql", ACCEPTED)
def test_the_core_is_accepted(sql):
    assert parse(sql) == _tree(sql)


def test_the_grammars_of_17_and_18_read_the_core_alike():
    for sql in ACCEPTED:
        of_18 = agreement_postgres.form_of(_statement_of_18(sql))
        assert agreement_postgres.form_of(read_statement(sql)) == of_18, sql


@pytest.mark.parametrize("line", REFUSED)
def test_the_rest_is_refused_where_it_differs(line):
    marked, code, words = (part.strip() for part in f"{line} ".rsplit(" | ", 2))
    with pytest.raises(Refusal) as refused:
        parse(marked.replace("¦", ""))
    assert refused.value.code == code
    assert refused.value.position == (marked.index("¦") + 1 if "¦" in marked else None)
    assert words in f"{refused.value.message} {refused.value.detail} {refused.value.hint}"


@pytest.mark.parametrize("line", DIFFERENT)
def test_what_means_something_else_has_another_form(line):
    texts = [f"SELECT {text} FROM t" for text in line.split(" ≠ ")]
    ours = [agreement_sqlglot.form_of(_tree(sql)) for sql in texts]
    theirs = [agreement_postgres.form_of(read_statement(sql)) for sql in texts]
    assert ours == theirs
    assert ours[0] != ours[1]


def _questions() -> Iterator[str]:
    for path in sorted(FIXTURES.glob("*.txt")):
        for case in read(path):
            if not path.stem.startswith("refusals"):
                yield case.sql
    text = (ROOT / "docs/sql.md").read_text()
    yield from re.findall(r"```sql[^\n]*\n(.*?)```", text, re.DOTALL)


def test_every_question_of_the_tests_and_the_docs_is_accepted():
    questions = list(_questions())
    assert len(questions) > 60
    for sql in questions:
        parse(sql)


# Planted misreadings: whatever is changed in one of the trees is noticed.

_SAYS_NOTHING = {
    (exp.Identifier, "quoted"),  # where the name is lower case
    (exp.Div, "typed"), (exp.Div, "safe"), (exp.DPipe, "safe"), (exp.Count, "big_int"),
    (exp.Concat, "coalesce"), (exp.ConcatWs, "coalesce"), (exp.Greatest, "ignore_nulls"), (exp.Least, "ignore_nulls"),
    (exp.Interval, "fraction_in_string"), (exp.Fetch, "direction"), (exp.LimitOptions, "rows"),
    (exp.Fetch, "limit_options"), (exp.Join, "kind"),
}  # fmt: skip
"""Arguments of sqlglot's nodes that repeat what others say."""


def _altered(value: object) -> Iterator[object]:
    """Other values for an argument: what a misreading could have put there."""
    match value:
        case bool():
            yield not value
        case str():
            yield value + "x"
        case [_, *_]:
            yield value[:-1]
            if value[0] != value[-1]:
                yield value[::-1]
        case exp.Expression():
            yield None
            yield exp.column("planted")
        case exp.DType.BIGINT:
            yield exp.DType.TEXT
        case exp.DType():
            yield exp.DType.BIGINT


def _misreadings(tree: exp.Select) -> Iterator[tuple[str, exp.Select]]:
    for place, node in enumerate(tree.walk()):
        for name, value in list(node.args.items()):
            if (type(node), name) in _SAYS_NOTHING:
                continue
            for other in _altered(value):
                planted = tree.copy()
                target = next(n for i, n in enumerate(planted.walk()) if i == place)
                if isinstance(other, list):
                    other = [n.copy() if isinstance(n, exp.Expression) else n for n in other]
                target.args[name] = other
                yield f"{type(node).__name__}.{name} = {other!r}", planted


def _notices(sql: str, statement: dict[str, Any], tree: exp.Select) -> bool:
    try:
        check_agreement(sql, statement, tree)
    except (Refusal, AttributeError, KeyError, TypeError, IndexError, ValueError):
        return True  # the last five: a tree that no parser makes
    return False


def test_a_misreading_of_sqlglot_is_noticed():
    missed, planted = [], 0
    for sql in ACCEPTED:
        statement, tree = read_statement(sql), _tree(sql)
        for what, wrong in _misreadings(tree):
            planted += 1
            if not _notices(sql, statement, wrong):
                missed.append(f"{sql}: {what}")
    assert planted > 3_000
    assert [m for m in missed if not _harmless(m)] == []


def _harmless(missed: str) -> bool:
    """Changes that leave the meaning as it is."""
    return "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW" in missed  # the default


_REPEATS = frozenset({"location", "relpersistence", "typemod", "limitOption"})
"""Fields of libpg_query's nodes that say nothing, or repeat what others say."""
_LEAVES = frozenset({"String", "List", "A_Star"})


def _changed(value: Any, kind: str = "") -> Iterator[tuple[str, Any]]:
    """Copies of a tree, in each of which one thing is different."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in _REPEATS:
                continue
            if inner:  # an empty text is as good as none
                yield f"without {key}", {k: v for k, v in value.items() if k != key}
            for what, other in _changed(inner, key):
                yield f"{key}: {what}", {**value, key: other}
        if kind[:1].isupper() and kind not in _LEAVES:
            yield "with more", {**value, "planted": True}
    elif isinstance(value, list):
        yield "shorter", value[:-1]
        for i, inner in enumerate(value):
            for what, other in _changed(inner):
                yield f"{i}: {what}", [*value[:i], other, *value[i + 1 :]]
    elif isinstance(value, bool):
        yield "not", not value
    elif isinstance(value, int):
        yield "plus", value + 2
    elif value:
        yield "x", f"{value}x"


def test_a_change_of_postgres_tree_is_noticed():
    missed = []
    for sql in ACCEPTED:
        statement, tree = read_statement(sql), _tree(sql)
        for what, other in _changed(deepcopy(statement)):
            if not _notices(sql, other, tree):
                missed.append(f"{sql}: {what}")
    assert missed == []


# Chance.


@pytest.mark.parametrize("count", [600, pytest.param(12_000, marks=pytest.mark.slow)])
def test_random_texts_are_not_refused(count):
    for seed in range(count):
        texts = Texts(seed)
        sql = texts.statement() if seed % 3 == 0 else f"SELECT {texts.any(3)} FROM t"
        try:
            parse(sql)
        except TooComplex:
            assert len(sql) > 2_000, sql
        except Refusal as refusal:
            pytest.fail(f"{sql}\n{refusal.message} {refusal.detail} {refusal.position}")


@pytest.mark.parametrize("count", [600, pytest.param(12_000, marks=pytest.mark.slow)])
def test_texts_that_mix_everything_are_accepted_or_refused(count):
    accepted = 0
    for seed in range(count):
        texts = Texts(seed, wild=True)
        sql = texts.statement() if seed % 3 == 0 else f"SELECT {texts.any(3)} FROM t"
        try:
            parse(sql)
            accepted += 1
        except Refusal:
            continue
    assert accepted > count // 2


def _height(value: object) -> int:
    """Levels of nodes in libpg_query's tree."""
    if isinstance(value, list):
        return max(map(_height, value), default=0)
    if not isinstance(value, dict):
        return 0
    node = any(kind[0].isupper() and kind not in ("List", "ResTarget", "String") for kind in value)
    return node + max(map(_height, value.values()), default=0)


def test_the_height_that_is_counted_bounds_the_tree():
    tall = 0
    for seed in range(300):
        sql = f"SELECT {Texts(seed).any(5)} FROM t"
        # A token makes at most two levels, as NOT IN does.
        least = (_height(pgparse.parse(sql)[0]["stmt"]) - 8) // 2
        if least > 1:
            tall += 1
            with pytest.raises(TooComplex):
                check_text(sql, TextLimits(tokens=10**5, characters=10**6, height=least - 1))
    assert tall > 30


# Words.


def test_the_binder_speaks_first_of_what_is_unknown():
    def bind(tree: Tree) -> int:
        if tree.find(exp.Anonymous):
            raise UnknownFunction("The binder knows better.")
        return 7

    assert parse_as("SELECT a FROM t", bind) == 7
    with pytest.raises(UnknownFunction, match="knows better"):
        parse_as("SELECT foo(a) FROM t", bind)
    with pytest.raises(UnknownFunction, match="nvl"):
        parse_as("SELECT nvl(a, b) FROM t", bind)  # and if it does not, we do
    with pytest.raises(SyntaxRefused, match="JOIN"):
        parse_as("SELECT a FROM t semi JOIN u ON true", bind)  # a misreading is told as one


def test_a_lone_surrogate_is_no_text():
    with pytest.raises(SyntaxRefused) as refused:
        parse("SELECT '\ud800' FROM t")
    assert refused.value.position == 9


# Extremes, in a process of their own: a crash of a parser is not an exception.

_MANY = {
    "NOT": "SELECT {} a FROM t", "- ": "SELECT {}a FROM t", "(": "SELECT {}a FROM t",
    "-(": "SELECT {}a FROM t", "CASE WHEN ": "SELECT {}a FROM t", "1+": "SELECT {}1 FROM t",
    "a AND ": "SELECT {}a FROM t", "a OR NOT ": "SELECT {}a FROM t", "a||": "SELECT {}a FROM t",
    "::int": "SELECT a{} FROM t", " IS NULL": "SELECT a{} FROM t", " ISNULL": "SELECT a{} FROM t",
    ",1": "SELECT a IN (1{}) FROM t", ",a": "SELECT a{} FROM t", ".a": "SELECT a{} FROM t",
    " UNION SELECT 1": "SELECT 1{}", " JOIN t ON a": "SELECT a FROM t{}", ",t": "SELECT a FROM t{}",
    "(SELECT ": "SELECT {}1 FROM t", "abs(": "SELECT {}a FROM t", "a IN (": "SELECT {}a FROM t",
    ' COLLATE "C"': "SELECT a{} FROM t", " AT TIME ZONE a": "SELECT a{} FROM t",
    "WITH x AS (": "{}SELECT 1", "x AS (SELECT 1), ": "WITH {} y AS (SELECT 1) SELECT 1 FROM t",
    "EXISTS (SELECT ": "SELECT {}1 FROM t", "a BETWEEN ": "SELECT {}a FROM t", "$1 ": "SELECT {}",
    "a = ": "SELECT {}a FROM t", "(a, ": "SELECT {}a FROM t", "-- x\n": "{}SELECT 1 FROM t",
    "FROM (SELECT 1 ": "SELECT 1 {}FROM t", "COUNT(*) OVER (ORDER BY ": "SELECT {}1 FROM t",
}  # fmt: skip


def _extremes() -> list[str]:
    """Texts of one thing over and over, up to the limits of characters and of tokens and beyond."""
    texts = []
    for one, frame in _MANY.items():
        for times in (30, 150, 190, 250, 600, 990, 1_990, 16_000 // len(one)):
            closing = ")" * (times * one.count("(")) + " END" * (times * one.count("CASE"))
            texts += [frame.format(one * times), frame.format(one * times) + closing]
            texts += [frame.format(one * times).replace(" FROM t", closing + " FROM t")]
    return texts


_CHILD = """
import json, sys, threading
from analyzer.lexical import TextLimits, check_text
from analyzer.parse import parse
from analyzer.refusals import Refusal, TooComplex
import pgparse

def run():
    accepted = refused = 0
    for sql in json.load(sys.stdin):
        try:
            parse(sql)
            accepted += 1
        except Refusal:
            refused += 1
        try:  # libpg_query alone, without the limit on height: a margin of ten times
            check_text(sql, TextLimits(height=10**9))
            pgparse.parse(sql)
        except (Refusal, RecursionError, pgparse.PGQueryError):
            pass
    print(json.dumps([accepted, refused]))

threading.stack_size(int(sys.argv[1]) * 1024)
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""


def test_extremes_crash_no_parser():
    texts = _extremes()
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, "1024"],
        input=json.dumps(texts), capture_output=True, text=True, cwd=ROOT, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2_000:]
    accepted, refused = json.loads(done.stdout)
    assert accepted > 60
    assert refused > 400


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT " + "NOT " * 201 + "a FROM t",
        "SELECT " + "- " * 201 + "a FROM t",
        "SELECT a" + "+1" * 201 + " FROM t",
        "SELECT a" + "::int" * 201 + " FROM t",
        "SELECT a FROM t WHERE a" + " AND a" * 201,
        "SELECT (a" + "+1" * 120 + ")" + "*2" * 120 + " FROM t",
        "SELECT a, (b" + "+(b" * 20 + "+1" * 180 + ")" * 21 + " FROM t",
        "SELECT a FROM t" + " JOIN t ON a" * 201,
    ],
)
def test_a_tree_can_be_too_tall(sql):
    with pytest.raises(TooComplex):
        parse(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT a FROM t WHERE a = 1" + " OR a = 1" * 190,
        "SELECT " + "a+1, " * 300 + "a FROM t",
        "SELECT a FROM t WHERE a IN (1" + ", 1" * 900 + ")",
        "SELECT CASE" + " WHEN a = 1 AND b = 2 THEN 3" * 100 + " END FROM t",
        "SELECT a" + "+1" * 150 + " FROM t",
    ],
)
def test_long_is_not_tall(sql):
    parse(sql)


@pytest.mark.parametrize(
    "clause, one, other",
    [
        ("SELECT DISTINCT", "SELECT DISTINCT a FROM t", "SELECT a FROM t"),
        ("the select list", "SELECT a FROM t", "SELECT b FROM t"),
        ("FROM", "SELECT a FROM t", "SELECT a FROM u"),
        ("WHERE", "SELECT a FROM t WHERE b", "SELECT a FROM t WHERE c"),
        ("GROUP BY", "SELECT a FROM t GROUP BY a", "SELECT a FROM t GROUP BY b"),
        ("HAVING", "SELECT 1 FROM t HAVING a", "SELECT 1 FROM t HAVING b"),
        (
            "WINDOW",
            "SELECT rank() OVER w FROM t WINDOW w AS (ORDER BY a)",
            "SELECT rank() OVER w FROM t WINDOW w AS (ORDER BY b)",
        ),
        ("WITH", "WITH x AS (SELECT a FROM t) SELECT 1", "WITH x AS (SELECT b FROM t) SELECT 1"),
        ("ORDER BY", "SELECT a FROM t ORDER BY a", "SELECT a FROM t ORDER BY b"),
        ("LIMIT", "SELECT a FROM t LIMIT 1", "SELECT a FROM t LIMIT 2"),
        ("OFFSET", "SELECT a FROM t OFFSET 1", "SELECT a FROM t OFFSET 2"),
    ],
)
def test_the_clause_that_is_read_differently_is_named(clause: str, one: str, other: str) -> None:
    with pytest.raises(SyntaxRefused) as refused:
        check_agreement(one, read_statement(one), _tree(other))
    assert refused.value.detail == f"PostgreSQL's parser and epsql's read {clause} differently."
