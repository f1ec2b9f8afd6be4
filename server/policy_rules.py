"""What must hold between the parts of a policy; found mistakes are said, never guessed around."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from itertools import pairwise
from uuid import UUID

from analyzer.catalog import Hop, Scalar, ValuesFrom
from analyzer.dates import END_OF_DAY, days
from analyzer.types import Type
from server.policy_file import BudgetFile, ColumnFile, LossFile, PolicyFile, TableFile
from server.policy_lines import Path

Say = Callable[[Path, str], None]
"""Takes a key path and what is wrong there."""

_MAX_LISTED = 50_000
"""Values of a list; each is a parameter of statements, of which Postgres takes 65,535."""

_MAX_STEPS = 2**53
"""Sums of one group's rows stay below this many grid steps, far from the end of int8."""

UNIT_TYPES = (Type.INT4, Type.INT8, Type.UUID, Type.TEXT)
"""Types on which SQL and text agree about equality: two spellings are never one person."""

_TIMES = (Type.DATE, Type.TIMESTAMP, Type.TIMESTAMPTZ)
_INTEGERS = {Type.INT4: 2**31, Type.INT8: 2**63}

HOP = re.compile(r"\s*([a-z_][a-z0-9_]*)\s*->\s*([a-z_][a-z0-9_]*)\.([a-z_][a-z0-9_]*)\s*")
_COLUMN = re.compile(r"([a-z_][a-z0-9_]*)\.([a-z_][a-z0-9_]*)")
_RELATION = re.compile(r"(?:([a-z_][a-z0-9_]*)\.)?([a-z_][a-z0-9_]*)")
_SYSTEM_COLUMNS = {"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid", "oid"}


def nearest(name: str, known: list[str]) -> str:
    """``; did you mean "age"?`` or the list of what there is."""
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; there is {', '.join(sorted(known)) or 'nothing'}"


def relation_of(name: str, table: TableFile) -> tuple[str, str] | None:
    """Schema and relation of a table; None where it is not written ``schema.relation``."""
    match = _RELATION.fullmatch(table.relation or name)
    return (match[1] or "public", match[2]) if match else None


def hops_of(table: TableFile) -> tuple[Hop, ...]:
    """The hops of a path that are written as hops."""
    matches = (HOP.fullmatch(hop) for hop in table.path)
    return tuple(Hop(match[1], match[2], match[3]) for match in matches if match)


def keys_of(file: PolicyFile, name: str) -> tuple[tuple[str, ...], ...]:
    """The declared unique keys of a table; of a unit's own, the unit key comes first."""
    own = [(unit.key,) for unit in file.units if unit.table == name]
    return tuple(dict.fromkeys([*own, *(tuple(key) for key in file.tables[name].unique)]))


def values_from(column: ColumnFile) -> ValuesFrom | None:
    match = _COLUMN.fullmatch(column.values_from or "")
    return ValuesFrom(match[1], match[2]) if match else None


def canonical_value(value: Scalar, column: ColumnFile) -> Scalar:
    """A declared value as the column's type holds it.

    Raises:
        ValueError: it is no value of that type.
    """
    declared = column.type
    kind = declared.type
    if kind is Type.BOOL and isinstance(value, bool):
        return value
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is no {kind.value}")
    if kind.is_integer and isinstance(value, int) and abs(value) < _INTEGERS[kind]:
        return value
    if kind is Type.NUMERIC and isinstance(value, int | Decimal):
        return _numeric_value(Decimal(value), declared.precision, declared.scale)
    if kind is Type.TEXT and isinstance(value, str) and "\0" not in value and len(value) <= 1000:
        return value
    if kind is Type.DATE and isinstance(value, date) and not isinstance(value, datetime):
        return value
    if kind in (Type.TIMESTAMP, Type.TIMESTAMPTZ) and isinstance(value, datetime):
        if (value.tzinfo is None) == (kind is Type.TIMESTAMP):
            return value
        raise ValueError(f"{value} must {'not ' * (kind is Type.TIMESTAMP)}have a UTC offset")
    if kind is Type.UUID and isinstance(value, str):
        return str(UUID(value))
    raise ValueError(f"{value!r} is no {kind.value}")


