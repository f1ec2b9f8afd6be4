"""The plan as SQL: our own text, printed from the typed form and from nothing else.

Every operation stands in its own parentheses, every name is quoted and qualified by an alias of ours,
every constant of the analyst or the policy is a parameter inside a CAST. Integers that epsql computed
itself stand in the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from analyzer.catalog import Scalar, Table, ValuesFrom
from analyzer.expressions import Aggregate, Constant, Expr, Ref
from analyzer.functions import render
from analyzer.functions.base import as_type
from analyzer.keys import Keys
from analyzer.measures import Count, Mean, Measure, Sum, decimal
from analyzer.plan import SELECTION_KEY, Parameter, Statement
from analyzer.relation import Derived, Join, Query, Relation, Scan
from analyzer.types import Type


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class Printer:
    """Prints expressions and relations; collects the parameters in order of first use."""

    def __init__(self, catalog_tables: dict[str, Table], first_parameter: int = 1) -> None:
        self.tables = catalog_tables
        self.first = first_parameter
        self.parameters: list[Parameter] = []

    def parameter(self, value: Scalar | None | object, type_name: str) -> str:
        self.parameters.append(value)  # type: ignore[arg-type]
        return f"CAST(${self.first + len(self.parameters) - 1} AS {type_name})"

    def expression(self, expression: Expr) -> str:
        """The expression in its ``facts.stored`` type."""
        if isinstance(expression, Ref):
            return f"{expression.alias}.{quoted(expression.name)}"
        if isinstance(expression, Constant):
            return self.parameter(expression.value, expression.facts.stored.value)
        assert not isinstance(expression, Aggregate), "aggregates are planned before printing"
        return render(expression, [self.expression(arg) for arg in expression.args])

    def relation(self, relation: Relation) -> str:
        """The relation as an item of FROM."""
        if isinstance(relation, Scan):
            return self._scan(relation)
        if isinstance(relation, Derived):
            columns = [f"{self.expression(e)} AS c{i}" for i, e in enumerate(relation.columns)]
            if relation.owner is not None:
                columns.append(f"{self.expression(relation.owner)} AS owner")
            listed = ", ".join(columns) or "1 AS nothing"
            source = self.relation(relation.source)
            where = f" WHERE {self.expression(relation.where)}" if relation.where else ""
            return f"(SELECT {listed} FROM {source}{where}) AS {relation.alias}"
        assert isinstance(relation, Join)
        left, right = self.relation(relation.left), self.relation(relation.right)
        if relation.on is None:
            return f"({left} CROSS JOIN {right})"
        kind = "LEFT JOIN" if relation.outer else "JOIN"
        return f"({left} {kind} {right} ON {self.expression(relation.on)})"

    def _scan(self, scan: Scan) -> str:
        """A table; where the owner is further down the path, joined along it."""
        table = scan.table
        if len(table.path) < 2:
            return f"{_relation_name(table)} AS {scan.alias}"
        columns = [f"p0.{quoted(name)}" for name in table.columns]
        source, at = f"{_relation_name(table)} AS p0", "p0"
        for step, hop in enumerate(table.path[:-1], start=1):
            parent = _relation_name(self.tables[hop.table])
            on = f"({at}.{quoted(hop.column)} = p{step}.{quoted(hop.key)})"
            source, at = f"({source} JOIN {parent} AS p{step} ON {on})", f"p{step}"
        columns.append(f"{at}.{quoted(table.path[-1].column)} AS owner")
        return f"(SELECT {', '.join(columns)} FROM {source}) AS {scan.alias}"


def _relation_name(table: Table) -> str:
    return f"{quoted(table.schema)}.{quoted(table.relation)}"


def exact_statement(
    query: Query, keys: Keys, measures: Sequence[Measure], tables: dict[str, Table]
) -> Statement:
    """The SQL that runs on protected data: rows, contributions bounded per unit, sums per group.

    Three layers. ``rows`` has the owner, the keys and the arguments of every row that counts.
    ``parts`` has what each unit contributes to each of its groups, bounded. The outermost adds the parts
    up, together with a zero for every public key, so that public keys all appear.
    """
    printer = Printer(tables)
    arguments = _arguments(measures)
    cells = sum(m.cells for m in measures)
    key_names = [f"k{i}" for i in range(len(keys.expressions))]
    rows = _rows(printer, query, keys, arguments)
    parts = _parts(printer, query, keys, measures, arguments, rows)
    cell_names = [f"c{i}" for i in range(cells)]
    listed = ", ".join([*key_names, *cell_names])
    if keys.public:
        parts += f"\nUNION ALL\n{_zeros(printer, keys, cells, tables)}"
    sums = ", ".join([*key_names, *(f"sum(u.{c}) AS {c}" for c in cell_names)])
    text = f"SELECT {sums or '1 AS nothing'}\nFROM (\n{parts}\n) AS u ({listed or 'nothing'})"
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
    """Conditions that drop the rows whose keys are not among the public ones."""
    conditions = []
    for i, key in enumerate(keys.expressions):
        if key.facts.total_domain:
            continue
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
        f"SELECT DISTINCT {column} AS k FROM {_relation_name(table)} AS d"
        f" WHERE (d.{quoted(domain.column)} IS NOT NULL)"
    )


def _zeros(printer: Printer, keys: Keys, cells: int, tables: dict[str, Table]) -> str:
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


def _parts(
    printer: Printer,
    query: Query,
    keys: Keys,
    measures: Sequence[Measure],
    arguments: Sequence[Expr],
    rows: str,
) -> str:
    """What each unit contributes to each group, bounded in rows, groups and values."""
    names = [f"k{i}" for i in range(len(keys.expressions))]
    one_row = query.owned.rows == 1
    cells: list[str] = []
    for measure in measures:
        index = arguments.index(measure.argument) if measure.argument is not None else None
        name = None if index is None else f"r.v{index}"
        cells += _one_row_cells(measure, name) if one_row else _unit_cells(measure, name)
    columns = [*(f"r.{n}" for n in names), *(f"{c} AS c{i}" for i, c in enumerate(cells))]
    if one_row:
        return f"SELECT {', '.join(columns) or '1'} FROM (\n{rows}\n) AS r"
    grouping = ", ".join(["r.owner", *(f"r.{n}" for n in names)])
    if not keys.select_groups:
        return f"SELECT {', '.join(columns) or '1'} FROM (\n{rows}\n) AS r GROUP BY {grouping}"
    secret = printer.parameter(SELECTION_KEY, "bigint")
    # Which groups of a unit count depends on that unit alone: a keyed hash of its own owner and
    # keys, ties broken by the keys. Other units' choices stay the same with or without it.
    order = ", ".join([f"hash_record_extended(ROW({grouping}), {secret})", *(f"r.{n}" for n in names)])
    columns.append(f"row_number() OVER (PARTITION BY r.owner ORDER BY {order}) AS pick")
    inner = f"SELECT {', '.join(columns)} FROM (\n{rows}\n) AS r GROUP BY {grouping}"
    kept = ", ".join([*names, *(f"c{i}" for i in range(len(cells)))])
    return f"SELECT {kept} FROM (\n{inner}\n) AS b WHERE b.pick <= {keys.max_groups}"


def _one_row_cells(measure: Measure, name: str | None) -> list[str]:
    """The cells of a unit that has one row: the row itself, its value clamped."""
    if isinstance(measure, Count):
        return ["1" if name is None else f"CASE WHEN {name} IS NULL THEN 0 ELSE 1 END"]
    assert name is not None
    return [f"CASE WHEN {name} IS NULL THEN 0 ELSE {p} END" for p in _points(measure, name)]


def _unit_cells(measure: Measure, name: str | None) -> list[str]:
    """The cells of a unit with any number of rows in the group: totals, clamped or scaled."""
    if isinstance(measure, Count):
        return [f"LEAST(count({name or '*'}), {measure.cap})"]
    assert name is not None
    sums = [
        f"sum(CASE WHEN {name} IS NULL THEN 0 ELSE {p} END)" for p in _points(measure, name)
    ]
    cap = measure.cap
    if isinstance(measure, Sum):
        low, high = cap * min(measure.lower, 0), cap * max(measure.upper, 0)
        return [f"LEAST(GREATEST({sums[0]}, {low}), {high})"]
    return [
        f"CASE WHEN count({name}) > {cap} THEN div(CAST({s} AS numeric) * {cap}, count({name}))"
        f" ELSE CAST({s} AS numeric) END"
        for s in sums
    ]


def _points(measure: Sum | Mean, name: str) -> list[str]:
    """A row's value in grid steps, clamped: as it is for a sum, from both bounds for a mean."""
    point = _grid_point(measure, name)
    if isinstance(measure, Sum):
        return [point]
    return [f"({point} - {_integer(measure.lower)})", f"({_integer(measure.upper)} - {point})"]


