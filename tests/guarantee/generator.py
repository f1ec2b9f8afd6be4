"""Random questions over the extended clinic, all of them valid for Postgres as well.

Most are answered and some refused; which is the analyzer's business. The same seed gives the same
question.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

Columns = dict[str, list[str]]
"""Expressions that name a column of FROM, by kind."""

_KINDS = ("number", "free", "text", "bool", "date")

_TABLES: dict[str, dict[str, tuple[str, ...]]] = {
    "patients": {
        "number": ("age", "bmi", "weight"),
        "free": ("points",),
        "text": ("sex", "city", "zip", "name"),
        "bool": ("active",),
        "date": ("born",),
    },
    "visits": {
        "number": ("cost", "balance", "score"),
        "text": ("kind", "diagnosis"),
        "date": ("visited_at",),
    },
    "profiles": {
        "number": ("grade", "level", "reading"),
        "bool": ("smoker",),
        "date": ("seen",),
    },
    "items": {"number": ("quantity",), "text": ("label",)},
    "notes": {"number": ("words",), "bool": ("open",)},
    "cities": {"text": ("name", "region")},
    "regions": {"text": ("name", "country")},
    "per person": {"number": ("most", "n"), "text": ("first",), "bool": ("some",)},
    "per kind": {"number": ("least", "mean"), "text": ("kind",), "date": ("last",)},
    "numbered": {"number": ("cost", "place", "before", "alike"), "text": ("kind",)},
    "latest": {"number": ("cost", "score"), "text": ("kind", "diagnosis")},
    "different": {"text": ("word",)},
    "left over": {"text": ("kind",), "bool": ("dear",)},
    "either": {"number": ("cost", "grade"), "text": ("kind",), "bool": ("smoker",)},
    "looked up": {"number": ("age", "n", "top"), "text": ("sex",)},
}
_GROUPED = {
    "per person": "(SELECT patient_id, count(*) AS n, max(cost) AS most, min(diagnosis) AS first,"
    " bool_or(score > 0) AS some FROM visits GROUP BY patient_id)",
    "per kind": "(SELECT patient_id, kind, min(cost) AS least, avg(balance) AS mean,"
    " max(visited_at) AS last FROM visits GROUP BY patient_id, kind)",
    "numbered": "(SELECT patient_id, kind, cost, row_number() OVER (PARTITION BY patient_id ORDER BY"
    " visited_at, id) AS place, lag(balance) OVER (PARTITION BY patient_id ORDER BY visited_at, id)"
    " AS before, count(*) OVER (PARTITION BY patient_id, kind) AS alike FROM visits)",
    "latest": "(SELECT DISTINCT ON (patient_id) patient_id, kind, diagnosis, cost, score FROM visits"
    " ORDER BY patient_id, visited_at DESC, id)",
    "different": "(SELECT patient_id, kind AS word FROM visits UNION SELECT id, sex FROM patients)",
    "left over": "(SELECT patient_id, kind, cost > 50 AS dear FROM visits EXCEPT SELECT patient_id,"
    " kind, balance > 0 FROM visits)",
    "either": "(SELECT patient_id, cost, kind, grade, smoker FROM visits FULL JOIN profiles"
    " USING (patient_id))",
    "looked up": "(SELECT p.id AS patient_id, p.age, p.sex, (SELECT count(*) FROM visits v WHERE"
    " v.patient_id = p.id) AS n, (SELECT max(v.cost) FROM visits v WHERE v.patient_id = p.id) AS top"
    " FROM patients p)",
}
"""Subqueries over each person's own rows."""
_OWNERS = {
    "patients": "id",
    "visits": "patient_id",
    "profiles": "patient_id",
    **dict.fromkeys(_GROUPED, "patient_id"),
}
_STEPS = {"items": ("visit_id", "visits"), "notes": ("profile_id", "profiles")}
_WORDS = ("'Oslo'", "'flu'", "'male'", "'remote'", "'person 2'", "'item 1'", "''", "'0003'")


@dataclass(slots=True)
class _From:
    """A FROM clause in the making."""

    text: str = ""
    owners: list[str] = field(default_factory=list)
    """Columns that hold the unit key."""
    columns: Columns = field(default_factory=lambda: {k: [] for k in _KINDS})

    def add(self, table: str, alias: str) -> None:
        for kind, names in _TABLES[table].items():
            self.columns[kind] += [f"{alias}.{name}" for name in names]
        if table in _OWNERS:
            self.owners.append(f"{alias}.{_OWNERS[table]}")


