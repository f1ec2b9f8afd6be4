"""The first gate: what PostgreSQL and sqlglot could read differently never gets to either."""

from __future__ import annotations

import re

import postgast
import pytest

from analyzer.lexical import TextLimits, check_text
from analyzer.refusals import SyntaxRefused, TooComplex

LIMITS = TextLimits()

REFUSED = {
    "U& identifier (PAR-11)": 'SELECT \u00a6U&"\\0061ge"',
    "U& string (PAR-11)": "SELECT \u00a6u&'\\0061'",
    "E string (PAR-18)": "SELECT \u00a6E'\\'' || name --'",
    "B string": "SELECT \u00a6b'01'",
    "X string": "SELECT \u00a6x'1f'",
    "N string": "SELECT \u00a6n'x'",
    "digit separator (PAR-12)": "SELECT \u00a61_000",
    "hexadecimal (PAR-12)": "SELECT \u00a60x1F",
    "octal (PAR-12)": "SELECT \u00a60o17",
    "number with a tail (PAR-12)": "SELECT \u00a61abc",
    "exponent without digits": "SELECT \u00a61e",
    "two points": "SELECT \u00a61..2",
    "no-break space (PAR-13)": "SELECT 1\u00a6\u00a0",
    "ideographic space (PAR-13)": "SELECT\u00a6\u3000 1",
    "next line (PAR-13)": "SELECT\u00a6\u0085 1",
    "vertical tab (PAR-13)": "SELECT\u00a6\x0b1",
    "form feed": "SELECT\u00a6\x0c1",
    "byte order mark (PAR-13)": "\u00a6\ufeffSELECT 1",
    "zero width space (PAR-13)": "SELECT 1\u00a6\u200b",
    "NUL": "SELECT 1\u00a6\x00",
    "accented name": "SELECT \u00a6\u00e4ge",
    "power and minus (PAR-14)": "SELECT 2\u00a6^-1",
    "not equal and minus (PAR-14)": "SELECT 1\u00a6!=-1",
    "modulo and minus (PAR-14)": "SELECT 3\u00a6%-2",
    "or and minus (PAR-14)": "SELECT 1\u00a6|-1",
    "joined and minus": "SELECT a\u00a6||-b",
    "at": "SELECT \u00a6@1",
    "regular expression": "SELECT a \u00a6~ b",
    "factorial": "SELECT 5\u00a6!",
    "backtick": "SELECT \u00a6`a`",
    "double equals": "SELECT a \u00a6== b",
    "arrow": "SELECT a \u00a6-> b",
    "null-safe": "SELECT a \u00a6<=> b",
    "colon parameter (PAR-15)": "SELECT \u00a6:x",
    "assignment": "SELECT a \u00a6:= 1",
    "template (PAR-17)": "SELECT \u00a6{# x #}",
    "backslash": "SELECT \u00a6\\d",
    "dollar quote": "SELECT \u00a6$$a$$",
    "dollar quote with a tag": "SELECT \u00a6$a$x$a$",
    "nested comment (TIM-11)": "SELECT \u00a6/* a /* b */ c */ 1",
    "open comment": "SELECT \u00a6/* a",
    "open string": "SELECT \u00a6'a",
    "open name": 'SELECT \u00a6"a',
    "empty name": 'SELECT \u00a6""',
    "second statement (PAR-16)": "SELECT 1; \u00a6DELETE FROM visits",
    "second semicolon": "SELECT 1;\u00a6;",
    "transaction (PAR-16)": "BEGIN; \u00a6SELECT 1",
}


@pytest.mark.parametrize("marked", REFUSED.values(), ids=REFUSED.keys())
def test_doubtful_tokens_are_refused_at_their_place(marked):
    with pytest.raises(SyntaxRefused) as refused:
        check_text(marked.replace("\u00a6", ""), LIMITS)
    assert refused.value.position == marked.index("\u00a6") + 1


ACCEPTED = {
    "SELECT 1": 2,
    "SELECT 1;": 3,
    "SELECT a[1]": 5,
    " \t\r\n SELECT\r\n1 -- end": 2,
    "SELECT 1 /* a * / ** */": 2,
    "SELECT 1 -- a /* b": 2,
    "SELECT 'it''s' , '--' , '/*' , ';'": 8,
    "SELECT 'U&' , 'caf\u00e9 \u3000 \u200b'": 4,
    'SELECT "a""b" , "\u00e4"': 4,
    "SELECT a - -1": 5,
    "SELECT a=-1": 5,
    "SELECT a<-1": 5,
    "SELECT a*-1": 5,
    "SELECT a<>-1": 5,
    "SELECT a+-1": 5,
    "SELECT a-- 1": 2,
    "SELECT a-/* b */1": 4,
    "SELECT a||'b'": 4,
    "SELECT a::text": 4,
    "SELECT .5+1.+1.5e-3+1e10": 8,
    "SELECT $1 , $20": 4,
    "SELECT e , b , x , n , u": 10,
    "SELECT e.b": 4,
}


@pytest.mark.parametrize("sql, tokens", ACCEPTED.items())
def test_plain_tokens_pass_and_are_counted(sql, tokens):
    check_text(sql, TextLimits(tokens=tokens))
    with pytest.raises(TooComplex):
        check_text(sql, TextLimits(tokens=tokens - 1))


@pytest.mark.parametrize("sql", ACCEPTED)
def test_tokens_are_those_of_postgres(sql):
    """libpg_query's own scanner counts the same tokens, comments aside."""
    scanned = postgast.scan(sql).tokens
    names = [postgast.pg_query_pb2.Token.Name(token.token) for token in scanned]
    assert len([n for n in names if "COMMENT" not in n]) == ACCEPTED[sql]


def test_length_has_a_limit():
    check_text("SELECT 1" + " " * (LIMITS.characters - 8), LIMITS)
    with pytest.raises(TooComplex):
        check_text("SELECT 1" + " " * (LIMITS.characters - 7), LIMITS)


@pytest.mark.parametrize("opening, closing", [("(", ")"), ("CASE WHEN true THEN ", " END")])
def test_depth_has_a_limit(opening, closing):
    def nested(depth: int) -> str:
        return f"SELECT {opening * depth}1{closing * depth}"

    check_text(nested(LIMITS.depth), LIMITS)
    with pytest.raises(TooComplex) as refused:
        check_text(nested(LIMITS.depth + 1), LIMITS)
    assert refused.value.position == 8 + len(opening) * LIMITS.depth


def test_a_long_sum_has_too_many_tokens():
    with pytest.raises(TooComplex, match="tokens"):
        check_text("SELECT " + "1+" * 5_000 + "1", LIMITS)


def test_a_number_has_few_digits():
    check_text("SELECT " + "1" * 100, LIMITS)
    with pytest.raises(TooComplex) as refused:
        check_text("SELECT " + "1" * 101, LIMITS)
    assert refused.value.position == 8


def test_a_comment_ends_where_postgres_ends_it():
    """At a carriage return too (PAR-17): what follows counts."""
    check_text("SELECT 1 -- x\r+ 1", TextLimits(tokens=4))
    with pytest.raises(TooComplex):
        check_text("SELECT 1 -- x\r+ 1", TextLimits(tokens=3))


def test_messages_hold_nothing_but_ours():
    """Refusals of the gate repeat an operator or a prefix, never a string."""
    with pytest.raises(SyntaxRefused) as refused:
        check_text("SELECT 'canary", LIMITS)
    assert not re.search("canary", refused.value.message + refused.value.detail)
