"""Queries over noisy results: whatever stands around the aggregations of protected rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

from sqlglot import exp

from analyzer.bind_clauses import (
    Item,
    aggregates,
    condition,
    count_of,
    items_of,
    key_node,
    sort_keys,
)
from analyzer.bind_expressions import ExpressionBinder
from analyzer.bind_groups import key_ref
from analyzer.bind_noisy import Ctes, NoisyFinder, bare, expanded, subquery_of
from analyzer.bind_noisy_rows import NoisyGroups, NoisyRows, paired
from analyzer.bind_relations import RelationBinder
from analyzer.bind_stacked import stacked
from analyzer.bind_windows import Calls
from analyzer.catalog import Catalog, Given
from analyzer.expressions import Constant, Expr, Facts, Ref
from analyzer.functions.base import coerce
from analyzer.named_windows import named_windows
from analyzer.refusals import (
    SyntaxRefused,
    TooComplex,
    UnboundedInfluence,
    Unsupported,
    WrongGrouping,
    WrongType,
)
from analyzer.relation import Aggregation, Relation
from analyzer.scope import Entry, Scope, name_of
from analyzer.stages import (
    KEYS,
    SCALARS,
    Groups,
    OneRow,
    Rows,
    Source,
    Stage,
    cells_of,
)
from analyzer.syntax import only, position_of, spoken
from analyzer.types import Type
from analyzer.units import PUBLIC

CLAUSES = (
    "with_", "expressions", "from_", "joins", "where", "group", "having", "order", "limit",
    "offset", "distinct", "windows",
)  # fmt: skip
MAX_BLOCKS = 16
"""Aggregations of protected rows, and lists of public ones, in one text."""
MAX_READS = 16
"""The most noisy results that one query may read; joins multiply their rows."""


class OuterBinder(ABC):
    """Binds a query into stages; what is private is left to :meth:`private`."""

    def __init__(self, catalog: Catalog, parameters: Sequence[Given]) -> None:
        self.catalog = catalog
        self.parameters = parameters
        self.relations = RelationBinder(catalog, parameters)
        self.aggregations: list[Aggregation] = []
        self.stages: list[Stage] = []
        self._noisy = NoisyFinder(catalog, parameters)
        self._reads = 0
        self._built: dict[int, int] = {}

    @abstractmethod
    def private(self, tree: exp.Select, ctes: Ctes) -> Stage:
        """The stage of a SELECT over protected rows."""

    def query(self, tree: exp.Expression, ctes: Ctes, *, top: bool = False) -> int:
        """Adds the stages of a query; the number of its own.

        Args:
            tree: SELECT or UNION, maybe in parentheses.
            ctes: the common table expressions around it.
            top: whether it is the whole text.
        """
        tree = bare(tree)
        if id(tree) in self._built:
            return self._built[id(tree)]
        if isinstance(tree, exp.SetOperation):
            stage = stacked(self, tree, ctes)
        elif not isinstance(tree, exp.Select):
            raise Unsupported(f"{spoken(tree)} is not supported.", position=position_of(tree))
        elif tree.args.get("from_") is None or self._noisy.reads_noisy(tree, ctes):
            stage = self._outer(tree, ctes)
        else:
            stage = self.private(tree, ctes)
        if not top and any(stage.companions):
            raise Unsupported(
                "error_bar, ci_low and ci_high stand in the outermost select list only.",
                hint="Compute inside, and put error_bar around the result outside.",
                position=position_of(tree),
            )
        self.stages.append(stage)
        self._built[id(tree)] = len(self.stages) - 1
        return len(self.stages) - 1

    def read(
        self, tree: exp.Expression, ctes: Ctes, position: int | None
    ) -> tuple[Rows, tuple[tuple[str, Ref], ...]]:
        """The rows of a query as another one reads them, and its columns."""
        index, alias = self.query(tree, ctes), self.alias(position)
        outputs = self.stages[index].outputs
        fields = tuple((name, _column(alias, i, e)) for i, (name, e) in enumerate(outputs))
        return Rows(alias, index), fields

    def alias(self, position: int | None) -> str:
        """The next alias of ours for noisy rows.

        Raises:
            TooComplex: there are too many.
        """
        self._reads += 1
        if self._reads > MAX_READS:
            raise TooComplex(
                f"The query reads noisy results more than {MAX_READS} times.", position=position
            )
        return f"n{self._reads - 1}"

    def calls(self, tree: exp.Select, ctes: Ctes) -> Calls:
        """Collects the calls of one SELECT that sees ``ctes``."""
        return Calls(lambda node: self._scalar(node, ctes), named_windows(tree))

    def _scalar(self, node: exp.Subquery, ctes: Ctes) -> Ref:
        """A noisy subquery that stands for one value; NULL where it has no row."""
        only(node, "this")
        if not self._noisy.is_noisy(node.this, ctes):
            raise UnboundedInfluence(
                "A subquery that stands for a value has to be an aggregate over protected rows.",
                hint="For instance (SELECT count(*) FROM a protected table).",
                position=position_of(node),
            )
        index = self.query(node.this, ctes)
        self.alias(position_of(node))
        outputs = self.stages[index].outputs
        if len(outputs) != 1:
            raise WrongType(
                "A subquery that stands for a value has one column.",
                hint="Select one aggregate in it.",
            )
        if not self._at_most_one(index):
            raise WrongType(
                "A subquery that stands for a value has at most one row.",
                hint="Aggregate without GROUP BY, or add LIMIT 1.",
                position=position_of(node),
            )
        (_, value), *_ = outputs
        return replace(_column(SCALARS, 0, value), name=str(index), nullable=True)

    def _at_most_one(self, index: int) -> bool:
        """Whether a stage has one row at most, whatever the data and the noise."""
        stage = self.stages[index]
        if stage.limit is not None and stage.limit <= 1:
            return True
        if stage.groups is not None:
            return not stage.groups.keys
        if isinstance(stage.source, OneRow):
            return True
        if not isinstance(stage.source, Rows):
            return False
        if stage.source.stage is not None:
            return self._at_most_one(stage.source.stage)
        block = self.aggregations[stage.source.block]
        return not block.keys and len(block.sets) == 1

    def begin(self, aggregation: Aggregation, node: exp.Expression) -> int:
        """Adds a block, of the SELECT or item of FROM that ``node`` is; its number.

        Raises:
            TooComplex: there are too many.
        """
        if len(self.aggregations) == MAX_BLOCKS:
            raise TooComplex(
                f"The query reads tables in more than {MAX_BLOCKS} places.",
                position=position_of(node),
            )
        self.aggregations.append(aggregation)
        return len(self.aggregations) - 1

    # One SELECT over noisy rows.

    def _outer(self, tree: exp.Select, ctes: Ctes) -> Stage:
        known = self.relations.ctes_of(tree, ctes)
        return self._stage(tree, known, *self._source(tree, known), tree.args.get("where"))

    def over_public(
        self, tree: exp.Select, ctes: Ctes, source: Relation, scope: Scope, where: Expr | None
    ) -> Stage:
        """The stage of a SELECT over public rows only, which are computed with as if noisy."""
        only(tree, *CLAUSES)
        cut = count_of(tree.args.get("limit"), "LIMIT")
        if cut is not None:
            cut += count_of(tree.args.get("offset"), "OFFSET") or 0
        shaped = any(tree.args.get(name) for name in ("group", "having", "order", "distinct"))
        if shaped or any(aggregates(i) or i.find(exp.Window) for i in tree.expressions):
            cut = None
        rows, inner = self._listed(source, where, scope, cut, tree)
        return self._stage(tree, self.relations.ctes_of(tree, ctes), rows, inner, None)

    def _listed(
        self,
        source: Relation,
        where: Expr | None,
        scope: Scope,
        limit: int | None,
        node: exp.Expression,
    ) -> tuple[Rows, Scope]:
        """Public rows as a block of their own, with the scope that names its columns."""
        columns = list(dict.fromkeys(ref for e in scope.entries for _, ref in e.fields))
        block = self.begin(
            Aggregation(source, PUBLIC, where, tuple(columns), None, limit=limit), node
        )
        refs = {ref: key_ref(block, i, ref) for i, ref in enumerate(columns)}
        entries = tuple(
            Entry(e.name, tuple((label, refs[ref]) for label, ref in e.fields), e.places)
            for e in scope.entries
        )
        merged = {name: refs[ref] for name, ref in scope.merged.items()}
        return Rows(cells_of(block), None, block), Scope(entries, merged, scope.parts)

    def _stage(
        self,
        tree: exp.Select,
        known: Ctes,
        source: Source,
        scope: Scope,
        clause: exp.Expression | None,
    ) -> Stage:
        """A SELECT over the rows of ``source``; ``clause`` is its WHERE, as far as it is left."""
        calls = self.calls(tree, known)
        rows = NoisyRows(scope, self.parameters, "WHERE", calls)
        with calls.no_windows("WHERE"):
            where = condition(clause, rows, "WHERE")
        items = expanded(items_of(tree), scope)
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
        self, tree: exp.Select, items: list[Item], rows: NoisyRows, calls: Calls
    ) -> tuple[ExpressionBinder, Groups | None]:
        """What binds the select list, and the groups where there are any."""
        group, having = tree.args.get("group"), tree.args.get("having")
        order = tree.args.get("order")
        aggregated = any(i.bound is None and aggregates(i.node) for i in items)
        aggregated = aggregated or (order is not None and aggregates(order))
        if group is None and having is None and not aggregated:
            return rows, None
        if any(i.bound is not None for i in items):
            raise WrongGrouping(
                "A star cannot stand beside aggregates.",
                hint="Name the columns, and group by them.",
            )
        keys: list[Expr] = []
        if group is not None:
            only(group, "expressions")
            with calls.no_windows("GROUP BY"):
                for node in group.expressions:
                    key = coerce(rows.bind(key_node(node, items, rows.scope)), Type.TEXT)
                    if isinstance(key, Constant):
                        raise WrongGrouping(
                            "A constant is no group key.",
                            hint="Leave it out of GROUP BY; it may stand in the select list.",
                            position=position_of(node),
                        )
                    keys.append(key)
        refs = [_key(i, key) for i, key in enumerate(keys)]
        binder = NoisyGroups(rows, keys, refs, calls)
        with calls.no_windows("HAVING"):
            kept = condition(having, binder, "HAVING")
        return binder, Groups(tuple(keys), kept)

    # FROM.

    def _source(self, tree: exp.Select, ctes: Ctes) -> tuple[Source, Scope]:
        from_ = tree.args.get("from_")
        if from_ is None:
            return OneRow(self.alias(position_of(tree))), Scope()
        only(from_, "this")
        source, entry = self._item(from_.this, ctes)
        scope = Scope((entry,))
        for join in tree.args.get("joins") or []:
            item = self._item(join.this, ctes)
            source, scope = paired(source, scope, join, item, self.parameters)
        return source, scope

    def _item(self, node: exp.Expression, ctes: Ctes) -> tuple[Source, Entry]:
        found = subquery_of(node, ctes)
        if found is None or not self._noisy.is_noisy(*found):
            return self._public_item(node, ctes)
        rows, fields = self.read(*found, position_of(node))
        return rows, self._named(node, ctes, Entry("", fields))

    def _public_item(self, node: exp.Expression, ctes: Ctes) -> tuple[Source, Entry]:
        """A table beside noisy results, which has to be public."""
        before = self.relations.begin()
        relation, entry = self.relations.item(node, ctes)
        protected, self.relations.unit = self.relations.unit is not None, before
        if protected:
            raise UnboundedInfluence(
                "Protected tables cannot be joined with noisy results.",
                detail="Rows of tables would meet the answer, outside of any noise.",
                hint="Join the tables inside the subquery that aggregates.",
                position=position_of(node),
            )
        rows, scope = self._listed(relation, None, Scope((entry,)), None, node)
        return rows, scope.entries[0]

    def _named(self, node: exp.Expression, ctes: Ctes, entry: Entry) -> Entry:
        alias = node.args.get("alias")
        if isinstance(node, exp.Subquery):
            only(node, "this", "alias")
            if alias is None:
                raise SyntaxRefused(
                    "A subquery in FROM needs an alias.",
                    hint="Write (SELECT ...) AS name.",
                    position=position_of(node),
                )
            return self.relations.renamed(entry, alias)
        only(node, "this", "alias")
        cte, _ = ctes[name_of(node.this)]
        return self.relations.renamed(self.relations.renamed(entry, cte.args["alias"]), alias)


def _column(alias: str, index: int, expression: Expr) -> Ref:
    facts = Facts(expression.facts.stored, expression.facts.physical)
    return Ref(alias, f"o{index}", expression.type, expression.nullable, facts)


def _key(index: int, key: Expr) -> Ref:
    facts = Facts(key.facts.stored, key.facts.physical)
    return Ref(KEYS, f"k{index}", key.type, key.nullable, facts)
