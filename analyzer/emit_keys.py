"""Group keys as SQL: their canonical form, and lists of all values that a public key can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from analyzer.catalog import Scalar, ValuesFrom
from analyzer.dates import DAY, moment
from analyzer.domains import inputs_of
from analyzer.expressions import Call, Computed, Domain, Expr, Ref, Steps
from analyzer.functions.base import as_type
from analyzer.measures import decimal
from analyzer.printing import Printer, quoted, relation_name
from analyzer.types import Type


def canonical(text: str, key: Expr) -> str:
    """Printed ``key`` so that values that are equal are the same in every way."""
    if key.type is Type.TEXT:
        return f'({text} COLLATE "C")'
    if key.facts.stored in (Type.NUMERIC, Type.FLOAT8):
        return f"trim_scale({as_type(text, key, Type.NUMERIC)})"
    return text


def held(printer: Printer, key: Expr, name: str) -> str:
    """A condition that drops the rows whose key, the column ``name``, is not a public one.

    Also where no row should have another key: no key may depend on a wrong declaration.
    """
    domain = key.facts.domain
    if isinstance(domain, tuple):
        values = _values(printer, key, domain)
        test = f"({name} IN ({', '.join(values)}))" if values else "(false)"
    elif isinstance(domain, Steps) and domain.step == 1 and key.facts.stored.is_integer:
        first, last = (printer.parameter(int(x), "bigint") for x in (domain.first, domain.last))
        test = f"({name} BETWEEN {first} AND {last})"
    else:
        test = f"({name} IN ({_list(printer, key, domain)}))"
    return f"({test} OR ({name} IS NULL))" if key.nullable else test


MAX_KEY_BYTES = 10_000
"""The longest text that is shown as a key which is not declared: as long as a column can hold would
be a gigabyte, fetched for every group before its threshold is asked."""
_MOST_BYTES = 4
"""Of one character, in any encoding of the server."""


def is_long(key: Expr) -> bool:
    """Whether values of a key may be longer than is shown."""
    length = key.facts.physical.upper
    return key.type is Type.TEXT and (length is None or length * _MOST_BYTES > MAX_KEY_BYTES)


def fits(name: str) -> str:
    """A condition that drops the rows whose key, the column ``name``, is longer than is shown."""
    return f"((octet_length({name}) <= {MAX_KEY_BYTES}) OR ({name} IS NULL))"


def choices(printer: Printer, key: Expr) -> str:
    """A query for the public values of a key in canonical form, with NULL where it can be NULL."""
    listed = _list(printer, key, key.facts.domain)
    if not key.nullable:
        return listed
    missing = f"SELECT CAST(NULL AS {_stored(key)})"
    if key.type is Type.TEXT:
        missing += ' COLLATE "C"'
    return f"{listed} UNION ALL {missing}"


def _stored(key: Expr) -> Type:
    return Type.NUMERIC if key.facts.stored is Type.FLOAT8 else key.facts.stored


def _list(printer: Printer, key: Expr, domain: Domain | None) -> str:
    """A query for the values of a domain, without NULL."""
    match domain:
        case ValuesFrom():
            return _from_table(printer, key, domain)
        case Steps():
            return _from_steps(printer, key, domain)
        case Computed():
            return _from_inputs(printer, domain.expression or key, domain.size)
        case _:
            values = _values(printer, key, domain or ())
            nothing = f"SELECT CAST(NULL AS {_stored(key)}) WHERE false"
            return f"VALUES ({'), ('.join(values)})" if values else nothing


def _values(printer: Printer, key: Expr, values: Sequence[Scalar]) -> list[str]:
    stored = _stored(key)
    texts = [printer.parameter(value, stored) for value in values]
    if stored is Type.NUMERIC:
        return [f"trim_scale({text})" for text in texts]
    return [f'({text} COLLATE "C")' for text in texts] if stored is Type.TEXT else texts


def _from_table(printer: Printer, key: Expr, domain: ValuesFrom) -> str:
    table = printer.tables[domain.table]
    column = f"d.{quoted(domain.column)}"
    if key.type is Type.TEXT:
        column = f'(CAST({column} AS text) COLLATE "C")'
    elif key.facts.stored in (Type.NUMERIC, Type.FLOAT8):
        column = f"trim_scale(CAST({column} AS numeric))"
    return (
        f"SELECT DISTINCT {column} AS k FROM {relation_name(table)} AS d"
        f" WHERE (d.{quoted(domain.column)} IS NOT NULL)"
    )


def _from_steps(printer: Printer, key: Expr, domain: Steps) -> str:
    if isinstance(domain.step, str) or key.facts.stored is Type.TIMESTAMP:
        ends = (printer.parameter(moment(x), "timestamp") for x in (domain.first, domain.last))
        by = "3 months" if domain.step == "quarter" else f"1 {domain.step}"
        if not isinstance(domain.step, str):
            by = f"PT{int(domain.step * DAY)}S"
        series = f"generate_series({', '.join(ends)}, CAST('{by}' AS interval))"
        return f"SELECT s.k FROM {series} AS s (k)"
    numbers = (domain.first, domain.last, domain.step)
    ends = (printer.parameter(decimal(x), "numeric") for x in numbers)
    value = "s.k"
    if key.facts.stored is Type.DATE:
        value = "(CAST('1970-01-01' AS date) + CAST(s.k AS integer))"
    elif key.facts.stored.is_integer:
        value = f"CAST(s.k AS {key.facts.stored})"
    else:
        value = "trim_scale(s.k)"
    return f"SELECT {value} AS k FROM generate_series({', '.join(ends)}) AS s (k)"


def _from_inputs(printer: Printer, expression: Expr, most: int | None) -> str:
    """The values of an expression over all public values of its inputs.

    The same text that computes it for rows computes it here. The limit can cut nothing off, unless
    what the analyzer says of ranges is wrong; then it keeps the number of keys to what was said.
    """
    columns: list[tuple[Expr, Expr]] = []
    sources = []
    for i, leaf in enumerate(inputs_of(expression) or ()):
        columns.append((leaf, Ref(f"x{i}", "k", leaf.type, leaf.nullable, leaf.facts)))
        value = f"CAST(v.k AS {leaf.facts.stored})"
        if leaf.type is Type.TEXT:
            value += ' COLLATE "default"'
        sources.append(f"(SELECT {value} FROM ({choices(printer, leaf)}) AS v (k)) AS x{i} (k)")
    value = canonical(printer.expression(_over(expression, columns)), expression)
    text = f"SELECT DISTINCT {value} AS k FROM {' CROSS JOIN '.join(sources)}"
    text = f"SELECT y.k FROM ({text}) AS y WHERE (y.k IS NOT NULL)"
    return text if most is None else f"SELECT w.k FROM ({text} ORDER BY y.k LIMIT {most}) AS w"


def _over(expression: Expr, columns: Sequence[tuple[Expr, Expr]]) -> Expr:
    """The expression with other columns in place of its inputs."""
    # Compared, not hashed: a hash reads all of an expression, at every level of it.
    for leaf, column in columns:
        if expression == leaf:
            return column
    if isinstance(expression, Call):
        args = tuple(_over(arg, columns) for arg in expression.args)
        return replace(expression, args=args)
    return expression
