"""The first gate: plain tokens only, few enough and shallow enough, before any parser sees the
text.

PostgreSQL, libpg_query and sqlglot disagree about Unicode spaces, prefixed strings, number suffixes
and runs of operator characters. What they could read differently is refused here, by character.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from analyzer.refusals import SyntaxRefused, TooComplex


@dataclass(frozen=True, slots=True)
class TextLimits:
    """Ceilings on one SQL text, checked before any parser runs."""

    characters: int = 16_384
    tokens: int = 2_000
    depth: int = 40
    digits: int = 100
    """Characters of one number."""
    height: int = 200
    """Levels of the syntax tree, counted from above: parsers, and we, use stack for each."""


_SPACES = " \t\r\n"
_TOKEN = re.compile(
    r"""
    [ \t\r\n]*+ (?:
      (?P<comment>  --[^\r\n]* | /\* (?: (?! \*/ | /\* ) [^\0] )* \*/ )
    | (?P<string>   ' (?: [^'\0] | '' )* ' (?! ') )
    | (?P<quoted>   " (?: [^"\0] | "" )+ " (?! ") )
    | (?P<number>   (?: [0-9]+ (?: \.[0-9]* )? | \.[0-9]+ ) (?: [eE][+-]?[0-9]{1,3} )?
                    (?! [A-Za-z0-9_$.] ) )
    | (?P<word>     [A-Za-z_][A-Za-z0-9_]* (?! [A-Za-z0-9_$] ) )
    | (?P<param>    \$[0-9]{1,4} (?! [A-Za-z0-9_$] ) )
    | (?P<cast>     :: )
    | (?P<mark>     [](),.;[] )
    | (?P<operator> [-+*/<>=~!@\#%^&|`?]+ )
    )
    """,
    re.VERBOSE,
)
_PREFIXES = frozenset({"e", "b", "x", "n", "u"})
_OPERATORS = frozenset({"+", "-", "*", "/", "%", "<", ">", "=", "<=", ">=", "<>", "!=", "||"})
_KEEPS_SIGN = frozenset("~!@#%^&|`?")
_LINKS = frozenset(
    {"not", "is", "isnull", "notnull", "in", "like", "ilike", "between", "similar", "escape"}
    | {"collate", "at"}
)
_SIBLINGS = frozenset(
    {",", "select", "where", "group", "having", "order", "limit", "offset", "on", "when", "then"}
    | {"else"}
)
_CHAINS = frozenset({"join", "union", "intersect", "except"})
_OPENS = frozenset({"(", "[", "case"})
_CLOSES = frozenset({")", "]", "end"})
_SHAPES = _LINKS | _SIBLINGS | _CHAINS | _OPENS | _CLOSES | {"and", "or"}
"""Words and marks that the height of a tree depends on, beside operators."""


def check_text(sql: str, limits: TextLimits) -> None:
    """Pass, or refuse, a text by its tokens alone.

    Raises:
        TooComplex: too long, too many tokens, or nested too deeply.
        SyntaxRefused: a character or token outside the plain core of SQL.
    """
    if len(sql) > limits.characters:
        raise TooComplex(
            f"The query is longer than {limits.characters} characters.",
            hint="Shorten it, or split it into several queries.",
        )
    at = tokens = 0
    end = len(sql.rstrip(_SPACES))
    finished = False
    tree = _Height(limits)
    while at < end:
        match = _TOKEN.match(sql, at)
        if match is None:
            at = len(sql) - len(sql[at:].lstrip(_SPACES))
            raise SyntaxRefused(
                "epsql cannot read the query here.",
                detail="Outside quotes only plain ASCII SQL is accepted; strings have no prefix "
                "(no E'...', U&'...', $$...$$), comments do not nest, every quote is closed.",
                position=at + 1,
            )
        kind = match.lastgroup
        assert kind is not None, "one of them matched"
        text = match[kind]
        if kind == "comment":
            at = match.end()
            continue
        at = match.end() - len(text)
        if finished:
            raise SyntaxRefused(
                "Only one statement at a time.",
                hint="Send the statements one by one.",
                position=at + 1,
            )
        if kind == "operator":
            text = _first_operator(text, at)
        elif kind == "number" and len(text) > limits.digits:
            raise TooComplex(
                f"A number is longer than {limits.digits} characters.", position=at + 1
            )
        elif (
            kind == "word"
            and text.lower() in _PREFIXES
            and sql[match.end() : match.end() + 1] in "'&"
        ):
            _refuse_prefix(sql, match, at)
        tokens += 1
        if tokens > limits.tokens:
            raise TooComplex(
                f"The query has more than {limits.tokens} tokens.",
                hint="Shorten it, or split it into several queries.",
            )
        word, operates = text.lower(), kind in ("operator", "cast")
        if operates or word in _SHAPES:
            tree.add(word, operates, at)
        finished = text == ";"
        at += len(text)
    tree.check()


@dataclass(slots=True)
class _Level:
    """What one pair of parentheses holds, as far as it has been read."""

    chain: int = 0
    """Joins and set operations: each holds all before it."""
    connectors: int = 0
    """AND and OR in the expression that is being read."""
    run: int = 0
    """Tighter operators since the last AND or OR, and ..."""
    inner: int = 0
    """... the tallest level in parentheses among them."""
    part: int = 0
    """The tallest of the finished parts between ANDs and ORs."""
    finished: int = 0
    """The tallest of the finished expressions."""

    def height(self) -> int:
        expression = self.connectors + max(self.part, self.run + self.inner)
        return self.chain + max(self.finished, expression)

    def next_expression(self) -> None:
        self.finished = self.height() - self.chain
        self.connectors = self.run = self.inner = self.part = 0


class _Height:
    """Counts, token by token, how tall a syntax tree of them can be, from above."""

    def __init__(self, limits: TextLimits) -> None:
        self.limits = limits
        self.levels = [_Level()]
        self.count = 0
        self.over: int | None = None

    def add(self, word: str, is_operator: bool, at: int) -> None:  # noqa: FBT001
        """One of :data:`_SHAPES`, or an operator, at an offset."""
        self.count += 1
        level = self.levels[-1]
        if is_operator or word in _LINKS:
            level.run += 1
        elif word in ("and", "or"):
            level.part = max(level.part, level.run + level.inner)
            level.connectors += 1
            level.run = level.inner = 0
        elif word in _SIBLINGS:
            level.next_expression()
        elif word in _CHAINS:
            level.next_expression()
            level.chain += 1
        elif word in _OPENS:
            self.levels.append(_Level())
            if len(self.levels) - 1 > self.limits.depth:
                raise TooComplex(
                    f"The query is nested more than {self.limits.depth} levels deep.",
                    hint="Use common table expressions (WITH) in place of nesting.",
                    position=at + 1,
                )
            return
        elif len(self.levels) > 1:
            self.levels.pop()
            inside, level = level, self.levels[-1]
            level.inner = max(level.inner, 1 + inside.height())
        # Each of them adds one level at most.
        few = self.count <= self.limits.height
        if not few and self.over is None and level.height() > self.limits.height:
            self.over = at + 1

    def check(self) -> None:
        """Refuse what is too tall; called last, so that shorter reasons are told first."""
        if self.over is not None:
            raise TooComplex(
                "An expression of the query has too many parts in a row.",
                detail=f"Its syntax tree would be more than {self.limits.height} levels tall.",
                hint="Write a long OR of comparisons as IN (...), or use fewer operators.",
                position=self.over,
            )


def _refuse_prefix(sql: str, match: re.Match[str], at: int) -> None:
    following = sql[match.end() : match.end() + 2]
    if following.startswith("'") or (match["word"].lower() == "u" and following in ("&'", '&"')):
        raise SyntaxRefused(
            f"Strings with the prefix {match['word']} are not accepted.",
            hint="Write a plain '...' string; double a quote inside it.",
            position=at + 1,
        )


def _first_operator(run: str, at: int) -> str:
    """The operator that PostgreSQL reads first in a run of operator characters (manual, 4.1.3)."""
    for comment in ("--", "/*"):
        cut = run.find(comment)
        if cut > 0:
            run = run[:cut]
    while len(run) > 1 and run[-1] in "+-" and not _KEEPS_SIGN.intersection(run):
        run = run[:-1]
    if run not in _OPERATORS:
        raise SyntaxRefused(
            f"There is no operator {run} here.",
            hint="Operators are + - * / % = <> < <= > >= and ||; put a space before a minus sign.",
            position=at + 1,
        )
    return run
