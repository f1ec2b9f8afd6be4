"""Which statements of a client are answered by us and not by the shadow."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from analyzer.classify import Kind, Piece, Span
from analyzer.refusals import BadArgument, Refusal
from server.identity import TOKEN
from server.wire import asks

PASSED_ON = "analyst_token"
"""The setting that says who asks, behind ``epsql.``."""


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
    PERSON = "person"
    """``SET epsql.analyst_token``, of a login that many people share."""


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
        token: of the person. It is not in ``text``, which the shadow gets to see.
    """

    act: Act
    text: str
    start: int
    inner: Span
    empty: bool = False
    options: tuple[tuple[str, str | None], ...] = ()
    pid: int = 0
    ends: bool = False
    token: str = ""

    @property
    def needs_transaction(self) -> bool:
        """Whether Postgres refuses it outside of a transaction block."""
        return self.act is Act.CURSOR and not _HOLD.search(self.text[: self.inner.start])

    @property
    def query(self) -> str:
        return self.text[self.inner.start : self.inner.end]

    def passed_on(self, handle: str) -> str:
        """The statement that sets who asks, with a handle in the place of the token."""
        return self.text.replace("''", f"'{handle}'")

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
    return _person(piece)


def refusal_of(piece: Piece) -> Refusal | None:
    """Why a statement is refused: by the classifier, or for an ``epsql.`` setting."""
    try:
        for setting in piece.settings:
            asks.read(setting.name, setting.value)
            if setting.name == PASSED_ON and setting.value and piece.verb != "SET":
                raise BadArgument("A token is set by SET.")
    except Refusal as refusal:
        return refusal
    return piece.refusal


def without_tokens(text: str, pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    """The pieces; but nobody's, if a token is where the shadow would get to see it."""
    rest = text
    for piece in pieces:
        if _person(piece):
            rest = rest.replace(text[piece.span.start : piece.span.end], "")
    if not TOKEN.search(rest):
        return pieces
    misplaced = BadArgument(
        "A token is set by SET epsql.analyst_token = '...', and in no other text.",
        hint="This text went no further. If others could read it, have the token revoked.",
    )
    return (Piece(Kind.REFUSED, Span(0, len(text)), refusal=misplaced),)


def _person(piece: Piece) -> Own | None:
    for setting in piece.settings:
        if setting.name == PASSED_ON and setting.value:
            text = f"SET {'LOCAL ' if setting.local else ''}epsql.{PASSED_ON} = ''"
            return Own(Act.PERSON, text, piece.span.start, Span(0, len(text)), token=setting.value)
    return None
