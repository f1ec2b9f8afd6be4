"""SELECT, its clauses and FROM, as sqlglot's trees have them, as canonical forms.

Every argument of a node that is set is read, or refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sqlglot import exp

from analyzer.agreement_words import Form, target
from analyzer.refusals import SyntaxRefused, UnknownFunction, Unsupported
from analyzer.syntax import only, position_of, spoken

_Reader = Callable[[Any], Form]
_READERS: dict[type[exp.Expression], tuple[_Reader, frozenset[str]]] = {}
_SIDES = {"": "inner", "LEFT": "left", "RIGHT": "right", "FULL": "full"}
_JOIN_WORDS = {*_SIDES, "INNER", "CROSS", "OUTER", "NATURAL"}
_ALL_OF_THEM = ("with_", "order", "limit", "offset")


def reads(*kinds: type[exp.Expression], args: tuple[str, ...]) -> Callable[[_Reader], _Reader]:
    """Names the classes of nodes that a function reads, and all the arguments that it knows."""

    def register(reader: _Reader) -> _Reader:
        for kind in kinds:
            _READERS[kind] = (reader, frozenset(args))
        return reader

    return register


def form_of(node: exp.Expression) -> Form:
    """The canonical form of one node.

    Raises:
        Unsupported: a node or an argument outside what epsql compares.
    """
    known = _READERS.get(type(node))
    if known is None:
        raise Unsupported(f"{spoken(node)} is not supported here.", position=position_of(node))
    reader, allowed = known
    for name, value in node.args.items():
        if name not in allowed and value is not None and value is not False and value != []:
            only(node, *allowed)
    return reader(node)


def forms(nodes: Iterable[exp.Expression] | None) -> Form:
    return tuple([form_of(node) for node in nodes or ()])


def optional(node: exp.Expression, name: str) -> Form | None:
    child = node.args.get(name)
    return None if child is None else form_of(child)


def name_of(identifier: Any) -> str:
    """A name as PostgreSQL stores it."""
    if type(identifier) is not exp.Identifier:
        raise Unsupported(
            "A plain name is expected here.",
            hint="Write a name without parentheses, in double quotes if it is a word of SQL.",
        )
    text: str = identifier.this
    return text if identifier.args.get("quoted") else text.lower()


def names(identifiers: Iterable[exp.Expression] | None) -> tuple[str, ...]:
    return tuple([name_of(identifier) for identifier in identifiers or ()])


@reads(exp.Identifier, args=("this", "quoted"))
def _no_expression(node: exp.Identifier) -> Form:
    raise Unsupported(
        "A name cannot stand here.",
        hint="Put a column's name in double quotes where it is a word of SQL.",
        position=position_of(node),
    )


@reads(
    exp.Select,
    args=(
        *_ALL_OF_THEM,
        "distinct",
        "expressions",
        "from_",
        "joins",
        "where",
        "group",
        "having",
        "windows",
    ),
)
def _select(node: exp.Select) -> Form:
    args = node.args
    return (
        "select",
        optional(node, "distinct"),
        tuple([_target(item) for item in node.expressions]),
        _from(args.get("from_"), args.get("joins")),
        optional(node, "where"),
        optional(node, "group") or (),
        optional(node, "having"),
        forms(args.get("windows")),
        *_tail(node),
    )


@reads(exp.Union, exp.Intersect, exp.Except, args=(*_ALL_OF_THEM, "this", "expression", "distinct"))
def _set_operation(node: exp.SetOperation) -> Form:
    return (
        type(node).__name__.lower(),
        bool(node.args.get("distinct")),
        query(node.this),
        query(node.expression),
        *_tail(node),
    )


def _tail(node: exp.Expression) -> Form:
    return (
        optional(node, "with_"),
        optional(node, "order") or (),
        optional(node, "limit"),
        optional(node, "offset"),
    )


def query(node: exp.Expression) -> Form:
    """A SELECT or a set operation, in any number of parentheses."""
    while type(node) is exp.Subquery:
        only(node, "this")
        node = node.this
    if not isinstance(node, exp.Query):
        raise Unsupported(f"{spoken(node)} is not supported here.", position=position_of(node))
    return form_of(node)


@reads(exp.Where, exp.Having, args=("this",))
def _condition(node: exp.Expression) -> Form:
    return form_of(node.this)


@reads(exp.Order, args=("expressions",))
def _order(node: exp.Order) -> Form:
    return forms(node.expressions)


@reads(exp.Ordered, args=("this", "desc", "nulls_first"))
def _ordered(node: exp.Ordered) -> Form:
    args = node.args
    return ("sort", form_of(node.this), bool(args.get("desc")), bool(args.get("nulls_first")))


@reads(exp.Limit, exp.Offset, args=("expression",))
def _limit(node: exp.Expression) -> Form:
    if type(node.expression) is exp.Var and node.expression.name.upper() == "ALL":
        return ("null",)
    return form_of(node.expression)


@reads(exp.Fetch, args=("direction", "count", "limit_options"))
def _fetch(node: exp.Fetch) -> Form:
    options = node.args.get("limit_options")
    if options is not None:
        only(options, "rows")
    count = node.args.get("count")
    return ("int", 1) if count is None else form_of(count)


@reads(exp.Group, args=("expressions",))
def _group(node: exp.Group) -> Form:
    return forms(node.expressions)


@reads(exp.Rollup, exp.Cube, args=("expressions",))
def _rollup(node: exp.Expression) -> Form:
    return (type(node).__name__.lower(), *forms(node.expressions))


@reads(exp.GroupingSets, args=("expressions",))
def _grouping_sets(node: exp.GroupingSets) -> Form:
    return ("sets", *forms(node.expressions))


@reads(exp.Distinct, args=("on",))
def _distinct(node: exp.Distinct) -> Form:
    on = node.args.get("on")
    return () if on is None else forms(on.expressions)


def _target(item: exp.Expression) -> Form:
    if type(item) is exp.Alias:
        only(item, "this", "alias")
        return target(name_of(item.args["alias"]), form_of(item.this), item)
    return target(None, form_of(item), item)


@reads(exp.With, args=("expressions", "recursive"))
def _with(node: exp.With) -> Form:
    return (bool(node.args.get("recursive")), *forms(node.expressions))


@reads(exp.CTE, args=("this", "alias", "materialized"))
def _cte(node: exp.CTE) -> Form:
    name, columns = _alias(node)
    return (name, columns, node.args.get("materialized"), query(node.this))


# FROM.


@reads(exp.From, args=("this",))
def _from_item(node: exp.From) -> Form:
    return _item(node.this)


def _from(from_: exp.From | None, joins: list[exp.Join] | None) -> Form | None:
    if from_ is None:
        if joins:
            raise Unsupported(
                "JOIN needs a FROM.", hint="Begin with FROM table.", position=position_of(joins[0])
            )
        return None
    return _joined(form_of(from_), joins)


def _joined(left: Form, joins: list[exp.Join] | None) -> Form:
    """Joins from left to right, as the binder reads them; a comma is a join without ON."""
    for join in joins or ():
        tag, kind, right, on, using = form_of(join)
        left = (tag, kind, left, right, on, using)
    return left


@reads(exp.Join, args=("this", "side", "kind", "method", "on", "using"))
def _join(node: exp.Join) -> Form:
    side, kind = str(node.args.get("side") or ""), str(node.args.get("kind") or "")
    strange = max({str(node.args.get("method") or ""), side, kind} - _JOIN_WORDS, default="")
    if strange:
        raise SyntaxRefused(
            f"{strange} cannot stand before JOIN.",
            hint=f"If it is an alias, write AS {strange.lower()}, or use another.",
            position=position_of(node),
        )
    on, natural = optional(node, "on"), node.args.get("method") == "NATURAL"
    using = True if natural else names(node.args.get("using"))
    return ("join", _SIDES[side], _item(node.this), on, using)


def _item(node: exp.Expression) -> Form:
    """A table, a subquery, or joins in parentheses."""
    if type(node) is exp.Table:
        only(node, "this", "db", "catalog", "alias", "joins")
        if type(node.this) is not exp.Identifier:
            raise UnknownFunction(
                "Functions in FROM are not supported.",
                hint="Join a public table that lists the values.",
                position=position_of(node),
            )
        around = [part and name_of(part) for part in map(node.args.get, ("catalog", "db"))]
        table = ("table", *around, name_of(node.this), *_alias(node))
        return _joined(table, node.args.get("joins"))
    if type(node) is exp.Subquery:
        only(node, "this", "alias", "joins")
        if type(node.this) in (exp.Table, exp.Subquery) and node.args.get("alias") is None:
            return _joined(_item(node.this), node.args.get("joins"))
        inner = ("subquery", query(node.this), *_alias(node))
        return _joined(inner, node.args.get("joins"))
    raise Unsupported(f"{spoken(node)} is not supported in FROM.", position=position_of(node))


def _alias(node: exp.Expression) -> tuple[str | None, tuple[str, ...]]:
    alias = node.args.get("alias")
    if alias is None:
        return (None, ())
    if type(alias) is not exp.TableAlias:
        raise Unsupported("This alias is not supported.", position=position_of(node))
    only(alias, "this", "columns")
    return (name_of(alias.this), names(alias.args.get("columns")))
