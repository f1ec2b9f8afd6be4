"""Where protected data lives, and the only rooms that know the way there."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol

from analyzer.plan import Statement

Row = tuple[Any, ...]


class EngineFailed(Exception):
    """The engine was asked and did not answer. One sentence for every cause.

    What the database said may quote data, so it is neither in the message nor chained to it.

    Attributes:
        sqlstate: five characters for the operator's log, ``"?????"`` where there is none. Never
            for an analyst: which one it is can depend on the data.
    """

    message = "The database did not answer the query."

    def __init__(self, sqlstate: str | None = None) -> None:
        super().__init__(self.message)
        self.sqlstate = sqlstate or "?????"


class EngineUnavailable(EngineFailed):
    """No connection could be had, so the engine was never asked and no data was touched."""

    message = "The database cannot be reached."


class ExactRows(list[Row]):
    """Exact rows, which nothing may print, log or store by accident.

    A list for those who compute with it. Its text says nothing, not even how many rows there are.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "<exact rows, not shown>"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return repr(self)

    def __reduce_ex__(self, _protocol: Any) -> Any:
        raise TypeError("exact rows are not copied out of the process")


class Engine(Protocol):
    """A database that answers exactly: two questions, and the words around them.

    Values arrive as bool, int, float, :class:`~decimal.Decimal`, str or None. Dates, timestamps and
    UUIDs are text as Postgres prints it (ISO, UTC): Python has no date for ``infinity`` or 4713 BC,
    and an answer must not fail on what the data holds.
    """

    def fetch(self, statements: Sequence[Statement]) -> AsyncGenerator[tuple[int, ExactRows]]:
        """Runs the exact statements of a plan on protected data, all on one state of it.

        Gives rows in chunks, each with the number of its statement. There is no limit on them:
        that one person decides whether it is passed would tell that she is there.

        Raises:
            EngineUnavailable: the database was not asked.
            EngineFailed: it was asked and failed.
        """
        ...

    async def finish(self, statement: Statement, noisy_rows: str) -> list[Row]:
        """Runs the finishing statement of a plan on noisy values: no table is read.

        Args:
            noisy_rows: a JSON array, bound as ``$1``; the parameters follow from ``$2``.

        Raises:
            EngineUnavailable, EngineFailed: as for :meth:`fetch`, or there are more rows than the
                limit.
        """
        ...

    async def ready(self) -> bool:
        """Whether the database answers now."""
        ...

    async def close(self) -> None:
        """Gives every connection back. The engine is not used afterwards."""
        ...
