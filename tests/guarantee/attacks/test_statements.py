"""T6 beside the round trip of tests/analyzer: what is, and what is not, in the emitted SQL."""

from __future__ import annotations

import re

import pytest

from analyzer.analyze import analyze
from tests.guarantee.attacks.test_attacks import CATALOG, asked, plan_of
from tests.guarantee.conftest import Place

CHANCE = re.compile(
    r"\b(random|random_normal|setseed|gen_random_uuid|now|clock_timestamp|statement_timestamp"
    r"|transaction_timestamp|current_timestamp|localtimestamp|nextval|tablesample)\b",
    re.IGNORECASE,
)


@pytest.mark.parametrize(
    "sql,parameters",
    [
        ("SELECT count(*) FROM patients WHERE name = 'canary'' OR 1=1 --'", ()),
        ("SELECT count(*) FROM patients WHERE name LIKE 'canary%' OR zip = $1", ("canary",)),
        (
            "SELECT CASE WHEN zip = 'canary' THEN 'canary1' ELSE 'c' END, count(*) FROM patients GROUP BY 1",
            (),
        ),
        ("SELECT 'canary' AS canary, count(*) AS \"canary\" FROM patients AS canary", ()),
        ("WITH canary AS (SELECT age AS canary FROM patients) SELECT avg(canary) FROM canary", ()),
        ("SELECT count(*) FROM patients /* canary */ -- canary", ()),
        ("SELECT sex, count(*) FROM patients GROUP BY sex HAVING sex <> 'canary'", ()),
    ],
)
def test_no_byte_of_a_constant_is_in_the_statement(sql: str, parameters: tuple[str, ...]) -> None:
    """Strings, aliases and comments of the analyst: values travel beside the text, names not."""
    plan = analyze(sql, CATALOG, parameters=parameters)
    assert "canary" not in plan.blocks[0].exact.sql
    assert "canary" not in plan.finish.sql


def test_group_by_takes_the_column_before_the_alias(clinic_place: Place) -> None:
    source, _ = clinic_place
    sql = "SELECT age % 2 AS age, count(*) FROM patients GROUP BY age"
    (groups,) = source.exact(analyze(sql, CATALOG))
    assert len(groups) > 4


def test_no_statement_draws_anything() -> None:
    """Chance and the clock are in no statement: noise is drawn here, after the exact answer."""
    plans = {text.name: plan_of(text) for text in asked(answered=True)}
    found = [
        name
        for name, plan in plans.items()
        if CHANCE.search(plan.blocks[0].exact.sql) or CHANCE.search(plan.finish.sql)
    ]
    assert not found


def test_what_finds_chance_would_find_it() -> None:
    assert CHANCE.search('SELECT count(*) - ln(random()) FROM "public"."patients"')
