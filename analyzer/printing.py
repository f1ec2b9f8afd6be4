"""Expressions and relations as SQL text: our own printer, and the only one.

Every operation stands in its own parentheses, every name is quoted and qualified by an alias of
ours, every constant of the analyst or the policy is a parameter inside a CAST. Integers that epsql
computed itself stand in the text.
"""

from __future__ import annotations

from collections.abc import Sequence

from analyzer.canonical import (
    alias_mark,
    in_order,
    numbered,
    operands,
    order,
    plain_form,
    value_mark,
)
from analyzer.canonical_joins import in_steps, inside, owner_in, parts
from analyzer.catalog import Table
from analyzer.expressions import (
    Aggregate,
    Call,
    Constant,
    Exists,
    Expr,
    OverRows,
    Ref,
    SortKey,
    Within,
)
from analyzer.functions import render
from analyzer.functions.base import as_type
from analyzer.functions.comparison import same_storage
from analyzer.functions.text import to_convert
from analyzer.growth import BYTES_OF_A_ROW
from analyzer.own_aggregates import group_form, plain
from analyzer.own_aggregates import render as render_own
from analyzer.plan import Parameter, Statement
from analyzer.relation import (
    Ceiling,
    Derived,
    Grouped,
    Join,
    OwnAggregate,
    Relation,
    Scan,
    Union,
)
from analyzer.types import Type
from analyzer.units import rows_per_unit