class Generator:
    """Makes one question after another."""

    def __init__(self, seed: int, *, plain: bool = False) -> None:
        """``plain`` leaves out what groups without rows change (HAVING, LIMIT), and aggregates
        that are good to the grid of a histogram or of a product only."""
        self.chance = random.Random(seed)
        self.plain = plain

    def several(self) -> str:
        """Several aggregations in one text: values of one row, or rows under one another."""
        totals = []
        for number in range(self.chance.randint(2, 3)):
            from_ = self._from()
            where = f" WHERE {self._condition(from_.columns)}" if self._one_in(2) else ""
            totals.append(f"SELECT {self._aggregate(from_)} AS a{number} FROM {from_.text}{where}")
        if self._one_in(2):
            values = [f"({text}) AS v{i}" for i, text in enumerate(totals)]
            return f"SELECT {', '.join(values)}"
        arms = [text.replace("SELECT ", f"SELECT {i} AS i, ", 1) for i, text in enumerate(totals)]
        return " UNION ALL ".join(arms)

    def question(self) -> str:
        """One SELECT."""
        from_ = self._from()
        keys = [self._key(from_.columns) for _ in range(self.chance.choice((0, 0, 1, 1, 2, 3)))]
        keys = list(dict.fromkeys(keys))
        measures = [self._aggregate(from_) for _ in range(self.chance.randint(1, 3))]
        listed = [f"{e} AS k{i}" for i, e in enumerate(keys)]
        listed += [f"{e} AS a{i}" for i, e in enumerate(measures)]
        text = f"SELECT {', '.join(listed)} FROM {from_.text}"
        if self._one_in(2):
            text += f" WHERE {self._condition(from_.columns)}"
            if from_.owners and self._one_in(3):
                text += f" AND {self._lookup(self.chance.choice(from_.owners))}"
        if keys:
            by = self.chance.choice(
                (keys, [f"k{i}" for i in range(len(keys))], [str(i + 1) for i in range(len(keys))])
            )
            listed = by if by is not keys else [f"({key})" for key in keys]
            text += f" GROUP BY {self._sets(listed)}"
            if not self.plain and self._one_in(4):
                text += f" HAVING {measures[0]} > 1"
            if self._one_in(3):
                text += f" ORDER BY {', '.join(f'k{i}' for i in range(len(keys)))}"
                text += f" LIMIT {self.chance.randint(0, 9)}" if not self.plain else ""
        return text

    def _sets(self, keys: Sequence[str]) -> str:
        listed = ", ".join(keys)
        sets = f"GROUPING SETS (({listed}), ({keys[0]}), ())"
        return self.chance.choice((*(listed,) * 8, f"ROLLUP ({listed})", f"CUBE ({listed})", sets))

    def _one_in(self, n: int) -> bool:
        return self.chance.randrange(n) == 0

    # FROM

    def _from(self) -> _From:
        from_ = _From()
        first = self.chance.choice(
            (*("patients", "visits") * 3, "profiles", "items", "notes", *_GROUPED)
        )
        self._start(from_, first)
        if first in _STEPS and self._one_in(2):
            column, parent = _STEPS[first]
            self._join(from_, parent, "b", f"a.{column} = b.id")
        # Visits are met once more at most: a person with sixty has 216,000 rows in a third join.
        few = [name for name in _OWNERS if name not in ("visits", "numbered", "either")]
        for alias, others in (("c", tuple(_OWNERS)), ("d", few)):
            if from_.owners and self._one_in(3):
                other, owner = self.chance.choice(others), self.chance.choice(from_.owners)
                self._join(from_, other, alias, f"{alias}.{_OWNERS[other]} = {owner}")
        for alias in ("x", "y"):
            if from_.columns["text"] and self._one_in(4):
                table = self.chance.choice(("cities", "regions"))
                mine = f"{alias}.{self.chance.choice(_TABLES[table]['text'])}"
                met = self.chance.choice(from_.columns["text"])
                self._join(from_, table, alias, f"{mine} = {met}", public=True)
        return from_

    def _start(self, from_: _From, table: str) -> None:
        from_.text = f"{self._relation(table)} AS a"
        from_.add(table, "a")

    def _relation(self, table: str) -> str:
        if table in _GROUPED:
            return _GROUPED[table]
        if not self._one_in(4):
            return table
        columns: Columns = {k: [] for k in _KINDS}
        for kind, names in _TABLES[table].items():
            columns[kind] += names
        some = f"SELECT * FROM {table} WHERE {self._condition(columns)}"
        if table in _OWNERS and self._one_in(4):
            return f"({some} UNION ALL SELECT * FROM {table} WHERE {self._condition(columns)})"
        return f"({some})"

    def _join(self, from_: _From, table: str, alias: str, on: str, *, public: bool = False) -> None:
        kind = self.chance.choice(("JOIN", "JOIN", "LEFT JOIN"))
        if public and self._one_in(5):
            from_.text += f" CROSS JOIN {table} AS {alias}"
            from_.add(table, alias)
            return
        relation = self._relation(table)
        from_.add(table, alias)
        if self._one_in(3):
            on += f" AND {self._condition(from_.columns)}"
        from_.text += f" {kind} {relation} AS {alias} ON {on}"

    def _lookup(self, owner: str) -> str:
        """A condition over other rows of the same person."""
        columns: Columns = {
            k: [f"e.{name}" for name in _TABLES["visits"].get(k, ())] for k in _KINDS
        }
        there = f"FROM visits AS e WHERE {self._condition(columns)}"
        if self._one_in(2):
            # Not NOT IN: whether NULL is in no rows is FALSE in Postgres, and depends on everybody.
            return f"{owner} IN (SELECT e.patient_id {there})"
        word = self.chance.choice(("EXISTS", "NOT EXISTS"))
        return f"{word} (SELECT 1 {there} AND e.patient_id = {owner})"

    # Expressions

    def _condition(self, columns: Columns) -> str:
        makers: list[Callable[[Columns], str]] = [self._test]
        if self._one_in(3):
            a, b = self._test(columns), self._test(columns)
            return self.chance.choice((f"({a} AND {b})", f"({a} OR {b})", f"(NOT {a})"))
        return self.chance.choice(makers)(columns)

    def _test(self, columns: Columns) -> str:
        tests = []
        if columns["number"]:
            number = self._number(columns)
            tests += [f"{number} > {self.chance.randint(-5, 60)}", f"{number} IS NULL"]
            tests += [f"{number} BETWEEN 1 AND 40", f"{number} <> 2", f"{number} IN (1, 2, 3.5)"]
        if columns["text"]:
            text, word = self.chance.choice(columns["text"]), self.chance.choice(_WORDS)
            tests += [f"{text} = {word}", f"{text} >= {word}", f"{text} IS NOT NULL"]
            tests += [f"{text} LIKE '%o%'", f"left({text}, 2) || 'x' <> {word}"]
        if columns["bool"]:
            tests += [self.chance.choice(columns["bool"]), f"{columns['bool'][0]} IS NOT TRUE"]
        if columns["date"]:
            tests.append(f"{self.chance.choice(columns['date'])} > '1990-01-03'")
        return f"({self.chance.choice(tests)})"

    def _number(self, columns: Columns) -> str:
        column = self.chance.choice(columns["number"])
        other = self.chance.choice(columns["number"])
        return self.chance.choice(
            (
                *(column,) * 4,
                f"({column} + {other})",
                f"({column} * 2 - {other})",
                f"(-{column})",
                f"abs({column})",
                f"greatest({column}, 3)",
                f"least(greatest({column}, {other}), 50)",
                f"coalesce({column}, 1)",
                f"CASE WHEN {column} > 2 THEN {column} ELSE 0 END",
                f"CASE WHEN {self._shallow(columns)} THEN 5 WHEN {column} < 1 THEN {other} END",
                f"floor({column})",
            )
        )

    def _shallow(self, columns: Columns) -> str:
        return f"{self.chance.choice(columns['number'])} > 3"

    def _key(self, columns: Columns) -> str:
        kinds = [kind for kind in _KINDS if columns[kind]]
        kind = self.chance.choice(kinds)
        column = self.chance.choice(columns[kind])
        if kind == "text":
            computed = (f"coalesce({column}, 'none')", f"upper({column})", f"left({column}, 2)")
            return self.chance.choice((column, column, column, *computed))
        if kind == "date":
            day = f"CAST({column} AS date)"
            return self.chance.choice((column, day, f"extract(year FROM {column})"))
        if kind in ("bool", "free") or self._one_in(3):
            return column
        condition = self._condition(columns)
        return self.chance.choice(
            (
                condition,
                f"CASE WHEN {condition} THEN 'yes' ELSE 'no' END",
                f"CASE WHEN {column} < 10 THEN 'low' WHEN {column} < 50 THEN 'mid' END",
                f"floor({column} / 10)",
                f"width_bucket({column}, 0, 100, 5)",
            )
        )

    def _aggregate(self, from_: _From) -> str:
        columns = from_.columns
        filter_ = f" FILTER (WHERE {self._condition(columns)})" if self._one_in(4) else ""
        forms = ["count(*)", "count(*)"]
        if from_.owners:
            forms.append(f"count(DISTINCT {self.chance.choice(from_.owners)})")
        if columns["number"]:
            number, other = self._number(columns), self._number(columns)
            forms += [f"sum({number})", f"avg({number})", f"count({number})"] * 3
            forms.append(f"count(DISTINCT {number})")
            if not self.plain:
                half = f"percentile_cont(0.5) WITHIN GROUP (ORDER BY {number})"
                forms += [f"covar_pop({number}, {other})", f"variance({number})", f"max({number})"]
                forms.append(half if not filter_ else f"min({number})")
        if columns["text"]:
            forms.append(f"count(DISTINCT {self.chance.choice(columns['text'])})")
        if columns["free"]:
            column = columns["free"][0]
            forms.append(f"sum(least(greatest({column}, -600), 600))")
        return f"{self.chance.choice(forms)}{filter_}"