def bound(
    value: Fraction | date | None, column: ColumnFile, *, last: bool = False
) -> Fraction | None:
    """A clamping bound as a number: itself, or the days since 1970-01-01.

    A day that is the ``last`` of a column of timestamps is meant as a whole.
    """
    if value is None or isinstance(value, Fraction):
        return value
    whole_day = last and column.type.type is not Type.DATE and not isinstance(value, datetime)
    return days(value) + (END_OF_DAY if whole_day else 0)


def _numeric_value(value: Decimal, precision: int | None, scale: int | None) -> Decimal:
    if precision is None or scale is None:
        return value
    steps = Fraction(value) * 10**scale
    if steps.denominator != 1 or abs(steps) >= 10**precision:
        raise ValueError(f"{value} is no numeric({precision},{scale})")
    return value


def check(file: PolicyFile, say: Say) -> None:
    """Says every mistake that a single value does not show, units and paths aside."""
    _check_relations(file, say)
    for name, table in file.tables.items():
        _check_keys(table, ("tables", name, "unique"), say)
        if table.unit_index and not (table.protected and len(table.path) == 1):
            say(
                ("tables", name, "unit_index"),
                "is for protected tables that lead to their unit in one hop",
            )
        rows = table.max_rows_contributed or file.contribution.max_rows_contributed
        for column_name, column in table.columns.items():
            at = ("tables", name, "columns", column_name)
            if column_name in _SYSTEM_COLUMNS:
                say(at, "is a system column of Postgres, which epsql never shows")
            _check_bounds(column, rows, at, say)
            _check_values(file, column, at, say)
    _check_losses(file, say)


def _check_relations(file: PolicyFile, say: Say) -> None:
    seen: dict[tuple[str, str], str] = {}
    for name, table in file.tables.items():
        at = ("tables", name, "relation")
        relation = relation_of(name, table)
        if relation is None:
            say(at, 'must be written "schema.relation", both plain lower-case names')
        elif relation in seen:
            say(at, f"is declared twice, here and as {seen[relation]!r}; declare it once")
        else:
            seen[relation] = name


def _check_keys(table: TableFile, at: Path, say: Say) -> None:
    for key in table.unique:
        if not key or len(set(key)) < len(key):
            say(at, f"{key!r} must name one or more different columns")
        for column in key:
            if column not in table.columns:
                say(at, f"no column {column!r}{nearest(column, list(table.columns))}")


def _check_bounds(column: ColumnFile, rows: int, at: Path, say: Say) -> None:
    kind = column.type.type
    given = [key for key in ("lower", "upper", "tick") if getattr(column, key) is not None]
    wrong = [key for key in given if not _fits(getattr(column, key), kind, key)]
    if wrong:
        say((*at, wrong[0]), _needed(kind, wrong[0]))
        return
    if (column.lower is None) != (column.upper is None):
        missing = "upper" if column.upper is None else "lower"
        say(at, f"{missing} is missing: clamping bounds come in pairs")
        return
    if column.tick is not None and column.tick <= 0:
        say((*at, "tick"), "must be greater than 0")
        return
    lower, upper = bound(column.lower, column), bound(column.upper, column, last=True)
    if lower is None or upper is None:
        return
    if lower >= upper:
        written = " >= ".join(_plain(end) for end in (column.lower, column.upper))
        say((*at, "lower"), f"must be less than upper, but {written}")
        return
    if kind.is_number:
        _check_numbers(column, lower, upper, rows, at, say)


def _fits(value: Fraction | date, kind: Type, key: str) -> bool:
    """Whether a bound is one of the values that the column can hold."""
    if kind.is_number or key == "tick":
        return kind.is_number and isinstance(value, Fraction)
    if kind not in _TIMES or not isinstance(value, date):
        return False
    if not isinstance(value, datetime):
        return True
    return kind is not Type.DATE and (value.tzinfo is None) == (kind is Type.TIMESTAMP)


def _needed(kind: Type, key: str) -> str:
    if kind.is_number:
        return "must be a number, as the column's values are"
    if kind in _TIMES and key != "tick":
        return {
            Type.DATE: "must be a date, such as 1930-01-01",
            Type.TIMESTAMP: "must be a date or a time without UTC offset, such as 2020-01-01",
            Type.TIMESTAMPTZ: "must be a date or a time with UTC offset, such as 2020-01-01",
        }[kind]
    who = "numbers" if key == "tick" else "numbers and dates"
    return f"only {who} have {key}, and this column is {kind.value}"


