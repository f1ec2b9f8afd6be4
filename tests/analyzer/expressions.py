"""Random expressions of every type, each in two forms: an analyst's text, and our typed tree.

The two are made apart from each other: :func:`text` never sees the typed tree, :func:`typed` never
sees the text, so a test can hold one against the other.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from analyzer.catalog import Column, Scalar
from analyzer.expressions import Expr, Ref
from analyzer.functions import build
from analyzer.functions.base import constant
from analyzer.functions.casts import build_cast
from analyzer.ranges import column_facts
from analyzer.refusals import Refusal
from analyzer.types import Type


@dataclass(frozen=True, slots=True)
class Node:
    """An operation by our allow-list's name; leaves are ``column`` and ``constant``."""

    op: str
    args: tuple[Node, ...] = ()
    value: Scalar | None = None
    """A column's name, a constant, a cast's target, or a count of digits or characters."""


NUMBERS = {
    "i": Type.INT4,
    "i1": Type.INT4,
    "l": Type.INT8,
    "l1": Type.INT8,
    "n": Type.NUMERIC,
    "n1": Type.NUMERIC,
    "m": Type.NUMERIC,
    "f": Type.FLOAT8,
    "f1": Type.FLOAT8,
}
COLUMNS = NUMBERS | {
    "t": Type.TEXT,
    "t1": Type.TEXT,
    "b": Type.BOOL,
    "b1": Type.BOOL,
    "d": Type.DATE,
    "d1": Type.DATE,
    "s": Type.TIMESTAMP,
    "s1": Type.TIMESTAMP,
    "z": Type.TIMESTAMPTZ,
    "u": Type.UUID,
}
"""Names that end in 1 are never NULL; ``m`` is ``numeric(5,2)``."""


def table_columns(bounds: Mapping[str, tuple[int, int]] | None = None) -> dict[str, Column]:
    """The columns as a data owner declares them, with these clamping bounds."""
    columns = {}
    for name, kind in COLUMNS.items():
        column = Column(name, kind, nullable=not name.endswith("1"))
        if name == "m":
            column = replace(column, precision=5, scale=2)
        if bounds and name in bounds:
            lower, upper = (constant(bound).facts.physical.lower for bound in bounds[name])
            column = replace(column, lower=lower, upper=upper)
        columns[name] = column
    return columns


def refs(columns: Mapping[str, Column], alias: str = "t0") -> dict[str, Ref]:
    return {
        name: Ref(alias, name, c.type, c.nullable, column_facts(c, protected=True))
        for name, c in columns.items()
    }


class Maker:
    """Makes random nodes. The same chance gives the same nodes."""

    def __init__(self, chance: random.Random, *, constants: Mapping[str, Any]) -> None:
        self.chance = chance
        self.constants = constants

    def some(self, depth: int) -> Node:
        """A node of any type."""
        return self._of(self.chance.choice(list(_KINDS)), depth)

    def number(self, depth: int) -> Node:
        return self._of("number", depth)

    def _of(self, kind: str, depth: int) -> Node:
        if depth <= 0 or self.chance.random() < 0.08:
            return self._leaf(kind)
        weights = [weight for _, weight in _KINDS[kind]]
        (make,) = self.chance.choices([make for make, _ in _KINDS[kind]], weights)
        return make(self, kind, depth - 1)

    def _leaf(self, kind: str) -> Node:
        if self.chance.random() < 0.3 and kind in self.constants:
            return Node("constant", value=self.chance.choice(self.constants[kind]))
        if kind == "interval":
            return self.call("-", ["timestamp", "timestamp"], 0)
        names = [name for name, type_ in COLUMNS.items() if type_ in _TYPES_OF[kind]]
        return Node("column", value=self.chance.choice(names))

    def call(self, op: str, kinds: Sequence[str], depth: int, value: Scalar | None = None) -> Node:
        return Node(op, tuple(self._of(kind, depth) for kind in kinds), value)


_Make = Callable[[Maker, str, int], Node]


def _plain(ops: Sequence[str], *kinds: str) -> _Make:
    def make(maker: Maker, kind: str, depth: int) -> Node:
        return maker.call(maker.chance.choice(ops), kinds or (kind, kind), depth)

    return make


