"""Which statements of a client are answered by us and not by the shadow."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from analyzer.classify import Kind, Piece, Span


class Act(Enum):
    """What is done for a statement."""

    ROWS = "rows"
    CURSOR = "cursor"
    COPY = "copy"
    EXPLAIN = "explain"
    BUDGET = "budget"
    """``SHOW epsql.budget``."""
    SIGNAL = "signal"
    """Stops another session of the same analyst, as BI tools do."""


_ACTS = {
    Kind.PROTECTED: Act.ROWS,
    Kind.CURSOR: Act.CURSOR,
    Kind.COPY: Act.COPY,
    Kind.EXPLAIN: Act.EXPLAIN,
}
_HOLD = re.compile(r"\bWITH\s+HOLD\b", re.IGNORECASE)
_SIGNAL = re.compile(
    r"""SELECT\s+(?:pg_catalog\.)?pg_(cancel|terminate)_backend\s*\(
        \s*(?: '?(?P<pid>\d{1,9})'?\s*\)
             | pid\s*\)\s*FROM\s+pg_stat_activity\s+WHERE\s+pid\s*=\s*'?(?P<where>\d{1,9})'?)""",
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Own:
    """One statement that we answer.

    Attributes:
        text: the statement as the client wrote it.
        start: where it begins in what the client sent, in characters.
        inner: where the query is in it; all of it unless something is around the query.
        empty: there are no rows, whatever the data is.
        options: of EXPLAIN.
        pid: of the session to stop; ``ends`` says whether for good.
    """

    act: Act
    text: str
    start: int
    inner: Span
    empty: bool = False
    options: tuple[tuple[str, str | None], ...] = ()
    pid: int = 0
    ends: bool = False

    @property
    def needs_transaction(self) -> bool:
        """Whether Postgres refuses it outside of a transaction block."""
        return self.act is Act.CURSOR and not _HOLD.search(self.text[: self.inner.start])

    @property
    def query(self) -> str:
        return self.text[self.inner.start : self.inner.end]

    def around(self, query: str) -> str:
        """The statement with another query in the place of its own."""
        return self.text[: self.inner.start] + query + self.text[self.inner.end :]


def own(text: str, piece: Piece) -> Own | None:
    """What we have to do for a piece of a text; None where it is the shadow's."""
    start, statement = piece.span.start, text[piece.span.start : piece.span.end]
    whole = Span(0, len(statement))
    if piece.kind in _ACTS:
        at = piece.inner and Span(piece.inner.start - start, piece.inner.end - start)
        return Own(_ACTS[piece.kind], statement, start, at or whole, piece.empty, piece.options)
    if piece.verb == "SHOW" and piece.name == "epsql.budget":
        return Own(Act.BUDGET, statement, start, whole)
    if signal := _SIGNAL.fullmatch(statement):
        pid = int(signal["pid"] or signal["where"])
        ends = signal[1].lower() == "terminate"
        return Own(Act.SIGNAL, statement, start, whole, pid=pid, ends=ends)
    return None
