"""What the statements of a session are: the shadow's, the gateway's, or nobody's.

Pure and total. It decides where a text goes and not what it may reveal: a protected statement is
analyzed afterwards, and what was taken for the shadow's by mistake finds no rows there. So a text
that libpg_query cannot read is the shadow's, which says what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import pgparse

from analyzer.agreement import too_deep
from analyzer.agreement_postgres import Fields
from analyzer.empty_queries import has_no_rows
from analyzer.refusals import Refusal, SyntaxRefused, TooComplex, Unsupported
from analyzer.session_settings import Setting, changed_by_calls, changed_by_set
from analyzer.statement_names import BOOKS, Names, constants, is_guarded, names_in
from analyzer.statement_spans import (
    Span,
    copied_query,
    cursor_query,
    explained_query,
    trimmed,
)

MOST_CHARACTERS = 65_536
"""A longer text is refused before it is parsed: reading this much takes a third of a second."""
_RUN = re.compile(r"[-+*/<>=~!@#%^&|`?]{513}")
"""Postgres' scanner reads a run of such characters again for each comment or sign that begins in
it, and cannot be interrupted: with 65,000 comments in each other it takes minutes."""


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
    books: bool = False
    """It reads the schema ``epsql``, which then has to be up to date."""
    settings: tuple[Setting, ...] = ()
    sets_by_call: bool = False
    """It can change any setting that a session may change, whenever it is executed."""
    options: tuple[tuple[str, str | None], ...] = ()
    """Of EXPLAIN and COPY, lower-case names; None where an option has no value."""
    refusal: Refusal | None = None


class NotHere(Refusal):
    """A statement that Postgres knows and epsql executes for nobody."""

    code = "42501"
    advice = "Tables are asked with SELECT."


class ReadOnly(Refusal):
    """A statement that would write."""

    code = "25006"
    advice = "epsql only reads: ask with SELECT."


def classify(text: str, names: Names, search_path: tuple[str, ...]) -> tuple[Piece, ...]:
    """The statements of a simple Query or Parse message, in order; never empty.

    Args:
        text: as the client sent it, decoded.
        names: of the session's data set.
        search_path: schemas in which unqualified names are looked up, as ``current_schemas(false)``
            gives them.
    """
    whole = trimmed(text, 0, len(text))
    try:
        statements = _statements(text)
    except pgparse.PGQueryError as error:
        if "memory exhausted" in str(error) or "stack depth" in str(error):
            return (Piece(Kind.REFUSED, whole, refusal=too_deep()),)
        return (Piece(Kind.SHADOW, whole, sets_by_call=True),)
    except Refusal as refusal:
        return (Piece(Kind.REFUSED, whole, refusal=refusal),)
    pieces = []
    for tree, span in statements:
        ((node, fields),) = tree.items()
        here = _Here(text, span, names, search_path)
        try:
            piece = _READERS.get(node, _other)(here, node, fields)
        except Refusal as refusal:
            if refusal.position is None:
                refusal.position = span.start + 1
            piece = Piece(Kind.REFUSED, span, refusal=refusal)
        except RecursionError:
            piece = Piece(Kind.REFUSED, span, refusal=too_deep())
        pieces.append(piece)
    return tuple(pieces) or (Piece(Kind.NOTHING, whole),)


def _statements(text: str) -> list[tuple[Fields, Span]]:
    """Each statement's tree and place, as Postgres splits them.

    Raises:
        PGQueryError: it would not accept the text.
        Refusal: too long, too deep, or not text.
    """
    if len(text) > MOST_CHARACTERS:
        raise TooComplex(f"The text is longer than {MOST_CHARACTERS} characters.")
    if run := _RUN.search(text):
        raise TooComplex(
            "More than 512 characters of operators or comments in a row.", position=run.start() + 1
        )
    if "\0" in text:
        raise SyntaxRefused("The text holds a zero byte.")
    try:
        encoded = text.encode()
        found = pgparse.parse(text)
    except UnicodeEncodeError:
        raise SyntaxRefused("The text holds a character that is no Unicode text.") from None
    except RecursionError:
        raise too_deep() from None
    pieces = []
    for part in found:
        start = part.get("stmt_location", 0)
        end = start + part["stmt_len"] if part.get("stmt_len") else len(encoded)
        first = len(encoded[:start].decode())
        pieces.append(
            (part["stmt"], trimmed(text, first, first + len(encoded[start:end].decode())))
        )
    return pieces


@dataclass(frozen=True, slots=True)
class _Here:
    """A statement's place, and what its names mean."""

    text: str
    span: Span
    names: Names
    search_path: tuple[str, ...]

    def query(
        self,
        tree: Any,
        verb: str,
        *,
        kind: Kind = Kind.PROTECTED,
        inner: Callable[[str, Span], Span] | None = None,
    ) -> Piece:
        """A query, or what stands around one: the shadow's, or of that kind if it is protected.

        ``inner`` finds the query in the statement.

        Raises:
            Refusal: it writes, or sets what may not be set.
        """
        if "SelectStmt" not in tree:
            raise ReadOnly(f"epsql cannot execute {_spoken(tree)} here.", hint=_HINT)
        found = names_in(tree, self.names, self.search_path)
        if found.writes:
            raise ReadOnly(f"epsql cannot execute {found.writes}: data is only read.", hint=_HINT)
        settings = changed_by_calls(found.calls)
        calls = any(call.name == "set_config" for call in found.calls)
        if not found.guarded:
            return Piece(
                Kind.SHADOW,
                self.span,
                verb,
                books=found.books,
                settings=settings,
                sets_by_call=calls,
            )
        return Piece(
            kind,
            self.span,
            verb,
            inner=None if inner is None else inner(self.text, self.span),
            empty=has_no_rows(tree["SelectStmt"]),
            settings=settings,
            sets_by_call=calls,
        )


