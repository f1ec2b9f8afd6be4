"""Random SELECT statements of the core, written with as few parentheses as chance will have it.

Names and types need not fit, because neither parser asks for them. Tame texts keep conditions apart
from values, as people do; wild ones mix them, and sqlglot cannot read all of those.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

NAMES = ("a", "b", "c", "t.a", "u.b", '"A b"', "T.A", "year", "name", "value", "month")
TYPES = ("int", "integer", "bigint", "smallint", "numeric", "numeric(10,2)", "decimal(5)", "text",
         "varchar", "varchar(10)", "boolean", "bool", "date", "timestamp", "timestamptz", "uuid",
         "double precision", "float8", "real", "float", "int8", "timestamp(3)", "char(3)")  # fmt: skip
CONSTANTS = ("0", "1", "42", "2147483647", "2147483648", "007", "0.5", "1.", "1.50", "1e5", "1E-3", "''",
             "'x'", "'it''s'", "'1'", "'a\\b'", "'ü €'", "NULL", "TRUE", "false", "$1", "$12",
             "date '2020-01-01'", "timestamp '2020-01-01 10:00:00'", "(interval '1 day')",
             "(interval '2 hours')", "(interval '1' month)", "'1 day'::interval")  # fmt: skip
OPERATORS = ("+", "-", "*", "/", "%", "||")
COMPARISONS = ("=", "<>", "!=", "<", "<=", ">", ">=")
ONE = ("abs", "ceil", "ceiling", "floor", "round", "trunc", "sign", "lower", "upper", "length",
       "char_length", "btrim", "ltrim", "rtrim", "trim", "sqrt", "exp", "ln", "log", "log10", "initcap",
       "isfinite", "Lower")  # fmt: skip
TWO = ("round", "trunc", "left", "right", "starts_with", "mod", "power", "strpos", "nullif", "div",
       "log", "btrim")  # fmt: skip
MANY = ("coalesce", "greatest", "least", "concat", "COALESCE")
AGGREGATES = ("sum", "avg", "min", "max", "count", "stddev", "stddev_samp", "stddev_pop", "variance",
              "var_samp", "var_pop")  # fmt: skip
PAIRS = ("corr", "covar_pop", "covar_samp", "regr_slope", "regr_intercept", "regr_count", "regr_r2",
         "regr_avgx", "regr_avgy", "regr_sxx", "regr_sxy", "regr_syy")  # fmt: skip
RANKS = ("row_number()", "rank()", "dense_rank()", "percent_rank()", "cume_dist()", "ntile(4)", "lag(a)",
         "lead(a, 2)", "lag(a, 1, 0)", "first_value(b)", "last_value(b)")  # fmt: skip
FRAMES = ("", "", "ROWS UNBOUNDED PRECEDING", "ROWS 2 PRECEDING", "RANGE CURRENT ROW",
          "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW", "ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
          "GROUPS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
          "ROWS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES")  # fmt: skip
ESCAPE = "ESCAPE '!'"
UNITS = ("year", "MONTH", "day", "hour", "epoch", "dow", "quarter", "isoyear")


class Texts:
    """Statements, each from the random numbers of one generator."""

    def __init__(self, seed: int, *, wild: bool = False) -> None:
        self.chance = random.Random(seed)
        self.wild = wild

    def _one(self, *choices: str) -> str:
        return self.chance.choice(choices)

    def _maybe(self, text: str, share: float = 0.5) -> str:
        return text if self.chance.random() < share else ""

    def _list(self, make: Callable[[int], str], most: int, depth: int) -> str:
        return ", ".join(make(depth) for _ in range(self.chance.randint(1, most)))

    def _of(self, makers: Sequence[str], depth: int) -> str:
        made: str = getattr(self, self._one(*makers))(depth - 1)
        return f"({made})" if self.chance.random() < 0.2 else made

    def any(self, depth: int) -> str:
        return self.value(depth) if self.chance.random() < 0.7 else self.condition(depth)

    def value(self, depth: int) -> str:
        if self.wild and self.chance.random() < 0.3:
            return self.condition(depth)
        return self.atom(depth) if depth <= 0 else self._of(_VALUES, depth)

    def condition(self, depth: int) -> str:
        return (
            self._one("a", "t.a", "TRUE", "false") if depth <= 0 else self._of(_CONDITIONS, depth)
        )

    def atom(self, _: int) -> str:
        return self._one(*NAMES, *NAMES, *CONSTANTS)

    def binary(self, depth: int) -> str:
        return f"{self.value(depth)} {self._one(*OPERATORS)} {self.value(depth)}"

    def negative(self, depth: int) -> str:
        inner = self.value(depth)
        return self._one("- ", "-") + inner if not inner.startswith("-") else f"- {inner}"

    def cast(self, depth: int) -> str:
        type_, inner = self._one(*TYPES), self.any(depth)
        name = self._one(*NAMES)
        return self._one(f"CAST({inner} AS {type_})", f"({inner})::{type_}", f"{name}::{type_}")

    def call(self, depth: int) -> str:
        one, two, name = self.value(depth), self.value(depth - 1), self._one(*NAMES)
        return self._one(
            f"{self._one(*ONE)}({one})",
            f"{self._one(*TWO)}({one}, {two})",
            f"{self._one(*MANY)}({self._list(self.value, 3, depth)})",
            f"substring({name} FROM 1 FOR 2)",
            f"substr({one}, 2)",
            f"substring({name} FOR 3)",
            f"trim({self._one('LEADING', 'TRAILING', 'BOTH')} FROM {name})",
            f"position({self._one(*NAMES)} IN {name})",
            f"EXTRACT({self._one(*UNITS)} FROM {name})",
            f"date_trunc('{self._one(*UNITS)}', {one})",
            f"date_bin('15 minutes', {one}, TIMESTAMP '2001-01-01')",
            f"replace({one}, 'a', 'b')",
            f"width_bucket({one}, 0, 10, 5)",
            f"({name} AT TIME ZONE 'UTC')",
        )

    def case(self, depth: int) -> str:
        subject = self._maybe(self.value(depth - 1) + " ", 0.4)
        branches = "".join(
            f"WHEN {self.any(depth) if subject else self.condition(depth)} THEN {self.any(depth)} "
            for _ in range(self.chance.randint(1, 3))
        )
        return f"CASE {subject}{branches}{self._maybe(f'ELSE {self.any(depth)} ')}END"

    def aggregate(self, depth: int) -> str:
        inner = self.any(depth)
        made = self._one(
            "count(*)",
            f"{self._one(*AGGREGATES)}({self._maybe('DISTINCT ', 0.2)}{inner})",
            f"{self._one(*PAIRS)}({inner}, {self.value(depth - 1)})",
            f"percentile_cont(0.5) WITHIN GROUP (ORDER BY {inner}{self._maybe(' DESC', 0.2)})",
        )
        made += self._maybe(f" FILTER (WHERE {self.condition(depth - 1)})", 0.3)
        if self.chance.random() < 0.2:
            made = self._one(made, *RANKS) + self._over(depth - 1)
        return made

    def _over(self, depth: int) -> str:
        divided = self._maybe(f"PARTITION BY {self._list(self.value, 2, depth)} ")
        order = f"ORDER BY {self._list(self._sort, 2, depth)} {self._one(*FRAMES)}"
        return f" OVER ({divided}{self._maybe(order, 0.7)})"

    def scalar(self, depth: int) -> str:
        return f"({self.select(min(depth, 1))})"

    def comparison(self, depth: int) -> str:
        return f"{self.value(depth)} {self._one(*COMPARISONS)} {self.value(depth)}"

    def connected(self, depth: int) -> str:
        count = self.chance.randint(1, 3)
        text = self.condition(depth)
        for _ in range(count):
            text += f" {self._one('AND', 'OR', 'and')} {self.condition(depth)}"
        return text

    def negated(self, depth: int) -> str:
        return self._one("NOT ", "not ") + self.condition(depth)

    def null(self, depth: int) -> str:
        negated = self._maybe("NOT ", 0.4)
        distinct = f" IS {negated}DISTINCT FROM {self.value(depth)}"
        return self.value(depth) + self._one(f" IS {negated}NULL", distinct, " ISNULL", " NOTNULL")

    def truth(self, depth: int) -> str:
        what = self._one("TRUE", "FALSE", "UNKNOWN")
        return f"({self.condition(depth)}) IS {self._maybe('NOT ', 0.4)}{what}"

    def membership(self, depth: int) -> str:
        inside = self._list(self.value, 3, depth) if self.chance.random() < 0.85 else self.select(1)
        if self.chance.random() < 0.3:
            array = self._one("$1", "'{1,2}'", f"ARRAY[{inside}]", f"(ARRAY[{inside}])")
            if inside.startswith("SELECT"):
                array = "ARRAY[]"
            array += self._maybe(f"::{self._one(*TYPES)}[]", 0.4)
            return f"{self.value(depth)} {self._one('= ANY', '= SOME', '<> ALL')} ({array})"
        return f"{self.value(depth)} {self._maybe('NOT ')}IN ({inside})"

    def between(self, depth: int) -> str:
        kind = self._maybe("NOT ", 0.3) + "BETWEEN" + self._maybe(" SYMMETRIC", 0.2)
        return f"{self.value(depth)} {kind} {self.value(depth - 1)} AND {self.value(depth - 1)}"

    def like(self, depth: int) -> str:
        kind = self._maybe("NOT ", 0.3) + self._one("LIKE", "ILIKE")
        return f"{self.value(depth)} {kind} {self.atom(0)}{self._maybe(chr(32) + ESCAPE, 0.3)}"

    def exists(self, depth: int) -> str:
        return f"EXISTS ({self.select(min(depth, 1))})"

    def _sort(self, depth: int) -> str:
        nulls = self._one("", "", " NULLS FIRST", " NULLS LAST")
        return self.any(depth) + self._one("", " ASC", " DESC") + nulls

    def _target(self, depth: int) -> str:
        return self.any(depth) + self._one("", "", " AS x", ' AS "X y"', " AS z1")

    def _table(self, depth: int) -> str:
        alias = self._one("", " x", " AS y", ' AS "Z"', " AS v (p, q)")
        if depth > 0 and self.chance.random() < 0.25:
            select = self.select(depth - 1)
            if self.chance.random() < 0.2:
                select = (
                    f"({select}) {self._one('UNION ALL', 'UNION', 'EXCEPT')} ({self.select(0)})"
                )
            return f"({select}){alias or ' s'}"
        return self._one("t", "u", "public.t", '"T"') + alias

    def _from(self, depth: int) -> str:
        text, comma = self._table(depth), False
        for _ in range(self.chance.choice((0, 0, 1, 1, 2, 3))):
            condition = self._one(f" ON {self.condition(1)}", " USING (a)", " USING (a, b)")
            kinds = [
                ", ",
                " CROSS JOIN ",
                " JOIN ",
                " INNER JOIN ",
                " LEFT JOIN ",
                " LEFT OUTER JOIN ",
            ]
            if not comma:  # after one, these are read in two ways
                kinds += [" RIGHT JOIN ", " FULL JOIN "]
            kind = self._one(*kinds)
            comma = comma or kind == ", "
            text += (
                kind + self._table(depth) + ("" if kind in (", ", " CROSS JOIN ") else condition)
            )
        return text

    def _group(self, depth: int) -> str:
        return self._one(
            self._list(self.value, 3, depth), "1", "a, 2", "ROLLUP (a, b)", "CUBE (a, (b, c))",
            "GROUPING SETS ((a), (a, b), ())", "a, ROLLUP (b, c)", "()")  # fmt: skip

    def select(self, depth: int) -> str:
        """One SELECT, with subqueries while ``depth`` lasts."""
        text = f"SELECT {self._maybe('DISTINCT ', 0.1)}{self._list(self._target, 3, depth)}"
        text += f" FROM {self._from(depth)}"
        text += self._maybe(f" WHERE {self.condition(depth)}")
        text += self._maybe(f" GROUP BY {self._group(depth)}", 0.4)
        text += self._maybe(f" HAVING {self.condition(depth)}", 0.2)
        text += self._maybe(f" ORDER BY {self._list(self._sort, 2, depth)}", 0.3)
        return text + self._one("", "", " LIMIT 10", " LIMIT 5 OFFSET 2", " OFFSET 3", " LIMIT ALL")

    def statement(self) -> str:
        """One SELECT, at times with WITH before it."""
        depth = self.chance.randint(1, 3)
        names = self._one("", "", "", "WITH x AS ({}) ", "WITH x (p, q) AS ({}), y AS ({}) ")
        return names.replace("{}", self.select(1)) + self.select(depth)


_VALUES = ("binary", "binary", "binary", "negative", "cast", "call", "call", "case", "aggregate",
           "scalar", "atom")  # fmt: skip
_CONDITIONS = ("comparison", "comparison", "comparison", "connected", "connected", "negated", "null",
               "truth", "membership", "between", "like", "exists")  # fmt: skip