def _grid_point(measure: Sum | Mean, name: str) -> str:
    low, high, tick = measure.lower, measure.upper, measure.tick
    stored = measure.argument.facts.stored
    whole = "integer" if max(abs(low), abs(high)) < 2**30 else "bigint"
    if stored.is_integer and tick == 1:
        return f"CAST(LEAST(GREATEST({name}, {_integer(low)}), {_integer(high)}) AS {whole})"
    lower, upper = _number(low * tick), _number(high * tick)
    if stored is Type.FLOAT8 and (1 / tick).denominator == 1:
        # A factor of at least one cannot underflow, and the clamp before it rules out overflow.
        kept = f"LEAST(GREATEST({name}, CAST('{lower}' AS double precision)), CAST('{upper}' AS double precision))"
        steps = f"CAST(round({kept} * CAST('{1 / tick}' AS double precision)) AS bigint)"
        return f"CAST(LEAST(GREATEST({steps}, {_integer(low)}), {_integer(high)}) AS {whole})"
    value = as_type(name, measure.argument, Type.NUMERIC)
    kept = f"LEAST(GREATEST({value}, CAST('{lower}' AS numeric)), CAST('{upper}' AS numeric))"
    return f"CAST(round({kept} / CAST('{_number(tick)}' AS numeric)) AS {whole})"


def _integer(value: int) -> str:
    return f"CAST({value} AS bigint)" if abs(value) >= 2**31 else str(value) if value >= 0 else f"({value})"


def _number(value: Fraction) -> str:
    return format(decimal(value), "f")