def _select(here: _Here, node: str, fields: Fields) -> Piece:
    return here.query({node: fields}, "SELECT")


def _declare(here: _Here, _: str, fields: Fields) -> Piece:
    piece = here.query(fields["query"], "DECLARE", kind=Kind.CURSOR, inner=cursor_query)
    return replace(piece, name=fields.get("portalname"))


def _explain(here: _Here, _: str, fields: Fields) -> Piece:
    tree = fields["query"]
    if "ExecuteStmt" in tree:  # nothing protected can have been prepared
        return Piece(Kind.SHADOW, here.span, "EXPLAIN")
    if "DeclareCursorStmt" in tree:
        tree = tree["DeclareCursorStmt"]["query"]
    piece = here.query(tree, "EXPLAIN", kind=Kind.EXPLAIN, inner=explained_query)
    return replace(piece, options=_options(fields))


def _copy(here: _Here, _: str, fields: Fields) -> Piece:
    if fields.get("is_from"):
        raise ReadOnly("epsql cannot execute COPY FROM: data is only read.", hint=_HINT)
    if "filename" in fields or fields.get("is_program"):
        raise NotHere("COPY goes to the client only.", hint="Write COPY (SELECT ...) TO STDOUT.")
    if "query" in fields:
        piece = here.query(fields["query"], "COPY", kind=Kind.COPY, inner=copied_query)
        return replace(piece, options=_options(fields))
    if is_guarded(fields["relation"], here.names, here.search_path):
        raise NotHere(
            "Rows of this table are protected.",
            hint="Write COPY (SELECT ...) TO STDOUT with a query that asks for aggregates.",
        )
    books = fields["relation"].get("schemaname") == BOOKS
    return Piece(Kind.SHADOW, here.span, "COPY", books=books, options=_options(fields))


def _prepare(here: _Here, _: str, fields: Fields) -> Piece:
    piece = here.query(fields["query"], "PREPARE")
    if piece.kind is Kind.PROTECTED:
        raise Unsupported(
            "PREPARE of a query over protected tables is not supported.",
            hint="Send the SELECT itself, or prepare it by the protocol, as drivers do.",
        )
    return replace(piece, name=fields.get("name"), empty=False)


