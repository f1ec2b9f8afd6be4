"""The harness sees bugs: each is planted in the emitted SQL, or in what is declared, and found.

A test of the tests. README.md lists the bugs that were planted in the code itself, once, by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from analyzer.analyze import analyze
from analyzer.plan import PrivatePlan, QueryOptions
from mechanisms.calibration import Sensitivity
from tests.guarantee import data
from tests.guarantee.conftest import Place
from tests.guarantee.replay import replay
from tests.released import changed

Tamper = Callable[[PrivatePlan], PrivatePlan]

_TIGHT = QueryOptions(max_rows_contributed=3, max_groups_contributed=2)


def _sql(pattern: str, new: str) -> Tamper:
    """Changes the exact statement; fails where there is nothing to change."""

    def tamper(plan: PrivatePlan) -> PrivatePlan:
        exact = plan.blocks[0].exact
        text, times = re.subn(pattern, new, exact.sql)
        assert times, f"{pattern} is not in\n{exact.sql}"
        return changed(plan, exact=replace(exact, sql=text))

    return tamper


def _half(plan: PrivatePlan) -> PrivatePlan:
    return changed(
        plan,
        draws=tuple(
            replace(
                draw,
                sensitivity=Sensitivity(draw.sensitivity.l1 // 2, draw.sensitivity.l2_squared // 4),
            )
            for draw in plan.draws
        ),
    )


_CLAMP = r"LEAST\(GREATEST\((r\.v\d+), [^()]+\), [^()]+\)"

PLANTED: dict[str, tuple[str, Tamper, str]] = {
    "the clamp of a person's one value is gone": (
        "SELECT sum(age) FROM patients",
        _sql(_CLAMP, r"\1"),
        "L1 distance",
    ),
    "the clamp moved nothing below": (
        "SELECT sum(grade) FROM profiles",
        _sql(_CLAMP, r"LEAST(\1, 3)"),
        "L1 distance",
    ),
    "the limit on a person's rows is one too many": (
        "SELECT count(*) FROM visits",
        _sql(r"LEAST\(count\(\*\), 3\)", "LEAST(count(*), 4)"),
        "L1 distance 4 > 3",
    ),
    "the limit over groups is one step too far": (
        "SELECT diagnosis, count(*) FROM visits WHERE diagnosis = 'flu' GROUP BY diagnosis",
        _sql(r"> 300 THEN div\((.*?) \* 300,", r"> 301 THEN div(\1 * 301,"),
        "L1 distance 301 > 300",
    ),
    "people count in a group more than may": (
        "SELECT diagnosis, count(*) FROM visits GROUP BY diagnosis",
        _sql(r"pick <= 2", "pick <= 3"),
        "groups are one person's, more than 2",
    ),
    "people count in more public groups than may": (
        "SELECT kind, count(DISTINCT patient_id) FROM visits GROUP BY kind",
        _sql(r"pick <= 2", "pick <= 3"),
        "L1 distance 3 > 2",
    ),
    "a person counts more than once": (
        "SELECT diagnosis, count(DISTINCT patient_id) FROM visits GROUP BY diagnosis",
        _sql(r"LEAST\((n\.c\d+|count\(\*\)), 1\)", r"\1"),
        "adds more than 1",
    ),
    "rows without an owner count": (
        "SELECT count(*) FROM visits",
        _sql(r'\(t0\."patient_id" IS NOT NULL\)', "(true)"),
        "rows without an owner matter",
    ),
    "keys that are not declared show": (
        "SELECT sex, count(*) FROM patients GROUP BY sex",
        _sql(r"AS h WHERE ", "AS h WHERE true OR "),
        "public keys",
    ),
    "public groups without rows are left out": (
        "SELECT city, count(*) FROM patients GROUP BY city",
        _sql(r"(SELECT z0\.k, 0 FROM)", r"SELECT z0.k, 0 FROM (SELECT 1 WHERE false) AS no,"),
        "public keys",
    ),
    "a mean counts its row twice": (
        "SELECT avg(age) FROM patients",
        _sql(r"(\(sum\(.*? - \(0 \* count\(r\.v0\)\)\)) AS c0", r"2 * \1 AS c0"),
        "L1 distance",
    ),
    "half of the sensitivity is declared": (
        "SELECT kind, count(*), sum(cost) FROM visits GROUP BY kind",
        _half,
        "L2^2",
    ),
    "half of a mean's sensitivity is declared": (
        "SELECT avg(bmi) FROM patients",
        _half,
        "L1 distance",
    ),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_found(bug: str, wild_places: list[Place]) -> None:
    sql, tamper, said = PLANTED[bug]
    plan = analyze(sql, data.catalog(), options=_TIGHT)
    assert not [t for source, people in wild_places for t in replay(plan, source, people)]
    planted = tamper(plan)
    found = [t for source, people in wild_places for t in replay(planted, source, people)]
    assert any(said in text for text in found), found
