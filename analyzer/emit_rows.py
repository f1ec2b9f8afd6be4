"""The rows that count, as items of FROM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from analyzer.emit_sets import each_set, in_sets
from analyzer.expressions import Expr


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows that count, as SQL: columns ``owner``, the keys, and one for each argument."""

    text: str
    keys: tuple[str, ...]
    arguments: Mapping[Expr, str]
    by_owner: bool = False
    """Whether an index gives the rows in the order of their owners."""
    sets: tuple[int, ...] = (0,)
    """The grouping sets that the rows have yet to be repeated for."""
    bucket: tuple[str, ...] = ()
    """A column that is grouped by in every set, before the keys."""
    again: Literal["no", "read", "kept"] = "no"
    """Whether they can be looked at twice at little cost: read once more, or kept meanwhile."""

    @property
    def by(self) -> tuple[str, ...]:
        """What is grouped by before the rows are repeated."""
        return (*self.bucket, *self.keys)

    @property
    def names(self) -> tuple[str, ...]:
        """What is grouped by: the bucket, the keys, and the number of the set if there are more."""
        return (*self.by, f"k{len(self.keys)}") if len(self.sets) > 1 else self.by

    @property
    def grouped(self) -> str:
        """The rows for a GROUP BY of owner and keys."""
        return f"(\n{self._ordered(*self.by)}\n) AS r"

    def with_many(self, cap: int) -> tuple[str, str]:
        """The rows, each with its owner as ``m.owner`` where that unit has more than ``cap``.

        Every such owner has rows, so a full join is a left join here; but PostgreSQL never runs it
        as a nested loop, which it takes where it expects few rows and there are many.

        Returns:
            What stands before the SELECT, and its item of FROM.
        """
        before, text, counted = "", self.text, self._ordered()
        if self.again == "kept":
            before = f"WITH kept AS MATERIALIZED (\n{self.text}\n)\n"
            text = counted = "SELECT * FROM kept"
        many = f"SELECT o.owner FROM (\n{counted}\n) AS o"
        many += f" GROUP BY o.owner HAVING count(*) > {cap}"
        return before, f"(\n{text}\n) AS r FULL JOIN (\n{many}\n) AS m ON (m.owner = r.owner)"

    def _ordered(self, *keys: str) -> str:
        """The rows in the order of an index, where there is one.

        Left alone, PostgreSQL hashes them all, which takes longer than an index's order:
        see docs/decisions/0018-what-makes-bounding-cheap.md.
        """
        order = f" ORDER BY {', '.join(('owner', *keys))}" if self.by_owner else ""
        return f"{self.text}{order}"

    def repeated(self) -> Rows:
        """The rows once for each grouping set, whose number is a key."""
        if len(self.sets) == 1:
            return self
        values = [f"e.{name}" for name in self.arguments.values()]
        columns = ["e.owner", *self.in_sets("e"), *values]
        text = f"{select(columns)} FROM (\n{self.text}\n) AS e CROSS JOIN {each_set(self.sets)}"
        return replace(self, text=text, keys=(*self.keys, f"k{len(self.keys)}"), sets=(0,))

    def in_sets(self, alias: str) -> list[str]:
        """The bucket, and the keys as each set shows them."""
        keys = in_sets([f"{alias}.{name}" for name in self.keys])
        return [*(f"{alias}.{name}" for name in self.bucket), *keys]

    def of(self, argument: Expr) -> str:
        return f"r.{self.arguments[argument]}"


def select(columns: Sequence[str]) -> str:
    return f"SELECT {', '.join(columns) or '1'}"
