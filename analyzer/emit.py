"""The plan as SQL: our own text, printed from the typed form and from nothing else.

Every operation stands in its own parentheses, every name is quoted and qualified by an alias of
ours, every constant of the analyst or the policy is a parameter inside a CAST. Integers that epsql
computed itself stand in the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from analyzer.catalog import Scalar, Table, ValuesFrom
from analyzer.expressions import Aggregate, Constant, Expr, Ref
from analyzer.functions import render
from analyzer.functions.base import as_type
from analyzer.keys import Keys
from analyzer.measures import Bounds, Count, Mean, Measure, People, Sum, decimal
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

    def parameter(self, value: Scalar | object | None, type_name: str) -> str:
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
    parts = _parts(printer, keys, bounds, measures, arguments, rows)
    cell_names = [f"c{i}" for i in range(cells)]
    listed = ", ".join([*key_names, *cell_names])
    if keys.public:
        parts += f"\nUNION ALL\n{_zeros(printer, keys, cells)}"
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


def _parts(
    printer: Printer,
    keys: Keys,
    bounds: Bounds,
    measures: Sequence[Measure],
    arguments: Sequence[Expr],
    rows: str,
) -> str:
    """What each unit contributes to each group, bounded in rows, groups and values."""
    names = [f"k{i}" for i in range(len(keys.expressions))]
    inputs = [None if m.argument is None else f"r.v{arguments.index(m.argument)}" for m in measures]
    listed = [f"r.{name}" for name in names]
    if bounds.one_row:
        cells = [c for m, name in zip(measures, inputs, strict=True) for c in _row_cells(m, name)]
        return f"{_select([*listed, *_numbered(cells)])} FROM (\n{rows}\n) AS r"
    totals = [c for m, name in zip(measures, inputs, strict=True) for c in _totals(m, name)]
    grouping = ", ".join(["r.owner", *listed])
    if bounds.one_group:
        # One group a unit: its totals are all there is of it, and are bounded on the spot.
        cells = _bounded(measures, totals, [_norm(m, t) for m, t in _split(measures, totals)])
        columns = _select([*listed, *_numbered(cells)])
        return f"{columns} FROM (\n{rows}\n) AS r GROUP BY {grouping}"
    columns = _select(["r.owner", *listed, *_numbered(totals)])
    pairs = f"{columns} FROM (\n{rows}\n) AS r GROUP BY {grouping}"
    chosen = _chosen(printer, keys, bounds, measures, names)
    if chosen is not None:
        pairs = f"SELECT b.*, {chosen} AS pick FROM (\n{pairs}\n) AS b"
        if not keys.public:
            pairs = f"SELECT * FROM (\n{pairs}\n) AS p WHERE p.pick <= {bounds.max_groups}"
    return _scaled(measures, names, pairs, bounds, picked=chosen is not None and keys.public)


def _select(columns: Sequence[str]) -> str:
    return f"SELECT {', '.join(columns) or '1'}"


def _numbered(cells: Sequence[str]) -> list[str]:
    return [f"{text} AS c{i}" for i, text in enumerate(cells)]


def _split(measures: Sequence[Measure], cells: Sequence[str]) -> list[tuple[Measure, list[str]]]:
    """Each measure with its own cells."""
    found, first = [], 0
    for measure in measures:
        found.append((measure, list(cells[first : first + measure.cells])))
        first += measure.cells
    return found


def _chosen(
    printer: Printer, keys: Keys, bounds: Bounds, measures: Sequence[Measure], names: list[str]
) -> str | None:
    """The rank of a group among its unit's groups, where a unit may count in some of them only.

    Which ones depends on that unit alone: a keyed hash of its own owner and keys, ties broken by
    the keys. The choices of all other units are the same with and without it.
    """
    enough = keys.possible is not None and keys.possible <= bounds.max_groups
    if enough or not any(isinstance(m, People) for m in measures):
        return None
    secret = printer.parameter(SELECTION_KEY, "bigint")
    own = ", ".join(f"b.{name}" for name in ("owner", *names))
    ties = "".join(f", b.{name}" for name in names)
    order = f"hash_record_extended(ROW({own}), {secret}){ties}"
    return f"row_number() OVER (PARTITION BY b.owner ORDER BY {order})"


def _scaled(
    measures: Sequence[Measure], names: list[str], pairs: str, bounds: Bounds, *, picked: bool
) -> str:
    """The pairs with every measure's norm over the unit's groups held to its limit."""
    cells = [f"q.c{i}" for i in range(sum(m.cells for m in measures))]
    norms, sums = [], []
    for i, (measure, own) in enumerate(_split(measures, cells)):
        norms.append(f"n.n{i}")
        if not isinstance(measure, People):
            sums.append(f"sum({_norm(measure, own)}) OVER (PARTITION BY q.owner) AS n{i}")
    inner = f"SELECT {', '.join(['q.*', *sums])} FROM (\n{pairs}\n) AS q"
    outer = [c.replace("q.", "n.") for c in cells]
    bounded = _bounded(measures, outer, norms)
    if picked:
        for i, (measure, _) in enumerate(_split(measures, cells)):
            if isinstance(measure, People):
                at = sum(m.cells for m in measures[:i])
                bounded[at] = (
                    f"CASE WHEN n.pick <= {bounds.max_groups} THEN {bounded[at]} ELSE 0 END"
                )
    columns = _select([*(f"n.{name}" for name in names), *_numbered(bounded)])
    return f"{columns} FROM (\n{inner}\n) AS n"


def _norm(measure: Measure, cells: Sequence[str]) -> str:
    """The L1 norm of a unit's cells in one group, as SQL. Cells of counts and means are not
    negative."""
    if isinstance(measure, Sum) and measure.lower < 0:
        return f"abs({cells[0]})"
    return " + ".join(cells)


def _bounded(measures: Sequence[Measure], cells: Sequence[str], norms: Sequence[str]) -> list[str]:
    """Cells scaled by limit / norm where the norm passes the limit, rounded towards zero."""
    bounded = []
    for (measure, own), norm in zip(_split(measures, cells), norms, strict=True):
        if isinstance(measure, People):
            bounded.append(f"LEAST({own[0]}, 1)")
            continue
        limit = _integer(measure.limit)
        bounded += [
            f"CASE WHEN {norm} > {limit} THEN div(CAST({cell} AS numeric) * {limit}, {norm})"
            f" ELSE CAST({cell} AS numeric) END"
            for cell in own
        ]
    return bounded


def _row_cells(measure: Measure, name: str | None) -> list[str]:
    """The cells of a unit that has one row: the row itself, its value clamped."""
    if isinstance(measure, Count | People):
        return ["1" if name is None else f"CASE WHEN {name} IS NULL THEN 0 ELSE 1 END"]
    assert name is not None
    return [f"CASE WHEN {name} IS NULL THEN 0 ELSE {p} END" for p in _points(measure, name)]


def _totals(measure: Measure, name: str | None) -> list[str]:
    """The cells of a unit's rows in one group, before they are bounded."""
    if isinstance(measure, People):
        return [f"count({name or '*'})"]
    if isinstance(measure, Count):
        share = int(1 / measure.tick)
        return [f"count({name or '*'})" if share == 1 else f"(count({name or '*'}) * {share})"]
    assert name is not None
    return [f"sum(CASE WHEN {name} IS NULL THEN 0 ELSE {p} END)" for p in _points(measure, name)]


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
        floor, ceiling = (f"CAST('{x}' AS double precision)" for x in (lower, upper))
        kept = f"LEAST(GREATEST({name}, {floor}), {ceiling})"
        steps = f"CAST(round({kept} * CAST('{1 / tick}' AS double precision)) AS bigint)"
        return f"CAST(LEAST(GREATEST({steps}, {_integer(low)}), {_integer(high)}) AS {whole})"
    value = as_type(name, measure.argument, Type.NUMERIC)
    kept = f"LEAST(GREATEST({value}, CAST('{lower}' AS numeric)), CAST('{upper}' AS numeric))"
    return f"CAST(round({kept} / CAST('{_number(tick)}' AS numeric)) AS {whole})"


def _integer(value: int) -> str:
    return (
        f"CAST({value} AS bigint)"
        if abs(value) >= 2**31
        else str(value)
        if value >= 0
        else f"({value})"
    )


def _number(value: Fraction) -> str:
    return format(decimal(value), "f")
