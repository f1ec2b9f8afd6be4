"""Window frames, in our own words."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from sqlglot import exp

from analyzer.bind_calls import interval_text
from analyzer.expressions import SortKey
from analyzer.functions.times import interval_constant, interval_parts, is_time
from analyzer.refusals import Unsupported, WrongType
from analyzer.syntax import given, only
from analyzer.types import Type

_BOUNDS = ("UNBOUNDED PRECEDING", "PRECEDING", "CURRENT ROW", "FOLLOWING", "UNBOUNDED FOLLOWING")
_EXCLUDES = ("CURRENT ROW", "GROUP", "TIES", "NO OTHERS")
_MOST_ROWS = 1_000_000


def frame_of(spec: exp.Expression, order: Sequence[SortKey]) -> str:
    """The frame as SQL.

    Args:
        spec: its syntax.
        order: what the window is ordered by.

    Raises:
        Unsupported: no frame that epsql knows.
        WrongType: no frame at all, by PostgreSQL's rules.
    """
    only(spec, "kind", "start", "start_side", "end", "end_side", "exclude")
    args = given(spec)
    kind = str(args["kind"]).upper()
    start, first = _bound(kind, order, args.get("start"), args.get("start_side"))
    end, last = _bound(kind, order, args.get("end") or "CURRENT ROW", args.get("end_side"))
    if kind == "GROUPS" and not order:
        raise WrongType(
            "GROUPS needs ORDER BY in its window.", hint="Write ORDER BY inside OVER, or ROWS."
        )
    a, b = _BOUNDS.index(first), _BOUNDS.index(last)
    if a > b or a == len(_BOUNDS) - 1 or b == 0:
        raise WrongType("A window frame cannot start after its end.", hint="Exchange its ends.")
    return f"{kind} BETWEEN {start} AND {end}{_exclude(args.get('exclude'))}"


def _exclude(node: object) -> str:
    if node is None:
        return ""
    words = node.name.upper() if isinstance(node, exp.Var) else ""
    if words not in _EXCLUDES:
        raise Unsupported(
            "This window frame is not supported.",
            hint="Write ROWS BETWEEN 6 PRECEDING AND CURRENT ROW, for example.",
        )
    return f" EXCLUDE {words}"


def _bound(kind: str, order: Sequence[SortKey], what: object, side: object) -> tuple[str, str]:
    """An end of a frame as SQL, and its kind."""
    side = str(side or "").upper()
    if isinstance(what, str):
        text = f"{what.upper()} {side}".strip()
        if text in _BOUNDS:
            return text, text
    elif isinstance(what, exp.Expression) and side in _BOUNDS:
        distance = _distance(what, order) if kind == "RANGE" else _rows(what)
        return f"{distance} {side}", side
    raise Unsupported(
        "This window frame is not supported.",
        hint="Write ROWS BETWEEN 6 PRECEDING AND CURRENT ROW, for example.",
    )


def _rows(node: exp.Expression) -> str:
    text = str(node.this)
    if isinstance(node, exp.Literal) and text.isdigit() and int(text) <= _MOST_ROWS:
        return str(int(text))
    raise Unsupported(f"ROWS and GROUPS take a whole number up to {_MOST_ROWS:,}.")


def _distance(node: exp.Expression, order: Sequence[SortKey]) -> str:
    """How far RANGE reaches: a number beside numbers, an interval beside dates."""
    if len(order) != 1:
        raise WrongType("RANGE with a distance takes one ORDER BY.")
    key = order[0].expression
    if is_time(key.type) and isinstance(node, exp.Interval):
        text = interval_text(node)
        if min(interval_parts(text)) < 0:
            raise WrongType("RANGE takes no negative distance.")
        return f"CAST('{interval_constant(text)}' AS interval)"
    if key.type.is_number and isinstance(node, exp.Literal) and not node.args.get("is_string"):
        return f"CAST('{_number(node, key.type)}' AS {key.facts.stored.value})"
    raise WrongType(
        f"RANGE over {key.type.value} takes a constant distance of its kind.",
        hint="Write RANGE BETWEEN 10 PRECEDING AND CURRENT ROW, or INTERVAL '7 days' PRECEDING.",
    )


def _number(node: exp.Literal, type_: Type) -> str:
    try:
        value = Decimal(str(node.this))
    except InvalidOperation:
        value = Decimal(-1)
    if not 0 <= value <= 10**9 or (type_.is_integer and value != int(value)):
        raise WrongType("RANGE takes a number up to 10^9, a whole one over integers.")
    return str(int(value)) if type_.is_integer else f"{value:f}"
