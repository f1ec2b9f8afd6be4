"""Which groups of a person count depends on that person alone.

Where people may count in a few groups only, the choice must be the same for everybody else whether
or not one person is there; otherwise one person changes the contributions of all (SEN-29).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from analyzer.analyze import analyze
from analyzer.plan import QueryOptions, Statement
from tests.guarantee import data
from tests.guarantee.conftest import Place
from tests.guarantee.replay import Replay, Row, as_text

QUESTIONS = (
    "SELECT diagnosis, count(*) FROM visits GROUP BY diagnosis",
    "SELECT diagnosis, count(DISTINCT patient_id), sum(balance) FROM visits GROUP BY 1",
    "SELECT kind, count(DISTINCT patient_id) FROM visits GROUP BY kind",
    "SELECT visited_at, score, v.cost, count(*) FROM visits v GROUP BY 1, 2, 3",
    (
        "SELECT p.city, v.diagnosis, count(DISTINCT p.id) FROM patients p LEFT JOIN visits v"
        " ON v.patient_id = p.id GROUP BY 1, 2"
    ),
    "SELECT label, avg(quantity) FROM items GROUP BY label",
    "SELECT CAST(visited_at AS date), cost > 50, count(*) FROM visits GROUP BY 1, 2",
)


def chosen_part(statement: Statement) -> str:
    """The subquery that ranks the groups of each person, with its parameters written out."""
    text = statement.sql
    start = text.index("SELECT b.*")
    depth, end = 0, start
    while depth >= 0:
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        end += 1
    return re.sub(r"\$(\d+)", lambda m: _literal(statement, int(m[1])), text[start : end - 1])


def _literal(statement: Statement, number: int) -> str:
    value = as_text(statement.parameters[number - 1])
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


def _others(rows: Sequence[Row], person: int) -> list[str]:
    return sorted(repr(row) for row in rows if row[0] != person)


def _differences(part: str, source: Replay, people: Sequence[int]) -> list[int]:
    """The people without whom the choice for somebody else is another."""
    whole = source.execute(part)
    found = []
    for person in people:
        with source.without(person):
            if _others(source.execute(part), person) != _others(whole, person):
                found.append(person)
    return found


@pytest.mark.parametrize("sql", QUESTIONS)
def test_the_choice_for_others_is_the_same(sql: str, wild_places: list[Place]) -> None:
    options = QueryOptions(max_groups_contributed=2)
    part = chosen_part(analyze(sql, data.catalog(), options=options).blocks[0].exact)
    for source, people in wild_places:
        assert not _differences(part, source, people)


@pytest.mark.parametrize("sql", QUESTIONS)
def test_ties_are_broken_by_the_keys(sql: str, wild_places: list[Place]) -> None:
    options = QueryOptions(max_groups_contributed=2)
    part = chosen_part(analyze(sql, data.catalog(), options=options).blocks[0].exact)
    tied, times = re.subn(r"hash_record_extended\(ROW\([^()]*\), CAST\([^()]*\)\)", "0", part)
    assert times == 1
    for source, people in wild_places:
        assert not _differences(tied, source, people)


def test_a_choice_by_position_is_found(wild_places: list[Place]) -> None:
    options = QueryOptions(max_groups_contributed=2)
    plan = analyze(QUESTIONS[0], data.catalog(), options=options)
    part = chosen_part(plan.blocks[0].exact)
    planted = part.replace("PARTITION BY b.owner ORDER BY", "ORDER BY")
    assert planted != part
    assert any(_differences(planted, source, people) for source, people in wild_places)
