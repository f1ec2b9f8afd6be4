"""Between which bounds values count, by what a query says of them.

That such bounds hold what they should is tested on rows: ``test_functions_table.py`` and
``tests/guarantee/test_meaning.py``.
"""

from __future__ import annotations

import pytest

from analyzer.analyze import analyze
from analyzer.refusals import BadArgument
from tests.fixture import catalog

BOUNDS = [
    ("avg(CASE WHEN points > 200 THEN 200 WHEN points < 0 THEN 0 ELSE points END)", "", 0, 200),
    ("avg(CASE WHEN 200 < points THEN 200 WHEN 0 >= points THEN 0 ELSE points END)", "", 0, 200),
    ("avg(CASE WHEN points BETWEEN -5 AND 5 THEN points END)", "", -5, 5),
    ("avg(CASE WHEN points NOT BETWEEN -5 AND 5 THEN NULL ELSE points END)", "", -5, 5),
    ("avg(CASE WHEN points > 9 OR points < 1 THEN 100 ELSE points END)", "", 1, 100),
    ("avg(points) FILTER (WHERE points BETWEEN SYMMETRIC 7 AND -7)", "", -7, 7),
    ("avg(points) FILTER (WHERE points < 100)", "points >= 10", 10, 100),
    ("avg(age)", "age >= 65", 65, 120),
    ("avg(age)", "active AND NOT (age > 40)", 0, 40),
    ("avg(age)", "age < 20 OR age < 30", 0, 30),
    ("avg(age)", "active OR age < 30", 0, 120),
    ("avg(age)", "NOT (active AND age > 30)", 0, 120),
    ("avg(age)", "age > 500", 0, 120),
    ("avg(age)", "age BETWEEN 40 AND 40", 0, 120),
    ("avg(age)", "bmi > 30 AND age > bmi", 0, 120),
    ("avg(a)", "a < 30", 18, 30),
]


@pytest.mark.parametrize("form, where, low, high", BOUNDS)
def test_conditions_are_bounds(form: str, where: str, low: int, high: int) -> None:
    source = (
        "patients" if "(a)" not in form else "(SELECT age AS a FROM patients WHERE age >= 18) s"
    )
    sql = f"SELECT {form} FROM {source}" + (f" WHERE {where}" if where else "")
    (clamped,) = [n for n in analyze(sql, catalog()).notices if "are kept between" in n]
    assert clamped.endswith(f" are kept between {low} and {high}.")


@pytest.mark.parametrize(
    "form",
    [
        "avg(CASE WHEN points > 200 THEN 200 ELSE points END)",
        "avg(CASE WHEN age > 200 THEN 200 WHEN age < 0 THEN 0 ELSE points END)",
        "avg(CASE WHEN points > 200 AND active THEN 200 WHEN points < 0 THEN 0 ELSE points END)",
        "avg(CASE WHEN NOT (active AND points > 200) THEN points ELSE 0 END)",
        "avg(CASE WHEN points > NULL THEN 0 WHEN points < 0 THEN 0 ELSE points END)",
    ],
)
def test_half_a_clamp_is_none(form: str) -> None:
    with pytest.raises(BadArgument, match="has no bounds"):
        analyze(f"SELECT {form} FROM patients", catalog())
