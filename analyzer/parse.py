"""Text to one SELECT syntax tree, or a refusal that points at the place."""

from __future__ import annotations

import logging

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, ParseError, SqlglotError

from analyzer.lexical import TextLimits, check_text
from analyzer.refusals import SyntaxRefused, TooComplex, Unsupported

# sqlglot logs the text of statements that it does not know. Analysts' SQL belongs in no log.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL + 1)


def parse(sql: str, limits: TextLimits | None = None) -> exp.Select:
    """The one SELECT statement that ``sql`` is.

    Raises:
        TooComplex: too long, too many tokens, or nested too deeply.
        SyntaxRefused: not one readable statement.
        Unsupported: a statement that is not a SELECT.
    """
    check_text(sql, limits or TextLimits())
    try:
        trees = sqlglot.parse(sql, dialect="postgres", error_level=ErrorLevel.IMMEDIATE)
    except ParseError as error:
        raise SyntaxRefused(
            "The query has a syntax error.", position=_error_position(sql, error)
        ) from None
    except SqlglotError:
        raise SyntaxRefused("The query has a syntax error.") from None
    except RecursionError:
        raise TooComplex(
            "The query is nested too deeply.",
            hint="Use common table expressions (WITH) in place of nesting.",
        ) from None
    statements = [tree for tree in trees if tree is not None]
    if len(statements) != 1:
        raise SyntaxRefused("Send exactly one SELECT statement.")
    tree = statements[0]
    while isinstance(tree, exp.Subquery) and set(given(tree)) == {"this"}:
        tree = tree.this
    if not isinstance(tree, exp.Select):
        raise Unsupported(
            "Only SELECT statements are answered.",
            hint="Ask for aggregates: SELECT count(*) FROM a table, with WHERE and GROUP BY.",
            position=1,
        )
    return tree


def given(node: exp.Expression) -> dict[str, object]:
    """The arguments of a syntax node that say something: not None, not False, not empty."""
    return {
        name: value
        for name, value in node.args.items()
        if value is not None and value is not False and value != []
    }


def only(node: exp.Expression, *allowed: str) -> None:
    """Refuse a node that has an argument we do not know. Unknown syntax is never skipped.

    Raises:
        Unsupported: an argument outside ``allowed`` is set.
    """
    for name in given(node):
        if name not in allowed:
            raise Unsupported(
                f"This form of {spoken(node)} is not supported.",
                detail=f"The part that epsql does not know is called '{name.strip('_')}'.",
                position=position_of(node),
            )


def position_of(node: exp.Expression) -> int | None:
    """1-based offset of the first token of ``node`` that the parser kept a place for."""
    starts = [int(found.meta["start"]) for found in node.walk() if "start" in found.meta]
    return min(starts) + 1 if starts else None


def spoken(node: exp.Expression) -> str:
    """A syntax node's name for a sentence: ``Select`` is SELECT, ``NullSafeEQ`` is NULLSAFEEQ."""
    return type(node).__name__.upper()


def _error_position(sql: str, error: ParseError) -> int | None:
    if not error.errors:
        return None
    line, col = error.errors[0].get("line"), error.errors[0].get("col")
    if not line or not col:
        return None
    before = sql.split("\n")[: int(line) - 1]
    highlight = str(error.errors[0].get("highlight") or "")
    offset = sum(len(text) + 1 for text in before) + int(col) - len(highlight)
    return max(1, min(offset + 1, len(sql)))
