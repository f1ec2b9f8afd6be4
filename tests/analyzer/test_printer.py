"""What the printer writes is read by PostgreSQL's own grammar as the tree that was meant.

An operation is printed by putting the text of its arguments into a form of its own. So the tree of the
whole has to be the tree of that form, read over plain names, with the trees of the arguments in the
places of the names. A pair of parentheses too few, and it is another one.
"""

from __future__ import annotations

import random
import re
from typing import Any

import postgast
import pytest

from analyzer.analyze import analyze
from analyzer.canonical import in_order, operands, plain_form
from analyzer.expressions import Call, Expr
from analyzer.functions import render
from analyzer.functions.base import as_type
from analyzer.plan import Statement
from analyzer.printing import Printer
from tests.analyzer.expressions import Maker, expressions, refs, table_columns
from tests.analyzer.golden import FIXTURES, read
from tests.fixture import catalog

CONSTANTS = {
    "number": [0, -1, 2, 2**31],
    "text": ["a", "o'x\\"],
    "bool": [True, None],
    "date": ["2020-01-01"],
    "timestamp": ["2020-01-01 00:00:00"],
}

Tree = Any
"""Nested tuples: a node's name and its fields, without places."""


def parsed(expression: str) -> Tree:
    """The tree of one SQL expression."""
    (statement,) = postgast.parse(f"SELECT {expression}").stmts
    (target,) = statement.stmt.select_stmt.target_list
    return tree_of(target.res_target.val)


def tree_of(node: Any) -> Tree:
    """A parse tree as tuples. Chains of AND, and of OR, are flat: they have no order."""
    if not hasattr(node, "DESCRIPTOR"):
        return node
    fields = {
        field.name: _field(value)
        for field, value in node.ListFields()
        if not field.name.endswith("location")
    }
    if node.DESCRIPTOR.name == "Node" and len(fields) == 1:
        (only,) = fields.values()
        return only
    if node.DESCRIPTOR.name == "BoolExpr":
        fields["args"] = tuple(_flat(fields["boolop"], fields["args"]))
    return (node.DESCRIPTOR.name, tuple(sorted(fields.items())))


def _field(value: Any) -> Tree:
    if hasattr(value, "DESCRIPTOR"):
        return tree_of(value)
    if hasattr(value, "__len__") and not isinstance(value, str | bytes):
        return tuple(tree_of(value[i]) for i in range(len(value)))
    return value


def _flat(operation: int, args: tuple[Tree, ...]) -> list[Tree]:
    found: list[Tree] = []
    for arg in args:
        inner = dict(arg[1]) if arg[0] == "BoolExpr" else {}
        same = inner.get("boolop") == operation and len(args) > 1
        found.extend(_flat(operation, inner["args"]) if same else [arg])
    return found


def meant(call: Call, args: list[Tree]) -> Tree:
    """The form of a call, with these trees as its arguments."""
    form = parsed(render(call, [f"arg{i}" for i in range(len(args))]))
    places = {parsed(f"arg{i}"): arg for i, arg in enumerate(args)}

    def filled(tree: Tree) -> Tree:
        if not isinstance(tree, tuple):
            return tree
        if tree in places:
            return places[tree]
        inside = tuple(filled(part) for part in tree)
        if len(inside) == 2 and inside[0] == "BoolExpr":
            fields = dict(inside[1])
            fields["args"] = tuple(_flat(fields["boolop"], fields["args"]))
            return ("BoolExpr", tuple(sorted(fields.items())))
        return inside

    return filled(form)


def check(expression: Expr) -> int:
    """Holds every operation below ``expression`` against what is meant; returns how many."""
    expression = plain_form(expression) if isinstance(expression, Call) else expression
    if not isinstance(expression, Call):
        return 0
    printer, args = Printer({}), operands(expression)
    call, texts = in_order(expression, args, [printer.expression(arg) for arg in args])
    once = len(texts) == 1 and call.function in {"and", "or", "coalesce"}
    if once:
        texts = [as_type(texts[0], call.args[0], call.facts.stored)]
    trees = [parsed(_numbered(printer.statement(text).sql)) for text in texts]
    whole = printer.statement(printer.expression(expression)).sql
    assert parsed(_numbered(whole)) == (trees[0] if once else meant(call, trees)), whole
    return 1 + sum(check(arg) for arg in expression.args)


def _numbered(text: str) -> str:
    """Parameters are numbered as they are printed: here they are all one."""
    return re.sub(r"\$[0-9]+", "$1", text)


@pytest.mark.parametrize(
    "seed, count, depth",
    [(7, 1_000, 2), (8, 30, 4), pytest.param(9, 20_000, 2, marks=pytest.mark.slow)],
)
def test_postgres_reads_what_was_meant(seed, count, depth):
    """Small trees for the most part: what can go wrong goes wrong between a parent and a child."""
    maker = Maker(random.Random(seed), constants=CONSTANTS)
    cases = expressions(maker, refs(table_columns()), count, depth=depth)
    assert sum(check(expression) for _, expression in cases) > count


@pytest.mark.parametrize(
    "written, tree",
    [
        ("(a + b) * c", ("*", ("+", "a", "b"), "c")),
        ("a - (b - c)", ("-", "a", ("-", "b", "c"))),
        ("a - b - c", ("-", ("-", "a", "b"), "c")),
    ],
)
def test_the_reading_of_trees_tells_parentheses(written, tree):
    def small(node: Tree) -> Tree:
        fields = dict(node[1])
        if node[0] == "ColumnRef":
            return dict(fields["fields"][0][1])["sval"]
        return (dict(fields["name"][0][1])["sval"], small(fields["lexpr"]), small(fields["rexpr"]))

    assert small(parsed(written)) == tree