def _several(ops: Sequence[str]) -> _Make:
    def make(maker: Maker, kind: str, depth: int) -> Node:
        return maker.call(maker.chance.choice(ops), [kind] * maker.chance.randint(2, 3), depth)

    return make


def _case(maker: Maker, kind: str, depth: int) -> Node:
    branches = maker.chance.randint(1, 2)
    return maker.call("case", ["bool", kind] * branches + [kind], depth)


def _compare(maker: Maker, _: str, depth: int) -> Node:
    kind = maker.chance.choice(
        ["number"] * 5 + ["text", "bool", "date", "timestamp", "uuid", "zoned", "interval"]
    )
    other = kind
    if kind == "date" and maker.chance.random() < 0.4:
        other = "timestamp"
    op = maker.chance.choice(
        ["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"]
    )
    return maker.call(op, (kind, other), depth)


def _valued(ops: Sequence[str], kind: str, values: Sequence[Scalar | None]) -> _Make:
    def make(maker: Maker, _: str, depth: int) -> Node:
        return maker.call(
            maker.chance.choice(ops), [kind], depth, value=maker.chance.choice(values)
        )

    return make


def _any_null(maker: Maker, _: str, depth: int) -> Node:
    kind = maker.chance.choice(list(_KINDS))
    return maker.call(maker.chance.choice(["is null", "is not null"]), [kind], depth)


def _shifted(maker: Maker, _: str, depth: int) -> Node:
    kinds = maker.chance.choice([("date", "number"), ("number", "date"), ("date", "number")])
    return maker.call(
        "-" if kinds[0] == "date" and maker.chance.random() < 0.5 else "+", kinds, depth
    )


def _timed(op: str, kinds: Sequence[str], values: Sequence[Scalar | None]) -> _Make:
    def make(maker: Maker, _: str, depth: int) -> Node:
        return maker.call(
            op, [maker.chance.choice(kinds)], depth, value=maker.chance.choice(values)
        )

    return make


def _with(op: str, kind: str, *rests: tuple[Scalar, ...], first: bool = False) -> _Make:
    """A call whose further arguments are constants, one of ``rests``; ``first``: before the other."""

    def make(maker: Maker, _: str, depth: int) -> Node:
        node = maker.call(op, [kind], depth)
        rest = tuple(Node("constant", value=value) for value in maker.chance.choice(rests))
        return replace(node, args=(*rest, *node.args) if first else (*node.args, *rest))

    return make


