"""SELECTs over noisy results: whatever stands around the one aggregation of protected rows.

A SELECT that aggregates protected rows is *private*: its answer is noisy, and the rest of the query
reads that answer only. A subquery that groups by the privacy unit's key is not: its rows are still
one person's each, and ``analyzer.bind_relations`` builds them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlglot import exp

from analyzer.bind_clauses import (
    Item,
    aggregates,
    condition,
    count_of,
    is_star,
    items_of,
    key_node,
    sort_keys,
)
from analyzer.bind_expressions import ExpressionBinder
from analyzer.bind_groups import GroupBinder
from analyzer.bind_relations import RelationBinder
from analyzer.bind_windows import Calls, refuse_companion
from analyzer.catalog import Catalog, Scalar
from analyzer.expressions import Constant, Expr, Facts, Ref
from analyzer.functions import build
from analyzer.functions.base import coerce
from analyzer.refusals import (
    Refusal,
    SyntaxRefused,
    TooComplex,
    UnboundedInfluence,
    Unsupported,
    WrongGrouping,
    WrongType,
)
from analyzer.scope import Entry, Scope, name_of
from analyzer.stages import KEYS, Groups, Paired, Rows, Source, Stage
from analyzer.syntax import only, position_of
from analyzer.types import Type

Ctes = Mapping[str, tuple[exp.Expression, "Ctes"]]
CLAUSES = (
    "with_", "expressions", "from_", "joins", "where", "group", "having", "order", "limit",
    "offset", "distinct",
)  # fmt: skip
MAX_READS = 16
"""The most noisy results that one query may read; joins multiply their rows."""
_JOINS = {"": "JOIN", "LEFT": "LEFT JOIN", "RIGHT": "LEFT JOIN"}


class OuterBinder(ABC):
    """Binds a SELECT into stages; what is private is left to :meth:`private`."""

    def __init__(self, catalog: Catalog, parameters: Sequence[Scalar | None]) -> None:
        self.catalog = catalog
        self.parameters = parameters
        self.relations = RelationBinder(catalog, parameters)
        self.stages: list[Stage] = []
        self._reads = 0
        self._built: dict[int, int] = {}
        self._noisy: dict[int, bool] = {}

    @abstractmethod
    def private(self, tree: exp.Select, ctes: Ctes) -> Stage:
        """The stage of a SELECT over protected rows."""

    def select(self, tree: exp.Select, ctes: Ctes, *, top: bool = False) -> int:
        """Adds the stages of a SELECT; the number of its own."""
        if id(tree) in self._built:
            return self._built[id(tree)]
        only(tree, *CLAUSES)
        if self._reads_noisy(tree, ctes):
            stage = self._outer(tree, ctes)
        elif self.stages:  # the first stage is the private one
            raise _one_only(tree)
        else:
            stage = self.private(tree, ctes)
        if not top and any(stage.companions):
            raise Unsupported(
                "error_bar, ci_low and ci_high stand in the outermost select list only.",
                position=position_of(tree),
            )
        self.stages.append(stage)
        self._built[id(tree)] = len(self.stages) - 1
        return len(self.stages) - 1

    # Which SELECTs are noisy.

    def is_noisy(self, tree: exp.Expression, ctes: Ctes) -> bool:
        """Whether the rows of a subquery are noisy results."""
        if not isinstance(tree, exp.Select):
            return False
        if id(tree) not in self._noisy:
            self._noisy[id(tree)] = self._reads_noisy(tree, ctes) or (
                _aggregating(tree) and not self._keeps_owner(tree, ctes)
            )
        return self._noisy[id(tree)]

    def _reads_noisy(self, tree: exp.Select, ctes: Ctes) -> bool:
        from_ = tree.args.get("from_")
        if from_ is None:
            return False
        known = self.relations.ctes_of(tree, ctes)
        items = [from_.this, *(join.this for join in tree.args.get("joins") or [])]
        return any(self._item_noisy(item, known) for item in items)

    def _item_noisy(self, node: exp.Expression, ctes: Ctes) -> bool:
        found = _subquery(node, ctes)
        return found is not None and self.is_noisy(*found)

    def _keeps_owner(self, tree: exp.Select, ctes: Ctes) -> bool:
        """Whether a SELECT groups by the privacy unit's key, or reads public rows only. What is
        wrong with it is no matter here: it is bound again."""
        group = tree.args.get("group")
        nodes = list(group.expressions) if group is not None else []
        items = items_of(tree)
        if group is None and tree.args.get("distinct") is not None:
            nodes = [item.node for item in items]
        try:
            _, scope, _, owned = RelationBinder(self.catalog, self.parameters).source(tree, ctes)
            if owned.owner is None:
                return True
            rows = ExpressionBinder(scope, self.parameters, "GROUP BY")
            keys = [item.bound for item in _expanded([i for i in items if i.node in nodes], scope)]
            keys += [rows.bind(key_node(n, items, scope)) for n in nodes if not is_star(n)]
            return any(key is not None and key.facts.owner for key in keys)
        except Refusal:
            return False

    # One SELECT over noisy rows.

    def _outer(self, tree: exp.Select, ctes: Ctes) -> Stage:
        known = self.relations.ctes_of(tree, ctes)
        source, scope = self._source(tree, known)
        calls = Calls()
        rows = _NoisyRows(scope, self.parameters, "WHERE", calls)
        with calls.no_windows("WHERE"):
            where = condition(tree.args.get("where"), rows, "WHERE")
        items = _expanded(items_of(tree), scope)
        binder, groups = self._groups(tree, items, rows, calls)
        outputs = tuple(
            (i.name, coerce(binder.bind(i.node), Type.TEXT) if i.bound is None else i.bound)
            for i in items
        )
        distinct = tree.args.get("distinct")
        if distinct is not None:
            only(distinct)
        return Stage(
            source=source,
            where=where,
            groups=groups,
            outputs=outputs,
            companions=tuple(item.companion for item in items),
            distinct=distinct is not None,
            order=sort_keys(
                tree.args.get("order"), binder, items, outputs, distinct=distinct is not None
            ),
            limit=count_of(tree.args.get("limit"), "LIMIT"),
            offset=count_of(tree.args.get("offset"), "OFFSET") or 0,
            calls=tuple(calls.made),
        )

    def _groups(
        self, tree: exp.Select, items: list[Item], rows: _NoisyRows, calls: Calls
    ) -> tuple[ExpressionBinder, Groups | None]:
        """What binds the select list, and the groups where there are any."""
        group, having = tree.args.get("group"), tree.args.get("having")
        order = tree.args.get("order")
        aggregated = any(i.bound is None and aggregates(i.node) for i in items)
        aggregated = aggregated or (order is not None and aggregates(order))
        if group is None and having is None and not aggregated:
            return rows, None
        if any(i.bound is not None for i in items):
            raise WrongGrouping("A star cannot stand beside aggregates.")
        keys: list[Expr] = []
        if group is not None:
            only(group, "expressions")
            with calls.no_windows("GROUP BY"):
                for node in group.expressions:
                    key = coerce(rows.bind(key_node(node, items, rows.scope)), Type.TEXT)
                    if isinstance(key, Constant):
                        raise WrongGrouping(
                            "A constant is no group key.", position=position_of(node)
                        )
                    keys.append(key)
        refs = [_key(i, key) for i, key in enumerate(keys)]
        binder = _NoisyGroups(rows, keys, refs, calls)
        with calls.no_windows("HAVING"):
            kept = condition(having, binder, "HAVING")
        return binder, Groups(tuple(keys), kept)

    # FROM.

    def _source(self, tree: exp.Select, ctes: Ctes) -> tuple[Source, Scope]:
        from_ = tree.args["from_"]
        only(from_, "this")
        source, entry = self._item(from_.this, ctes)
        scope = Scope((entry,))
        for join in tree.args.get("joins") or []:
            source, scope = self._join(source, scope, join, ctes)
        return source, scope

    def _item(self, node: exp.Expression, ctes: Ctes) -> tuple[Source, Entry]:
        found = _subquery(node, ctes)
        if found is None or not self.is_noisy(*found):
            raise UnboundedInfluence(
                "Tables cannot be joined with noisy results.",
                detail="Rows of tables would meet the answer, outside of any noise.",
                hint="Join the tables inside the subquery that aggregates.",
                position=position_of(node),
            )
        tree, known = found
        assert isinstance(tree, exp.Select)
        index = self.select(tree, known)
        self._reads += 1
        if self._reads > MAX_READS:
            raise TooComplex(
                f"The query reads noisy results more than {MAX_READS} times.",
                position=position_of(node),
            )
        alias = f"n{self._reads - 1}"
        fields = [
            (name, _column(alias, i, e)) for i, (name, e) in enumerate(self.stages[index].outputs)
        ]
        return Rows(alias, index), self._named(node, ctes, Entry("", tuple(fields)))

    def _named(self, node: exp.Expression, ctes: Ctes, entry: Entry) -> Entry:
        alias = node.args.get("alias")
        if isinstance(node, exp.Subquery):
            only(node, "this", "alias")
            if alias is None:
                raise SyntaxRefused(
                    "A subquery in FROM needs an alias.", position=position_of(node)
                )
            return self.relations.renamed(entry, alias)
        only(node, "this", "alias")
        cte, _ = ctes[name_of(node.this)]
        return self.relations.renamed(self.relations.renamed(entry, cte.args["alias"]), alias)

    def _join(self, left: Source, scope: Scope, node: exp.Join, ctes: Ctes) -> tuple[Source, Scope]:
        only(node, "this", "on", "using", "side", "kind")
        side, kind = str(node.args.get("side") or ""), str(node.args.get("kind") or "")
        if side not in _JOINS or kind not in ("", "INNER", "CROSS", "OUTER"):
            raise Unsupported(
                f"{side or kind} JOIN is not supported.",
                hint="Use JOIN, LEFT JOIN, RIGHT JOIN or CROSS JOIN.",
                position=position_of(node),
            )
        right, entry = self._item(node.this, ctes)
        if any(e.name == entry.name for e in scope.entries):
            raise SyntaxRefused(
                f'The name "{entry.name}" is used twice in FROM.',
                hint="Give one of them an alias.",
                position=position_of(node),
            )
        both, merged, on = Scope((*scope.entries, entry), scope.merged), dict(scope.merged), None
        if node.args.get("on"):
            on = coerce(
                _NoisyRows(both, self.parameters, "ON", None).bind(node.args["on"]), Type.BOOL
            )
            if on.type is not Type.BOOL:
                raise WrongType("ON takes a condition.", position=position_of(node))
        for identifier in node.args.get("using") or []:
            name, place = name_of(identifier), position_of(identifier)
            a, b = scope.column(name, None, place), Scope((entry,)).column(name, None, place)
            equal = build("=", [a, b])
            on = equal if on is None else build("and", [on, equal])
            merged[name] = b if side == "RIGHT" else a
        if on is None:
            if side:
                raise SyntaxRefused(f"{side} JOIN needs ON or USING.", position=position_of(node))
            return Paired("CROSS JOIN", left, right, None), Scope(both.entries, merged)
        if side == "RIGHT":
            entries = (*(_padded(e) for e in scope.entries), entry)
            used = {name_of(i) for i in node.args.get("using") or []}
            merged = {n: e if n in used else replace(e, nullable=True) for n, e in merged.items()}
            return Paired("LEFT JOIN", right, left, on), Scope(entries, merged)
        entries = (*scope.entries, _padded(entry) if side else entry)
        return Paired(_JOINS[side], left, right, on), Scope(entries, merged)


class _NoisyRows(ExpressionBinder):
    """Binds expressions over noisy rows, window functions among them."""

    def __init__(
        self,
        scope: Scope,
        parameters: Sequence[Scalar | None],
        place: str,
        calls: Calls | None,
    ) -> None:
        super().__init__(scope, parameters, place)
        self.calls = calls

    def _bind(self, node: exp.Expression) -> Expr:
        if isinstance(node, exp.Window) and self.calls is not None:
            return self.calls.window(self, node)
        refuse_companion(node)
        return super()._bind(node)


class _NoisyGroups(GroupBinder):
    """Binds expressions over groups of noisy rows."""

    def __init__(
        self, rows: _NoisyRows, keys: Sequence[Expr], refs: Sequence[Expr], calls: Calls
    ) -> None:
        super().__init__(rows, keys, refs, (0,), calls)

    def aggregate(self, node: exp.Expression) -> Expr:
        if isinstance(node, exp.Grouping):
            return super().aggregate(node)
        return self.calls.aggregate(self.rows, node)


def _subquery(node: exp.Expression, ctes: Ctes) -> tuple[exp.Expression, Ctes] | None:
    """The SELECT that an item of FROM stands for, with the CTEs that it sees."""
    if isinstance(node, exp.Subquery):
        return node.this, ctes
    if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
        name = name_of(node.this)
        if node.args.get("db") is None and name in ctes:
            cte, known = ctes[name]
            return cte.this, known
    return None


def _aggregating(tree: exp.Select) -> bool:
    given = any(tree.args.get(clause) is not None for clause in ("group", "having", "distinct"))
    return given or any(aggregates(item) for item in tree.expressions)


def _expanded(items: Sequence[Item], scope: Scope) -> list[Item]:
    """The select list with columns in place of stars."""
    found: list[Item] = []
    for item in items:
        if not is_star(item.node):
            found.append(item)
            continue
        if isinstance(item.node, exp.Star):
            only(item.node)
        table = item.node.args.get("table") if isinstance(item.node, exp.Column) else None
        columns = scope.stars(name_of(table) if table else None, position_of(item.node))
        found += [Item(label, item.node, bound=ref) for label, ref in columns]
    return found


def _column(alias: str, index: int, expression: Expr) -> Ref:
    facts = Facts(expression.facts.stored, expression.facts.physical)
    return Ref(alias, f"o{index}", expression.type, expression.nullable, facts)


def _key(index: int, key: Expr) -> Ref:
    facts = Facts(key.facts.stored, key.facts.physical)
    return Ref(KEYS, f"k{index}", key.type, key.nullable, facts)


def _padded(entry: Entry) -> Entry:
    fields = tuple((label, replace(ref, nullable=True)) for label, ref in entry.fields)
    return Entry(entry.name, fields)


def _one_only(tree: exp.Select) -> Unsupported:
    return Unsupported(
        "Only one SELECT of a query may aggregate protected tables.",
        detail="The others read its noisy result.",
        hint="Put all aggregates in one subquery, with FILTER (WHERE ...) for different conditions,"
        " or send several queries.",
        position=position_of(tree),
    )