def _check_numbers(
    column: ColumnFile, lower: Fraction, upper: Fraction, rows: int, at: Path, say: Say
) -> None:
    kind = column.type.type
    largest = max(abs(lower), abs(upper))
    if kind in _INTEGERS and largest >= _INTEGERS[kind]:
        say((*at, "lower"), f"the bounds do not fit into {kind.value}")
    tick = column.tick or Fraction(1, 10 ** (column.type.scale or 0))
    if column.tick is not None and column.tick > upper - lower:
        say((*at, "tick"), "must not be larger than the way from lower to upper")
    elif largest / tick * rows >= _MAX_STEPS:
        say(
            at,
            f"bounds / tick * max_rows_contributed ({rows}) must stay below 2^53; "
            "narrow the bounds or widen the tick",
        )


def _check_values(file: PolicyFile, column: ColumnFile, at: Path, say: Say) -> None:
    if column.values is not None and column.values_from is not None:
        say((*at, "values_from"), "values and values_from exclude each other")
    elif column.values is not None:
        for mistake in _value_mistakes(file, column):
            say((*at, "values"), mistake)
    elif column.values_from is not None:
        mistake = _source_mistake(file, column)
        if mistake:
            say((*at, "values_from"), mistake)


def _value_mistakes(file: PolicyFile, column: ColumnFile) -> Iterator[str]:
    values = column.values or []
    if column.type.type is Type.FLOAT8:
        yield "double precision has no list of values: equal numbers may be spelled differently"
        return
    if not values:
        yield "is empty; leave it out where the values are not public"
    if len(values) > file.max_keys:
        yield f"lists {len(values)} values, more than max_keys ({file.max_keys})"
    elif len(values) > _MAX_LISTED:
        yield (
            f"lists {len(values)} values, more than {_MAX_LISTED}; put them into a public table and"
            " write values_from"
        )
    seen = set()
    for value in values:
        try:
            canonical = canonical_value(value, column)
        except ValueError as mistake:
            yield str(mistake)
            continue
        if canonical in seen:
            yield f"lists {value!r} twice"
        seen.add(canonical)


def _source_mistake(file: PolicyFile, column: ColumnFile) -> str:
    source = values_from(column)
    if source is None:
        return 'must be written "table.column"'
    table = file.tables.get(source.table)
    if table is None:
        return f"no table {source.table!r}{nearest(source.table, list(file.tables))}"
    if table.protected:
        return (
            f"{source.table} is protected; public values come from a table with protected = false"
        )
    if source.column not in table.columns:
        return f"no column {source.column!r}{nearest(source.column, list(table.columns))}"
    if table.columns[source.column].type != column.type:
        return f"{column.values_from} has another type than this column"
    return ""


def _check_losses(file: PolicyFile, say: Say) -> None:
    """Each is a loss, and each fits into the next."""
    chain: list[tuple[Path, LossFile | BudgetFile]] = [
        (("losses", "default"), file.losses.default),
        (("losses", "maximum"), file.losses.maximum),
        (("budgets", "analyst"), file.budgets.analyst),
        (("budgets", "dataset"), file.budgets.dataset),
    ]
    default, most = file.losses.default, file.losses.maximum
    if (default.epsilon is None) == (default.rho is None):
        say(("losses", "default"), "needs either epsilon or rho: one of them, and not both")
    if most.epsilon is None and most.rho is None:
        say(("losses", "maximum"), "needs epsilon or rho, or both")
    for at, loss in chain:
        for part in ("epsilon", "rho"):
            value = getattr(loss, part, None)
            if value is not None and value <= 0:
                say((*at, part), "must be greater than 0")
        if not 0 <= loss.delta < 1:
            say((*at, "delta"), "must be at least 0 and less than 1")
    for (at, loss), (next_at, ceiling) in pairwise(chain):
        for part in ("epsilon", "rho", "delta"):
            own, limit = getattr(loss, part, None), getattr(ceiling, part, None)
            if own is not None and limit is not None and own > limit:
                say((*at, part), f"must not be more than {'.'.join(next_at)}.{part}")
    if file.min_error_scale <= 0:
        say(("min_error_scale",), "must be greater than 0")


def _plain(number: Fraction | date | None) -> str:
    if not isinstance(number, Fraction):
        return str(number)
    return str(number.numerator) if number.denominator == 1 else str(float(number))