def direction(key: SortKey) -> str:
    nulls = "FIRST" if key.nulls_first else "LAST"
    return f"{'DESC' if key.descending else 'ASC'} NULLS {nulls}"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class Printer:
    """Prints expressions and relations as texts with marks, which :meth:`statement` numbers."""

    def __init__(
        self,
        catalog_tables: dict[str, Table],
        first_parameter: int = 1,
        *,
        ceiling: Ceiling | None = None,
    ) -> None:
        """``ceiling``: units that have more in a table are left out of it."""
        self.tables = catalog_tables
        self._ceiling = ceiling
        self._first = first_parameter
        self.marks: dict[str, Parameter] = {}
        """The parameters that were printed so far, by their marks."""
        self._ranks: dict[str, int] = {}
        self._aliases: dict[str, str] = {}
        self._known: set[str] = set()
        self._last: Relation | None = None
        self._names: dict[tuple[str, str], str] = {}
        """What columns of subqueries are called, which are in the order of their texts."""

    def statement(self, text: str) -> Statement:
        """A whole text, with its parameters numbered."""
        return numbered(text, self.marks, self._first)

    def over(self, relation: Relation) -> Printer:
        """This printer, its marks of aliases and names of columns being those of the relation's
        one order."""
        if relation is self._last:
            return self
        self._last = relation
        for one in inside(relation):
            if one.alias in self._known:
                continue
            self._known.add(one.alias)
            self._alias(one.alias)
            if isinstance(one, Derived):
                self._name(one.alias, "c", [self.expression(e) for e in one.columns])
            elif isinstance(one, Grouped):
                self._name(one.alias, "k", [self.expression(e) for e in one.keys])
                self._name(one.alias, "a", [self._own(a) for a in one.aggregates])
        return self

    def _name(self, alias: str, letter: str, texts: Sequence[str]) -> None:
        ranked = sorted(range(len(texts)), key=lambda i: order(texts[i]))
        for number, i in enumerate(ranked):
            self._names[alias, f"{letter}{i}"] = f"{letter}{number}"

    def _named(self, alias: str, letter: str, texts: Sequence[str]) -> list[str]:
        """Texts under their names, in the order of these."""
        names = (f"{letter}{i}" for i in range(len(texts)))
        named = {self._names.get((alias, n), n): text for n, text in zip(names, texts, strict=True)}
        return [f"{named[name]} AS {name}" for name in (f"{letter}{i}" for i in range(len(texts)))]

    def _alias(self, alias: str) -> str:
        mark = self._aliases.get(alias)
        if mark is None:
            mark = self._aliases[alias] = alias_mark(alias, self._ranks)
        return mark

    def parameter(self, value: Parameter, type_name: str) -> str:
        mark = value_mark(value)
        self.marks[mark] = value
        return f"CAST({mark} AS {type_name})"

    def expression(self, expression: Expr) -> str:
        """The expression in its ``facts.stored`` type."""
        if isinstance(expression, Ref):
            name = self._names.get((expression.alias, expression.name), expression.name)
            return f"{self._alias(expression.alias)}.{quoted(name)}"
        if isinstance(expression, Constant):
            return self.parameter(expression.value, expression.facts.stored)
        if isinstance(expression, Exists):
            return f"(EXISTS (SELECT 1 FROM {self.source(expression.source, expression.where)}))"
        if isinstance(expression, Within):
            sides = (expression.value, expression.column)
            value, column = same_storage(sides, [self.expression(e) for e in sides])
            return f"({value} IN (SELECT {column} FROM {self.relation(expression.source)}))"
        if isinstance(expression, OverRows):
            return self._over_rows(expression)
        assert not isinstance(expression, Aggregate), "aggregates are planned before printing"
        plain = plain_form(expression)
        if not isinstance(plain, Call):
            return self.expression(plain)
        args = operands(plain)
        call, texts = in_order(plain, args, [self.expression(arg) for arg in args])
        if len(texts) == 1 and call.function in {"and", "or", "coalesce"}:  # the same, said twice
            return as_type(texts[0], call.args[0], call.facts.stored)
        return render(call, texts)

    def _over_rows(self, window: OverRows) -> str:
        """Its partition is one unit's in any case, and its order complete where it matters."""
        args = [self.expression(arg) for arg in window.args]
        call = f"{window.function}({''.join(args)}{window.detail})"
        if window.aggregate is not None:
            call = render_own(window.aggregate, "".join(args), "", over=True)
        forms = sorted(map(self._group_form, window.partition), key=order)
        by = list(dict.fromkeys((self.expression(window.owner), *forms)))
        keys = [self._own_order(key) for key in window.order]
        if window.ordered_by_all:
            assert window.ties, "rows of one unit are in an order of their own"
            ties = set(map(self._group_form, window.ties)) - set(by)
            keys += sorted(ties, key=order)
        ordered = f" ORDER BY {', '.join(keys)}" if keys else ""
        over = f"{call} OVER (PARTITION BY {', '.join(by)}{ordered})"
        extreme = window.function in ("min", "max")
        return plain(over, window.facts.stored) if extreme else f"({over})"

    def _group_form(self, expression: Expr) -> str:
        return group_form(self.expression(expression), expression.facts.stored)

    def _own_order(self, key: SortKey) -> str:
        text = self.expression(key.expression)
        if key.expression.type is Type.TEXT:
            text = f'({to_convert(text, key.expression)} COLLATE "default")'
        return f"{text} {direction(key)}"

    def source(self, relation: Relation, where: Expr | None, *more: str) -> str:
        """FROM's item and WHERE, if there is anything to demand: ``more`` first."""
        self.over(relation)
        items, conditions = parts(relation, where)
        steps, others = in_steps(items, conditions)
        text, demanded = self._joined(steps), self._all(others)
        listed = [*more, *([demanded] if demanded else [])]
        return f"{text} WHERE {' AND '.join(listed)}" if listed else text

    def _joined(self, steps: Sequence[tuple[Relation, Sequence[Expr]]]) -> str:
        text = ""
        for item, conditions in steps:
            on = self._all(conditions)
            kind = (
                f"JOIN {self.relation(item)} ON {on}" if on else f"CROSS JOIN {self.relation(item)}"
            )
            text = f"({text} {kind})" if text else self.relation(item)
        return text

    def _all(self, conditions: Sequence[Expr]) -> str:
        """All conditions as one, or nothing."""
        texts = sorted({self.expression(c) for c in conditions}, key=order)
        return f"({' AND '.join(texts)})" if len(texts) > 1 else "".join(texts)

    def relation(self, relation: Relation) -> str:
        """The relation as an item of FROM."""
        if isinstance(relation, Scan):
            return self._scan(relation)
        if isinstance(relation, Derived):
            return f"({self._select(relation)}) AS {self._alias(relation.alias)}"
        if isinstance(relation, Grouped):
            return f"({self._own_groups(relation)}) AS {self._alias(relation.alias)}"
        if isinstance(relation, Union):
            arms = [self._select(arm, relation.stored) for arm in relation.arms]
            return f"({' UNION ALL '.join(arms)}) AS {self._alias(relation.alias)}"
        assert isinstance(relation, Join)
        if relation.outer:
            assert relation.on is not None
            left, right = self.relation(relation.left), self.relation(relation.right)
            return f"({left} LEFT JOIN {right} ON {self.expression(relation.on)})"
        # In a left join there is no WHERE for what is demanded of one item alone.
        (*steps, (last, on)), others = in_steps(*parts(relation))
        return self._joined([*steps, (last, [*on, *others])])

    def leads(self, text: str, alias: str, table: str, key: str) -> str:
        """That a printed value is the key of a row; texts in the database's own collation."""
        if self.tables[table].columns[key].type is Type.TEXT:
            text = f'({text} COLLATE "default")'
        return f"({text} = {alias}.{quoted(key)})"

    def _select(self, derived: Derived, stored: Sequence[Type] | None = None) -> str:
        """A SELECT; as an arm of a union, with columns stored as in all its arms."""
        columns = [self.expression(e) for e in derived.columns]
        if stored is not None:
            typed = zip(columns, derived.columns, stored, strict=True)
            # Columns of texts may be declared with collations that do not mix.
            columns = [
                f'({text} COLLATE "default")' if to is Type.TEXT else as_type(text, e, to)
                for text, e, to in typed
            ]
        columns = self._named(derived.alias, "c", columns)
        if derived.owner is not None:
            owner = self.expression(owner_in(derived.source, derived.owner))
            if stored is not None and derived.owner.type is Type.TEXT:
                owner = f'({owner} COLLATE "default")'
            columns.append(f"{owner} AS owner")
        source = self.source(derived.source, derived.where)
        return f"SELECT {', '.join(columns) or '1 AS nothing'} FROM {source}"

    def _own_groups(self, grouped: Grouped) -> str:
        """Rows of one unit, and of no other, in each group: the owner is always grouped by."""
        columns, by = [], []
        if grouped.source.owner is not None:
            owner = f"{self._alias(grouped.source.alias)}.owner"
            columns.append(f"{owner} AS owner")
            by.append(owner)
        forms = [self._group_form(key) for key in grouped.keys]
        keys = [plain(f, key.facts.stored) for f, key in zip(forms, grouped.keys, strict=True)]
        by += sorted(forms, key=order)
        columns += self._named(grouped.alias, "k", keys)
        columns += self._named(grouped.alias, "a", [self._own(a) for a in grouped.aggregates])
        source = self.relation(grouped.source)
        # Of public rows there may be no keys; the group of all rows is there also without rows.
        return f"SELECT {', '.join(columns)} FROM {source} GROUP BY {', '.join(by) or '()'}"

    def _own(self, aggregate: OwnAggregate) -> str:
        argument, condition = (
            "" if ref is None else self.expression(ref)
            for ref in (aggregate.argument, aggregate.condition)
        )
        return render_own(aggregate, argument, condition)

    def _scan(self, scan: Scan) -> str:
        """A table; where the owner is further down the path, joined along it."""
        table, rows, ceiling = scan.table, self._rows_of(scan.table), self._ceiling
        if ceiling is None or scan.owner is None or rows_per_unit(table) == 1:
            return f"{rows} AS {self._alias(scan.alias)}"
        owner = quoted(scan.owner.name)
        few = f"SELECT w.{owner} FROM {rows} AS w GROUP BY w.{owner}"
        few += f" HAVING ({self._weight(scan, ceiling)} <= {ceiling.rows})"
        names = [*table.columns, *([scan.owner.name] if len(table.path) > 1 else [])]
        columns = ", ".join(f"s.{quoted(name)}" for name in names)
        text = f"SELECT {columns} FROM {rows} AS s WHERE (s.{owner} IN ({few}))"
        return f"({text}) AS {self._alias(scan.alias)}"

    def _weight(self, scan: Scan, ceiling: Ceiling) -> str:
        """How much of a table is a unit's: its rows, and its text by the length in bytes."""
        texts = [quoted(n) for n in scan.table.columns if (scan.alias, n) in ceiling.texts]
        bytes_ = " + ".join(f"COALESCE(sum(octet_length(w.{n})), 0)" for n in texts)
        return f"(count(*) + (({bytes_}) / {BYTES_OF_A_ROW}))" if texts else "count(*)"

    def _rows_of(self, table: Table) -> str:
        if len(table.path) < 2:
            return relation_name(table)
        columns = [f"p0.{quoted(name)}" for name in table.columns]
        source, at = f"{relation_name(table)} AS p0", "p0"
        for step, hop in enumerate(table.path[:-1], start=1):
            parent = relation_name(self.tables[hop.table])
            on = self.leads(f"{at}.{quoted(hop.column)}", f"p{step}", hop.table, hop.key)
            source, at = f"({source} JOIN {parent} AS p{step} ON {on})", f"p{step}"
        columns.append(f"{at}.{quoted(table.path[-1].column)} AS owner")
        return f"(SELECT {', '.join(columns)} FROM {source})"


def relation_name(table: Table) -> str:
    return f"{quoted(table.schema)}.{quoted(table.relation)}"
