"""Where a statement's inner query stands in its text. Only for texts that Postgres' parser took."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
      (?P<space>  [\s\f\v]+ | --[^\r\n]* )
    | (?P<nested> /\* )
    | (?P<string> [eE]'(?: [^'\\] | \\. | '' )*' | (?: [bBxXnN] | [uU]& )?'(?: [^'] | '' )*' )
    | (?P<quoted> (?: [uU]& )?"(?: [^"] | "" )*" )
    | (?P<dollar> \$(?P<tag> (?: [A-Za-z_\x80-\U0010ffff][\w\x80-\U0010ffff]* )? )\$ )
    | (?P<word>   [A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]* )
    | (?P<other>  . )
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_SPACE = " \t\r\n\f\v"
"""What Postgres takes for space: no other character of Unicode."""
_COMMENT = re.compile(r"/\*|\*/")
_QUERY = frozenset({"select", "with", "values", "table", "("})


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the text: ``text[start:end]``."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Token:
    start: int
    end: int
    word: str
    """Lower-case for words and single characters; empty for strings and quoted names."""


def trimmed(text: str, start: int, end: int) -> Span:
    """Without the space around it."""
    piece = text[start:end].rstrip(_SPACE)
    return Span(start + len(piece) - len(piece.lstrip(_SPACE)), start + len(piece))


def cursor_query(text: str, span: Span) -> Span:
    """Of ``DECLARE name ... CURSOR ... FOR query``: the name cannot be a bare FOR."""
    after = next(token.end for token in _tokens(text, span) if token.word == "for")
    return trimmed(text, after, span.end)


def copied_query(text: str, span: Span) -> Span:
    """Of ``COPY (query) TO ...``."""
    depth, start = 0, span.start
    for token in _tokens(text, span):
        if token.word == "(":
            depth += 1
            start = token.end if depth == 1 else start
        elif token.word == ")":
            depth -= 1
            if not depth:
                return trimmed(text, start, token.start)
    return span


def explained_query(text: str, span: Span) -> Span:
    """Of ``EXPLAIN [ANALYZE] [VERBOSE] [(option, ...)] query``; of a cursor's, what it is for."""
    tokens = list(_tokens(text, span))[1:]
    if tokens[0].word == "(" and tokens[1].word not in _QUERY:
        depth = 0
        for number, token in enumerate(tokens):
            depth += (token.word == "(") - (token.word == ")")
            if not depth:
                tokens = tokens[number + 1 :]
                break
    while tokens[0].word in ("analyze", "analyse", "verbose"):
        del tokens[0]
    query = trimmed(text, tokens[0].start, span.end)
    return cursor_query(text, query) if tokens[0].word == "declare" else query


def _tokens(text: str, span: Span) -> Iterator[_Token]:
    at = span.start
    while at < span.end:
        match = _TOKEN.match(text, at, span.end)
        assert match is not None, "any character is a token"
        kind, at = match.lastgroup, match.end()
        if match["nested"]:
            at = _after_comment(text, at, span.end)
        elif match["dollar"]:
            closed = text.find(match["dollar"], at, span.end)
            at = span.end if closed < 0 else closed + len(match["dollar"])
            yield _Token(match.start(), at, "")
        elif kind != "space":
            plain = kind in ("word", "other")
            yield _Token(match.start(), at, match.group().lower() if plain else "")


def _after_comment(text: str, at: int, end: int) -> int:
    """Comments nest."""
    depth = 1
    while depth:
        match = _COMMENT.search(text, at, end)
        if match is None:
            return end
        depth += 1 if match.group() == "/*" else -1
        at = match.end()
    return at
