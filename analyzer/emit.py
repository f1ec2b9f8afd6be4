"""The statement that runs on protected data, printed from the plan and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from analyzer.catalog import Scalar, Table, ValuesFrom
from analyzer.emit_bounds import parts
from analyzer.expressions import Expr
from analyzer.functions.base import as_type
from analyzer.keys import Keys
from analyzer.measures import Bounds, Measure
from analyzer.plan import Statement
from analyzer.printing import Printer, quoted, relation_name
from analyzer.relation import Query
from analyzer.types import Type


def exact_statement(
    query: Query,
    keys: Keys,
    bounds: Bounds,
    measures: Sequence[Measure],
    tables: dict[str, Table],
) -> Statement:
    """The SQL that runs on protected data: rows, contributions bounded per unit, sums per group.

    Three layers. ``rows`` has the owner, the keys and the arguments of every row that counts.
    ``parts`` has what each unit contributes to each of its groups, bounded. The outermost adds the
    parts up, together with a zero for every public key, so that public keys all appear.
    """
    printer = Printer(tables)
    arguments = _arguments(measures)
    cells = sum(m.cells for m in measures)
    key_names = [f"k{i}" for i in range(len(keys.expressions))]
    rows = _rows(printer, query, keys, arguments)
    contributed = parts(printer, keys, bounds, measures, arguments, rows)
    cell_names = [f"c{i}" for i in range(cells)]
    listed = ", ".join([*key_names, *cell_names])
    if keys.public:
        contributed += f"\nUNION ALL\n{_zeros(printer, keys, cells)}"
    sums = ", ".join([*key_names, *(f"sum(u.{c}) AS {c}" for c in cell_names)])
    text = f"SELECT {sums or '1 AS nothing'}\nFROM (\n{contributed}\n) AS u ({listed or 'nothing'})"
    if key_names:
        text += f"\nGROUP BY {', '.join(key_names)}\nORDER BY {', '.join(key_names)}"
    return Statement(text, tuple(printer.parameters))


def _arguments(measures: Sequence[Measure]) -> list[Expr]:
    found: list[Expr] = []
    for measure in measures:
        if measure.argument is not None and measure.argument not in found:
            found.append(measure.argument)
    return found


def _rows(printer: Printer, query: Query, keys: Keys, arguments: Sequence[Expr]) -> str:
    assert query.owned.owner is not None
    owner = printer.expression(query.owned.owner)
    columns = [f"{owner} AS owner"]
    columns += [f"{key_text(printer, key)} AS k{i}" for i, key in enumerate(keys.expressions)]
    columns += [f"{printer.expression(a)} AS v{i}" for i, a in enumerate(arguments)]
    text = f"SELECT {', '.join(columns)} FROM {printer.relation(query.source)}"
    conditions = [f"({owner} IS NOT NULL)"]
    if query.where is not None:
        conditions.append(printer.expression(query.where))
    text += f" WHERE {' AND '.join(conditions)}"
    held = _held(printer, keys) if keys.public else []
    if held:
        text = f"SELECT * FROM ({text}) AS h WHERE {' AND '.join(held)}"
    return text


def key_text(printer: Printer, key: Expr) -> str:
    """A group key in a canonical form: equal values look equal, whichever row shows them."""
    text = printer.expression(key)
    if key.type is Type.TEXT:
        return f'({text} COLLATE "C")'
    if key.facts.stored in (Type.NUMERIC, Type.FLOAT8):
        return f"trim_scale({as_type(text, key, Type.NUMERIC)})"
    return text


def _held(printer: Printer, keys: Keys) -> list[str]:
    """Conditions that drop the rows whose keys are not among the public ones.

    Also where no row should have another key: no key may depend on a wrong declaration.
    """
    conditions = []
    for i, key in enumerate(keys.expressions):
        name, domain = f"h.k{i}", key.facts.domain
        if isinstance(domain, ValuesFrom):
            listed = _public_values(printer, key, domain)
            test = f"({name} IN ({listed}))"
        else:
            values = [_value(printer, key, v) for v in domain or ()]
            test = f"({name} IN ({', '.join(values)}))" if values else "(false)"
        conditions.append(f"({test} OR ({name} IS NULL))" if key.nullable else test)
    return conditions


def _value(printer: Printer, key: Expr, value: Scalar) -> str:
    stored = Type.NUMERIC if key.facts.stored is Type.FLOAT8 else key.facts.stored
    text = printer.parameter(value, stored.value)
    if stored is Type.NUMERIC:
        return f"trim_scale({text})"
    return f'({text} COLLATE "C")' if stored is Type.TEXT else text


def _public_values(printer: Printer, key: Expr, domain: ValuesFrom) -> str:
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


def _zeros(printer: Printer, keys: Keys, cells: int) -> str:
    """One row of zeros for every combination of public keys; one row without keys."""
    sources = []
    for i, key in enumerate(keys.expressions):
        domain = key.facts.domain
        if isinstance(domain, ValuesFrom):
            choices = _public_values(printer, key, domain)
        else:
            values = [f"({_value(printer, key, v)})" for v in domain or ()]
            choices = f"VALUES {', '.join(values)}" if values else ""
        if key.nullable:
            stored = Type.NUMERIC if key.facts.stored is Type.FLOAT8 else key.facts.stored
            missing = f"SELECT CAST(NULL AS {stored.value})"
            if stored is Type.TEXT:
                missing += ' COLLATE "C"'
            choices = f"{choices} UNION ALL {missing}" if choices else missing
        sources.append(f"({choices}) AS z{i} (k)")
    columns = [*(f"z{i}.k" for i in range(len(sources))), *(["0"] * cells)]
    text = f"SELECT {', '.join(columns) or '1'}"
    return f"{text} FROM {' CROSS JOIN '.join(sources)}" if sources else text