_NUMERIC_TARGETS = [
    "smallint",
    "integer",
    "bigint",
    "numeric",
    "double precision",
    "numeric(5,2)",
    "numeric(30,15)",
    "numeric(1,0)",
    "numeric(3,3)",
]
_FIELDS = ["year", "isoyear", "quarter", "month", "week", "day", "doy", "dow", "isodow", "hour"]
_FIELDS += ["minute", "second", "epoch", "milliseconds", "microseconds", "decade", "century"]
_UNITS = ["year", "quarter", "month", "week", "day", "hour", "minute", "second"]
_INTERVALS = [
    "1 day",
    "-1 month",
    "1 month 30 days",
    "1000 years",
    "-1000 years",
    "1 year -1 day 5 hours",
    "365000 days",
    "-31536000000 seconds",
    "0 days",
]
_ZONES = ["UTC", "America/New_York", "Asia/Kolkata", "Europe/Lisbon", "Pacific/Auckland"]
_PATTERNS = ["%", "a%", "%b_", "", "\\%%", "x\\\\", "_", "A%z"]
_BRANCHES: list[tuple[_Make, int]] = [
    (_case, 2),
    (_several(["coalesce", "greatest", "least"]), 3),
    (_plain(["nullif"]), 1),
]
_KINDS: dict[str, list[tuple[_Make, int]]] = {
    "number": [
        (_plain(["+", "-", "*", "/", "%"]), 9),
        (_plain(["neg", "abs", "sign", "ceil", "floor", "round", "trunc"], "number"), 4),
        (_valued(["round", "trunc"], "number", [0, 1, 2, 15, -1, -15]), 2),
        (_valued(["cast"], "number", _NUMERIC_TARGETS), 4),
        (_valued(["cast"], "text", _NUMERIC_TARGETS[:5]), 2),
        (_plain(["div"]), 1),
        (_plain(["sqrt", "ln", "log", "exp"], "number"), 3),
        (_with("power", "number", (2,), (3,), (Decimal("0.5"),)), 2),
        (_with("log", "number", (2,), (Decimal("0.5"),), (1_000_000,), first=True), 1),
        (
            _with(
                "width_bucket",
                "number",
                (0, 10, 5),
                (Decimal("-0.5"), 1, 3),
                (-(10**15), 10**15, 1),
            ),
            1,
        ),
        (_plain(["strpos"], "text", "text"), 1),
        (_timed("extract", ["date", "timestamp", "timestamp", "zoned"], _FIELDS), 3),
        (_timed("extract", ["interval"], ["day", "hour", "minute", "second", "epoch"]), 2),
        (_plain(["-"], "date", "date"), 2),
        (_valued(["cast"], "bool", ["integer"]), 1),
        (_plain(["length"], "text"), 1),
        *_BRANCHES,
    ],
    "text": [
        (_plain(["||"]), 3),
        (_plain(["lower", "upper", "initcap", "btrim", "ltrim", "rtrim"], "text"), 3),
        (_several(["concat"]), 1),
        (_plain(["reverse"], "text"), 1),
        (_with("split_part", "text", ("a", 1), (" ", 2), ("", 1)), 1),
        (_with("lpad", "text", (0, "a"), (7, "xy"), (1000, "")), 1),
        (_with("rpad", "text", (3, " "), (9, "o'x")), 1),
        (_with("translate", "text", ("ab", "x"), ("", "a")), 1),
        (_with("concat_ws", "text", (", ",), ("",), first=True), 1),
        (_with("replace", "text", ("a", "bb"), ("", "x"), ("x", ""), ("x", "yyyyy")), 2),
        (_with("substr", "text", (0, 0), (-5, 7), (2,), (-1_000_000,), (1_000_000, 1_000_000)), 2),
        (_valued(["left", "right"], "text", [0, 1, 3, 1000]), 2),
        (_valued(["cast"], "number", ["text"]), 2),
        (_valued(["cast"], "bool", ["text"]), 1),
        (_valued(["cast"], "date", ["text"]), 1),
        (_valued(["cast"], "uuid", ["text"]), 1),
        *_BRANCHES,
    ],
    "bool": [
        (_compare, 8),
        (_plain(["and", "or"]), 4),
        (_plain(["not", "is true", "is false"], "bool"), 3),
        (_any_null, 2),
        (_valued(["like", "ilike"], "text", _PATTERNS), 2),
        (_plain(["starts_with"], "text", "text"), 1),
        (_valued(["cast"], "number", ["boolean"]), 2),
        (_plain(["isfinite"], "timestamp"), 1),
        (_plain(["isfinite"], "date"), 1),
        *_BRANCHES,
    ],
    "date": [(_valued(["cast"], "timestamp", ["date"]), 3), (_shifted, 4), *_BRANCHES],
    "timestamp": [
        (_valued(["cast"], "date", ["timestamp without time zone"]), 2),
        (_timed("date_trunc", ["date", "timestamp"], _UNITS), 3),
        (_timed("time + interval", ["date", "timestamp"], _INTERVALS), 3),
        (_timed("time - interval", ["date", "timestamp"], _INTERVALS), 2),
        (_timed("at time zone", ["zoned"], _ZONES), 2),
        *_BRANCHES,
    ],
    "interval": [
        (_plain(["-"], "timestamp", "timestamp"), 3),
        (_plain(["-"], "timestamp", "date"), 1),
        (_plain(["-"], "zoned", "zoned"), 1),
        *_BRANCHES,
    ],
    "zoned": [(_timed("at time zone", ["timestamp"], _ZONES), 3), *_BRANCHES],
    "uuid": _BRANCHES,
}
_TYPES_OF = {
    "number": set(NUMBERS.values()),
    "text": {Type.TEXT},
    "bool": {Type.BOOL},
    "date": {Type.DATE},
    "timestamp": {Type.TIMESTAMP},
    "zoned": {Type.TIMESTAMPTZ},
    "interval": {Type.INTERVAL},
    "uuid": {Type.UUID},
}


