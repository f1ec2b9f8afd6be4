"""What is remembered of a session's texts, and what is not."""

from __future__ import annotations

from analyzer.classify import Kind, Names
from server.wire.texts import Texts

NAMES = Names(frozenset({("public", "patients")}))


def texts() -> Texts:
    found = Texts(lambda: NAMES)
    found.search_path = ("public",)
    return found


def test_a_text_is_read_once():
    ours = texts()
    first = ours.pieces("SELECT count(*) FROM patients")
    assert first[0].kind is Kind.PROTECTED
    assert ours.pieces("SELECT count(*) FROM patients") is first


def test_another_search_path_is_another_meaning():
    ours = texts()
    assert ours.pieces("SELECT count(*) FROM patients")[0].kind is Kind.PROTECTED
    ours.search_path = ("pg_catalog",)
    assert ours.pieces("SELECT count(*) FROM patients")[0].kind is Kind.SHADOW
    ours.search_path = ("public",)
    assert ours.pieces("SELECT count(*) FROM patients")[0].kind is Kind.PROTECTED


def test_a_table_that_became_public_is_read_anew():
    names = [NAMES]
    ours = Texts(lambda: names[0])
    ours.search_path = ("public",)
    assert ours.pieces("TABLE patients")[0].kind is Kind.PROTECTED
    names[0] = Names(frozenset())
    assert ours.pieces("TABLE patients")[0].kind is Kind.SHADOW


def test_refusals_and_long_texts_are_read_anew():
    ours = texts()
    for text in ("CREATE TABLE a (b int)", f"SELECT 1 -- {'x' * 5_000}"):
        assert ours.pieces(text) is not ours.pieces(text)


def test_not_everything_is_remembered():
    ours = texts()
    for number in range(1_000):
        ours.pieces(f"SELECT {number}")
    assert len(ours._read) <= 200
