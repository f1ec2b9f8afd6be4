"""Two parsers agree, or the query is refused.

libpg_query is PostgreSQL's own parser, of version 17; sqlglot's tree is the one that we bind. What
sqlglot misreads would be an answer to another question than the analyst's. So both trees are turned
into one canonical form (:mod:`analyzer.agreement_words`) and compared; then libpg_query's is
forgotten, and only sqlglot's goes on.

Neither form keeps what no answer depends on: parentheses, spelling of operators and types, the
nesting of AND in AND. ``docs/decisions/0005-two-parsers.md`` says why, and what it does not show.
"""

from __future__ import annotations

import pgparse
from sqlglot import exp

# These fill the tables of readers.
import analyzer.agreement_postgres_expressions
import analyzer.agreement_postgres_select
import analyzer.agreement_sqlglot_calls
import analyzer.agreement_sqlglot_expressions  # noqa: F401
from analyzer import agreement_postgres, agreement_sqlglot
from analyzer.agreement_postgres import Fields
from analyzer.agreement_words import Form, targets
from analyzer.refusals import Refusal, SyntaxRefused, TooComplex, Unsupported
from analyzer.syntax import COLUMN, Tree, position_of

_CLAUSES = {
    1: ("SELECT DISTINCT", "distinct"),
    2: ("the select list", "expressions"),
    3: ("FROM", "from_"),
    4: ("WHERE", "where"),
    5: ("GROUP BY", "group"),
    6: ("HAVING", "having"),
    7: ("WINDOW", "windows"),
    8: ("WITH", "with_"),
    9: ("ORDER BY", "order"),
    10: ("LIMIT", "limit"),
    11: ("OFFSET", "offset"),
}
"""Places in the form of a SELECT."""
_NO_SYNTAX = ("stack depth", "memory exhausted")


def read_statement(sql: str) -> Fields:
    """The one SELECT statement that PostgreSQL's grammar finds in ``sql``, as libpg_query's tree.

    Raises:
        SyntaxRefused: PostgreSQL would not accept the text; with its position.
        TooComplex: nested too deeply for the parser.
        Unsupported: a statement that is not a SELECT.
    """
    try:
        statements = pgparse.parse(sql)
    except pgparse.PGQueryError as error:
        raise _refused(sql, str(error.message), int(error.position)) from None
    except UnicodeEncodeError as error:
        raise SyntaxRefused(
            "The query holds a character that is no Unicode text.", position=error.start + 1
        ) from None
    except RecursionError:
        raise too_deep() from None
    if len(statements) != 1:
        raise SyntaxRefused(
            "Send exactly one SELECT statement.",
            hint="Send them one by one.",
        )
    statement: Fields = statements[0]["stmt"]
    if "SelectStmt" not in statement:
        raise Unsupported(
            "Only SELECT statements are answered.",
            hint="Ask for aggregates: SELECT count(*) FROM a table, with WHERE and GROUP BY.",
            position=1,
        )
    return statement


def check_agreement(sql: str, statement: Fields, tree: Tree) -> None:
    """Pass where both trees of ``sql`` mean the same, and name the columns of ``tree``.

    Raises:
        SyntaxRefused: they differ.
        Refusal: one has a part that we do not know how to compare, and so do not answer.
    """
    try:
        theirs = agreement_postgres.form_of(statement)
    except RecursionError:
        raise too_deep() from None
    except Refusal as refusal:
        refusal.position = _in_characters(sql, refusal.position)
        raise
    try:
        ours = agreement_sqlglot.form_of(tree)
        same = ours == theirs
    except RecursionError:
        raise too_deep() from None
    if not same:
        raise _differ(tree, ours, theirs)
    # sqlglot has one word for several functions; what columns are called is PostgreSQL's to say.
    for mine, other in zip(targets(ours), targets(theirs), strict=True):
        mine.beside.meta[COLUMN] = other.beside


def too_deep() -> TooComplex:
    return TooComplex(
        "The query is nested too deeply.",
        hint="Use common table expressions (WITH) in place of nesting.",
    )


def _refused(sql: str, message: str, position: int) -> Refusal:
    if any(word in message for word in _NO_SYNTAX):
        return too_deep()
    if position > len(sql) or "end of input" in message:
        return SyntaxRefused("The query ends too early.", position=len(sql) + 1)
    if " at or near " not in message or position < 1:
        return SyntaxRefused("The query has a syntax error.", position=position or None)
    # The message is built from the analyst's own text here, never from the parser's.
    near = sql[position - 1 :].split(None, 1)[0][:40]
    return SyntaxRefused(f'There is a syntax error at or near "{near}".', position=position)


def _in_characters(sql: str, position: int | None) -> int | None:
    if position is None:
        return None
    return len(sql.encode()[: position - 1].decode(errors="ignore")) + 1


def _differ(tree: Tree, ours: Form, theirs: Form) -> SyntaxRefused:
    """The refusal, with the first clause in which the forms differ."""
    where, node = "it", None
    if ours[0] == theirs[0] == "select":
        place = next(
            i for i, pair in enumerate(zip(ours, theirs, strict=True)) if len(set(pair)) > 1
        )
        where, argument = _CLAUSES[place]
        found = tree.args.get(argument)
        if isinstance(found, list):
            items = zip(found, ours[place], theirs[place], strict=False)
            found = next((item for item, a, b in items if a != b), found[0] if found else None)
        node = found
    return SyntaxRefused(
        "The query can be read in two ways, and epsql does not guess.",
        detail=f"PostgreSQL's parser and epsql's read {where} differently.",
        hint="Put parentheses around parts of it, write AS before an alias, or use another alias.",
        position=position_of(node) if isinstance(node, exp.Expression) else None,
    )