def _set(here: _Here, _: str, fields: Fields) -> Piece:
    verb = "RESET" if fields["kind"] in ("VAR_RESET", "VAR_RESET_ALL") else "SET"
    own = changed_by_set(fields)
    return Piece(Kind.SHADOW, here.span, verb, fields.get("name"), settings=own)


def _transaction(here: _Here, _: str, fields: Fields) -> Piece:
    kind = fields["kind"].removeprefix("TRANS_STMT_")
    if kind in ("PREPARE", "COMMIT_PREPARED", "ROLLBACK_PREPARED"):
        raise NotHere("Two-phase commit is not for sessions of epsql.")
    return Piece(Kind.SHADOW, here.span, kind.replace("_", " "), fields.get("savepoint_name"))


def _plain(verb: str, name: str = "") -> Callable[[_Here, str, Fields], Piece]:
    """A statement that the shadow answers in any case; ``name`` is the field of what it names."""

    def read(here: _Here, _: str, fields: Fields) -> Piece:
        return Piece(Kind.SHADOW, here.span, verb, fields.get(name))

    return read


def _fetch(here: _Here, _: str, fields: Fields) -> Piece:
    verb = "MOVE" if fields.get("ismove") else "FETCH"
    return Piece(Kind.SHADOW, here.span, verb, fields.get("portalname"))


def _other(_: _Here, node: str, fields: Fields) -> Piece:
    """Whatever is not on the list."""
    if node.removesuffix("Stmt") in _NEITHER:
        raise NotHere(f"epsql does not execute {_spoken({node: fields})}.", hint=_HINT)
    raise ReadOnly(
        f"epsql cannot execute {_spoken({node: fields})}: data is only read.", hint=_HINT
    )


def _options(fields: Fields) -> tuple[tuple[str, str | None], ...]:
    found = []
    for option in fields.get("options", []):
        part = option["DefElem"]
        argument = part.get("arg")
        if argument is None:
            value = None
        elif "String" in argument:
            value = argument["String"].get("sval", "")
        elif "Integer" in argument:
            value = str(argument["Integer"].get("ival", 0))
        else:
            value = next(iter(constants([argument])), "")
        found.append((part.get("defname", "").lower(), value))
    return tuple(found)


def _spoken(tree: Fields) -> str:
    """``CreateTableAsStmt`` as ``CREATE TABLE AS``."""
    name = next(iter(tree)).removesuffix("Stmt")
    return "".join(f" {letter}" if letter.isupper() else letter for letter in name).strip().upper()


_HINT = "Ask for aggregates with SELECT."
_NEITHER = frozenset(
    {"AlterSystem", "Call", "CheckPoint", "Do", "Listen", "Load", "Lock", "Notify", "Vacuum"}
)
"""Statements that do not write to tables, so that another message is truer."""

_READERS: dict[str, Callable[[_Here, str, Fields], Piece]] = {
    "SelectStmt": _select,
    "DeclareCursorStmt": _declare,
    "ExplainStmt": _explain,
    "CopyStmt": _copy,
    "PrepareStmt": _prepare,
    "VariableSetStmt": _set,
    "TransactionStmt": _transaction,
    "FetchStmt": _fetch,
    "VariableShowStmt": _plain("SHOW", "name"),
    "ExecuteStmt": _plain("EXECUTE", "name"),
    "DeallocateStmt": _plain("DEALLOCATE", "name"),
    "ClosePortalStmt": _plain("CLOSE", "portalname"),
    "DiscardStmt": _plain("DISCARD", "target"),
    "UnlistenStmt": _plain("UNLISTEN", "conditionname"),
    "ConstraintsSetStmt": _plain("SET CONSTRAINTS"),
}
"""The statements that are read or let through. What is not here is refused."""

__all__ = ["Kind", "Names", "Piece", "Setting", "Span", "classify"]