_PLAIN = re.compile(
    r"""[A-Za-z_][A-Za-z0-9_]* | "[a-z_][a-z0-9_]*" | '[-0-9.:\s]+' | '(?:day|week|month)' | "C"
      | '(?:YYYY|MM|DD|HH24|MI|Q|[-/.: ])+'
      | \$?[0-9.]+ | [-+*/%<>=(),.|:&\s] """,
    re.VERBOSE,
)


def _plain(sql: str) -> bool:
    """Whether a text is names, numbers and operators: no string of anybody is in it."""
    return not _PLAIN.sub("", sql)


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.txt")), ids=lambda path: path.stem)
def test_statements_parse_and_hold_no_string(path):
    for case in read(path):
        if case.expected.startswith("keys: "):
            plan = analyze(case.sql, catalog()) if not case.settings else None
            blocks = plan.blocks if plan else ()
            for statement in [*(b.exact for b in blocks), *([plan.finish] if plan else [])]:
                assert len(postgast.parse(statement.sql).stmts) == 1
                assert _plain(statement.sql), _PLAIN.sub("", statement.sql)


CANARY = "qanary4711"


def _texts(sql: str, parameters: tuple[Any, ...] = ()) -> tuple[Statement, Statement]:
    plan = analyze(sql, catalog(), parameters=parameters)
    return plan.blocks[0].exact, plan.finish


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT count(*) AS {CANARY} FROM patients",
        f'SELECT count(*) AS "{CANARY} "" ; DROP" FROM patients',
        f"SELECT count(*) FROM patients AS {CANARY} WHERE {CANARY}.age > 3",
        f'SELECT count(*) FROM patients AS "{CANARY}"" (" WHERE "{CANARY}"" (".age > 3',
        f"SELECT avg({CANARY}) FROM patients AS p (i, n, {CANARY})",
        f"WITH {CANARY} AS (SELECT age AS x{CANARY} FROM patients) SELECT avg(x{CANARY}) FROM {CANARY}",
        f"SELECT count(*) FROM patients WHERE name = '{CANARY}'",
        f"SELECT count(*) FROM patients WHERE name LIKE '{CANARY}%'",
        f"SELECT coalesce(city, '{CANARY}') AS c, count(*) FROM patients GROUP BY c",
        f"SELECT CASE WHEN age > 3 THEN '{CANARY}' END AS c, count(*) FROM patients GROUP BY c",
        f"SELECT sex || '{CANARY}', count(*) FROM patients GROUP BY sex HAVING sex <> '{CANARY}'",
        f"SELECT count(*) /* {CANARY} */ FROM patients -- {CANARY}",
        f"SELECT count(*) AS a FROM patients ORDER BY '{CANARY}' || 'x'",
        "SELECT count(*) FROM patients WHERE age > 471100004711",
        "SELECT count(*) FROM patients WHERE weight > 4711.00004711",
    ],
)
def test_no_byte_of_the_analyst_is_in_what_runs(sql):
    for statement in _texts(sql):
        assert CANARY not in statement.sql.lower()
        assert "4711" not in statement.sql


def test_parameters_travel_apart():
    exact, _ = _texts("SELECT count(*) FROM patients WHERE name = $1", (f"{CANARY}'; --",))
    assert CANARY not in exact.sql
    assert f"{CANARY}'; --" in exact.parameters


def test_a_value_is_one_parameter_however_often_it_stands():
    """Postgres takes 65,535 of them, and the values of a public key stand in every part."""
    sql = (
        "SELECT sex, count(*), min(age), count(DISTINCT city), max(bmi) FROM patients GROUP BY sex"
    )
    (exact,) = (block.exact for block in analyze(sql, catalog()).blocks)
    assert exact.sql.count("$1 ") > 2
    assert exact.parameters == ("female", "male", "other")


@pytest.mark.parametrize(
    "one, other",
    [
        ("SELECT count(*) FROM patients", "select  COUNT( * )\nfrom Patients p -- x"),
        ("SELECT avg(age) FROM patients", "WITH unused AS (SELECT 1) SELECT avg(p.age) x FROM patients p"),
        ("SELECT count(*) FROM patients WHERE age > 3", "SELECT count(*) FROM patients WHERE ((age)) > (3)"),
        ("SELECT count(*) FROM patients WHERE age > 3", "SELECT count(*) FROM patients WHERE 3.00 < age"),
    ],
)  # fmt: skip
def test_texts_that_mean_the_same_print_the_same(one, other):
    assert _texts(one) == _texts(other)
    assert analyze(one, catalog()).digest == analyze(other, catalog()).digest


@pytest.mark.parametrize(
    "other",
    [
        "SELECT count(*) FROM patients WHERE age > 4",
        "SELECT count(*) FROM patients WHERE age >= 3",
        "SELECT count(*) FROM patients WHERE age > 3.5",
        "SELECT count(age) FROM patients WHERE age > 3",
    ],
)
def test_other_questions_have_other_digests(other):
    digest = analyze("SELECT count(*) FROM patients WHERE age > 3", catalog()).digest
    assert analyze(other, catalog()).digest != digest