def typed(node: Node, columns: Mapping[str, Ref]) -> Expr:
    """The node in our typed form, by way of ``analyzer.functions``.

    Raises:
        Refusal: the types do not fit, or the conversion could fail on some row.
    """
    if node.op == "column":
        return columns[str(node.value)]
    if node.op == "constant":
        value = node.value
        untyped = value is None or isinstance(value, str)
        return constant(value, Type.TEXT if value is None else None, untyped=untyped)
    args = [typed(arg, columns) for arg in node.args]
    if node.op == "cast":
        return _cast(args[0], str(node.value))
    if node.op in ("extract", "date_trunc"):
        args.insert(0, constant(node.value))
    elif node.value is not None:
        args.append(constant(node.value))
    return build(node.op, args)


def _cast(argument: Expr, target: str) -> Expr:
    if target == "smallint":
        return build_cast(argument, Type.INT4, small=True)
    name, _, digits = target.partition("(")
    if not digits:
        return build_cast(argument, Type(name))
    precision, scale = digits.rstrip(")").split(",")
    return build_cast(argument, Type(name), digits=(int(precision), int(scale)))


def expressions(
    maker: Maker, columns: Mapping[str, Ref], count: int, depth: int = 4
) -> list[tuple[Node, Expr]]:
    """That many nodes that have a typed form, not trivial ones."""
    found: list[tuple[Node, Expr]] = []
    while len(found) < count:
        node = maker.some(depth)
        try:
            expression = typed(node, columns)
        except Refusal:
            continue
        if node.args:
            found.append((node, expression))
    return found


_SIGNS = {"and": "AND", "or": "OR", "like": "LIKE", "ilike": "ILIKE"}


def text(node: Node, chance: random.Random | None = None) -> str:
    """The node as an analyst writes it. With ``chance``, half of the parentheses are left away:
    what the text then means is for PostgreSQL to say, and may be something else than the node."""
    if node.op == "column":
        return str(node.value)
    if node.op == "constant":
        return literal(node.value)
    args = [text(arg, chance) for arg in node.args]
    inside = _operation(node, args)
    if inside.endswith((")", "END")) and node.op not in ("and", "or") and _is_call(node):
        return inside
    return inside if chance is not None and chance.random() < 0.5 else f"({inside})"


def _is_call(node: Node) -> bool:
    return (node.op.isalpha() and node.op not in ("like", "ilike", "and", "or", "not", "neg")) or (
        node.op == "starts_with"
    )


def _operation(node: Node, args: list[str]) -> str:
    op = node.op
    if op == "cast":
        return f"CAST({args[0]} AS {node.value})"
    if op == "extract":
        return f"EXTRACT({node.value} FROM {args[0]})"
    if op == "date_trunc":
        return f"date_trunc({literal(node.value)}, {args[0]})"
    if op.startswith("time "):
        return f"{args[0]} {op.split()[1]} INTERVAL {literal(node.value)}"
    if op == "at time zone":
        return f"{args[0]} AT TIME ZONE {literal(node.value)}"
    if op == "case":
        whens = "".join(
            f" WHEN {a} THEN {b}" for a, b in zip(args[:-1:2], args[1:-1:2], strict=True)
        )
        return f"CASE{whens} ELSE {args[-1]} END"
    if op == "neg":
        return f"- {args[0]}"
    if op == "not":
        return f"NOT {args[0]}"
    if op.startswith("is "):
        return f"{args[0]} {op.upper()}"
    if op in ("like", "ilike"):
        return f"{args[0]} {_SIGNS[op]} {literal(node.value)}"
    if node.value is not None:
        args = [*args, literal(node.value)]
    if not op[0].isalpha() or op in _SIGNS or "DISTINCT" in op:
        return f" {_SIGNS.get(op, op)} ".join(args)
    return f"{op}({', '.join(args)})"


def literal(value: Scalar | None) -> str:
    """A constant as SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}" if value >= 0 else f"({value:f})"
    if isinstance(value, int):
        return str(value) if value >= 0 else f"({value})"
    return "'" + str(value).replace("'", "''") + "'"
