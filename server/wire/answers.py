"""A noisy answer as SQL that the shadow can run: it makes every type and format of it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from analyzer.catalog import Given, Scalar
from server.wire.messages import Field

JSON = 114
"""The OID of the type json."""
PARAMETER = b"epsql parameter"
"""The name of every column of :func:`decoded`."""
ROWS = 5_000
"""Of a part of an answer: while Postgres reads an array, it holds many times its length."""
_INEXACT = frozenset({700, 701, 1700, 1021, 1022, 1231})
"""The OIDs of numbers that divide with a remainder, and of their arrays: 2.0 is none of the whole
ones."""
_MOST_DIGITS = 100
"""No question takes a number with more; Python takes some time to read one."""


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def type_names(fields: Sequence[Field]) -> bytes:
    """A query for the names of the columns' types, in their order."""
    names = [f"pg_catalog.format_type({one.type}, {one.modifier})" for one in fields]
    return f"SELECT {', '.join(names)}".encode()


def recordset(names: Sequence[str], types: Sequence[str], parts: Sequence[str] = ("$1",)) -> str:
    """A query for the rows of JSON arrays as :func:`rows_json` makes them, in their order.

    Args:
        names: of the columns, as the client was told of them.
        types: the names of their types.
        parts: expressions of the type json, one for each array.
    """
    columns = ", ".join(f"c{i} {type_}" for i, type_ in enumerate(types))
    outputs = ", ".join(f"c{i} AS {quoted(name)}" for i, name in enumerate(names))
    rows, source = parts[0], ""
    if len(parts) > 1:  # One after the other, each forgotten before the next is read.
        rows, source = "part.rows", f"(VALUES ({'), ('.join(parts)})) AS part(rows), LATERAL "
    return f"SELECT {outputs} FROM {source}pg_catalog.json_to_recordset({rows}) AS noisy({columns})"


def literal(rows: str) -> str:
    """JSON as an SQL constant that reads the same under every setting of strings."""
    tag = f"$epsql{secrets.token_hex(8)}$"
    return f"CAST({tag}{rows}{tag} AS json)"


def rows_json(rows: Sequence[Sequence[Any]]) -> tuple[str, ...]:
    """Rows as the JSON arrays that :func:`recordset` reads; at least one. Columns go by place, not
    by name: two may have one name."""
    named = [{f"c{i}": value for i, value in enumerate(row)} for row in rows]
    starts = range(0, max(1, len(named)), ROWS)
    return tuple(json.dumps(named[start : start + ROWS]) for start in starts)


def decoded(types: Sequence[int]) -> bytes:
    """A query for parameters as JSON, which knows neither DateStyle nor the client's formats."""
    outputs = [f"to_json(${i + 1}) AS {quoted(PARAMETER.decode())}" for i in range(len(types))]
    return f"SELECT {', '.join(outputs)}".encode()


def scalars(row: Sequence[bytes | None], types: Sequence[int], codec: str) -> tuple[Given, ...]:
    """The values of a row of :func:`decoded`, of parameters of these types. Numbers are exact; what
    JSON has no type for is text, as it is for the HTTP front."""
    return tuple(
        None if value is None else _read(value.decode(codec), whole=type_ not in _INEXACT)
        for value, type_ in zip(row, types, strict=True)
    )


def _read(value: str, *, whole: bool) -> Given:
    def number(text: str) -> Scalar:
        return int(text) if whole and len(text) <= _MOST_DIGITS else Decimal(text)

    read = json.loads(value, parse_float=Decimal, parse_int=number)
    if isinstance(read, list) and all(one is None or isinstance(one, Scalar) for one in read):
        return tuple(read)
    # What holds arrays or records is no constant of any question: refused for its type, as a text.
    return read if isinstance(read, Scalar) else value


def cost(
    body: Mapping[str, Any], notes: Sequence[str] = (), *, again: bool = False
) -> tuple[str, str]:
    """The NOTICE of an answer, and its detail: error bars, what it cost, and what is left."""
    loss, left, parts = body["loss"], body["remaining"], _bars(body)
    if again:
        parts.append("told you before, nothing debited")
    else:
        parts.append(f"cost epsilon {loss['epsilon']}")
        parts.append(
            f"left {left['analyst']['epsilon']} of yours, {left['dataset']['epsilon']} of all"
        )
    return "; ".join(parts), " ".join([*body["notices"], *notes])


def _bars(body: Mapping[str, Any]) -> list[str]:
    """For each noisy column its error bar, or the least and the largest of them."""
    told = []
    for index, column in enumerate(body["columns"]):
        cells = [row[index] for row in body["error_bars"]]
        each = [bar for cell in cells for bar in (cell if isinstance(cell, list) else [cell])]
        bars = [bar for bar in each if bar is not None]
        if bars:
            low, high = _short(min(bars)), _short(max(bars))
            days = " days" if column["type"].startswith(("date", "timestamp")) else ""
            told.append(f"{column['name']} ± {low if low == high else f'{low} to {high}'}{days}")
    return [f"{', '.join(told)} at 95 %"] if told else []


def _short(number: float) -> str:
    """Four digits that count, and never an exponent."""
    return f"{Decimal(f'{number:.4g}'):f}"
