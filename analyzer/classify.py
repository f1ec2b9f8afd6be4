"""What the statements of a session are: the shadow's, the gateway's, or nobody's.

Pure and total. It decides where a text goes and not what it may reveal: a protected statement is
analyzed afterwards, and what was taken for the shadow's by mistake finds no rows there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from analyzer.refusals import Refusal

Place = tuple[str, str]
"""Schema and relation."""


class Kind(Enum):
    NOTHING = "nothing"
    """Only space and comments."""
    SHADOW = "shadow"
    """The shadow answers it as it stands."""
    PROTECTED = "protected"
    """A query over a protected relation: the gateway's."""
    CURSOR = "cursor"
    """``DECLARE ... FOR`` such a query, which is at ``inner``."""
    COPY = "copy"
    """``COPY (...) TO STDOUT`` of such a query, which is at ``inner``."""
    EXPLAIN = "explain"
    """``EXPLAIN`` of such a query, which is at ``inner``; ``options`` has how."""
    REFUSED = "refused"
    """Nobody runs it; ``refusal`` says why, its position counting in the whole text."""


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the text: ``text[start:end]``."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Setting:
    """One change of an ``epsql.`` setting, by SET or by ``set_config``."""

    name: str
    """Lower-case, without ``epsql.``."""
    value: str | None
    """None puts it back."""
    local: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """One statement of a text."""

    kind: Kind
    span: Span
    """The statement without its semicolon and the space around it."""
    verb: str = ""
    """Its first word or words, upper-case: ``SELECT``, ``DEALLOCATE``, ``BEGIN``. Empty where the
    text cannot be read; the shadow then says what is wrong with it."""
    name: str | None = None
    """Of the cursor, prepared statement, savepoint or setting that it is about; None is all."""
    inner: Span | None = None
    empty: bool = False
    """The query has no rows whatever the data is (LIMIT 0, WHERE false): its columns are the
    answer, and it costs nothing."""
    settings: tuple[Setting, ...] = ()
    options: tuple[tuple[str, str | None], ...] = ()
    """Of EXPLAIN and COPY, lower-case names; None where an option has no value."""
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Names:
    """The relations of a data set that the gateway answers."""

    guarded: frozenset[Place]


def classify(text: str, names: Names, search_path: tuple[str, ...]) -> tuple[Piece, ...]:
    """The statements of a simple Query or Parse message, in order; never empty.

    Args:
        text: as the client sent it, decoded.
        names: of the session's data set.
        search_path: schemas in which unqualified names are looked up, as ``current_schemas(false)``
            gives them.
    """
    raise NotImplementedError
