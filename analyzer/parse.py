"""Text to one syntax tree that two parsers agree on, or a refusal that points at the place."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import ErrorLevel, ParseError, SqlglotError

from analyzer.agreement import check_agreement, read_statement, too_deep
from analyzer.lexical import TextLimits, check_text
from analyzer.refusals import Refusal, SyntaxRefused, TooComplex, Unsupported
from analyzer.syntax import Tree, given

# sqlglot makes an EXTRACT of date_part, which has another type, and translates the formats of
# to_char, which loses some. Both are calls as any other to us.
Postgres.Parser.FUNCTION_PARSERS.pop("DATE_PART")
Postgres.Parser.FUNCTIONS.pop("TO_CHAR")
# The standard's name of bool_and.
Postgres.Parser.FUNCTIONS["EVERY"] = exp.LogicalAnd.from_arg_list
# sqlglot logs the text of statements that it does not know. Analysts' SQL belongs in no log.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL + 1)


_POSTGRES = Postgres()
_Meaning = TypeVar("_Meaning")


def parse(sql: str, limits: TextLimits | None = None) -> Tree:
    """The one SELECT statement that ``sql`` is, as :func:`parse_as` raises."""
    return parse_as(sql, lambda tree: tree, limits)


def parse_as(
    sql: str, bind: Callable[[Tree], _Meaning], limits: TextLimits | None = None
) -> _Meaning:
    """What ``bind`` makes of the one SELECT statement that ``sql`` is.

    Nothing comes of a tree on which the parsers do not agree. Where they cannot be compared because
    of something that we do not know, the refusal is that of ``bind``, if it has one: it knows more
    about what could be meant.

    Raises:
        TooComplex: too long, too many tokens, or nested too deeply.
        SyntaxRefused: not one readable statement, or one that PostgreSQL reads differently.
        Refusal: a statement that is not a SELECT, a part that we cannot compare, or ``bind``'s own.
    """
    check_text(sql, limits or TextLimits())
    statement = read_statement(sql)
    tree = _tree(sql)
    try:
        check_agreement(sql, statement, tree)
    except (SyntaxRefused, TooComplex):
        raise
    except Refusal:
        bind(tree)
        raise
    return bind(tree)


def _tree(sql: str) -> Tree:
    try:
        # The line end is for sqlglot's tokenizer, which trips over '' at the end after a $1.
        trees = _POSTGRES.parse(sql + "\n", error_level=ErrorLevel.IMMEDIATE)
    except ParseError as error:
        raise SyntaxRefused(
            "epsql cannot read the query here.",
            hint="Postgres can. Put parentheses around parts of it, or write it plainer.",
            position=_error_position(sql, error),
        ) from None
    except SqlglotError:
        raise SyntaxRefused("epsql cannot read the query.") from None
    except RecursionError:
        raise too_deep() from None
    statements = [tree for tree in trees if tree is not None]
    if len(statements) != 1:
        raise SyntaxRefused(
            "Send exactly one SELECT statement.",
            hint="Send them one by one.",
        )
    tree = statements[0]
    while isinstance(tree, exp.Subquery) and set(given(tree)) == {"this"}:
        tree = tree.this
    if not isinstance(tree, Tree):
        raise Unsupported(
            "Only SELECT statements are answered.",
            hint="Ask for aggregates: SELECT count(*) FROM a table, with WHERE and GROUP BY.",
            position=1,
        )
    return tree


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
