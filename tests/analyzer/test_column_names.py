"""Columns of answers are called what PostgreSQL calls them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from analyzer.analyze import analyze
from tests.fixture import catalog
from tests.guarantee.replay import Replay

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
OVER_GROUPS = """
count(*)
(count(*))
-count(*)
count(*) + 1
count(*) FILTER (WHERE cost > 3)
count(*)::numeric
(count(*) + 1)::int
CAST(avg(cost) * 2 AS numeric(10, 2))
count(*) > 3 OR count(*) IS NULL
CASE WHEN count(*) > 3 THEN 2 ELSE 1 END
CASE WHEN count(*) > 3 THEN 2 ELSE count(*) END
CASE WHEN count(*) > 3 THEN 2 ELSE (1)::bigint END
coalesce(count(*), 0)
greatest(count(*), 0)
least(count(*), 0)
nullif(count(*), 0)
round(avg(cost), 2)
power(count(*), 2)
pow(count(*), 2)
mod(count(*), 2)
count(*) % 2
div(count(*), 2)
ceil(avg(cost))
ceiling(avg(cost))
log10(count(*) + 1)
log(count(*) + 1)
var_pop(cost)
var_samp(cost)
variance(cost)
stddev(cost)
stddev_samp(cost)
corr(cost, score)
regr_r2(cost, score)
regr_count(cost, score)
percentile_cont(0.5) WITHIN GROUP (ORDER BY cost)
percentile_cont(ARRAY[0.5]) WITHIN GROUP (ORDER BY cost)
(percentile_cont(ARRAY[0.5]) WITHIN GROUP (ORDER BY cost))[1]
rank() OVER (ORDER BY count(*))
sum(count(*)) OVER ()
count(*) - (SELECT count(*) FROM patients)
CAST((SELECT count(*) AS "How many" FROM patients) AS float8), count(*)
(SELECT min(age) + 1 FROM patients) AS a, count(*)
"""
OVER_ROWS = """
kind
"kind"
visits.kind
upper(kind)
kind || 'a'
concat(kind, 'a')
trim(kind)
btrim(kind)
substring(kind FROM 2)
substr(kind, 2)
position('a' in kind)
strpos(kind, 'a')
char_length(kind)
date_trunc('month', visited_at)
extract(year FROM visited_at)
date_part('year', visited_at)
to_char(visited_at, 'YYYY')
visited_at::date
date(visited_at)
cost > 5
kind IN ('remote')
kind IS NOT NULL
visited_at < now()
date_trunc('year', now()) < visited_at
extract(year FROM CURRENT_DATE) - extract(year FROM visited_at)
"""


def _lines(text: str) -> list[str]:
    return text.strip().splitlines()


@pytest.mark.parametrize("item", _lines(OVER_GROUPS))
def test_of_aggregates(place: Replay, item: str) -> None:
    sql = f"SELECT {item} FROM visits"
    assert _ours(sql) == _theirs(place, sql)


@pytest.mark.parametrize("item", _lines(OVER_ROWS))
def test_of_keys_and_columns_of_subqueries(place: Replay, item: str) -> None:
    sql = f"SELECT {item}, count(*) FROM visits GROUP BY 1"
    assert _ours(sql) == _theirs(place, sql)
    (name, _) = _ours(sql)
    if name != "?column?":
        inner = f"SELECT patient_id, {item} FROM visits"
        assert _ours(f'SELECT "{name}", count(*) FROM ({inner}) AS v GROUP BY 1')[0] == name


def test_of_the_clock(place: Replay) -> None:
    sql = "SELECT now(), CURRENT_TIMESTAMP, CURRENT_DATE, CURRENT_DATE + 1, count(*) FROM visits"
    assert _ours(sql) == _theirs(place, sql)


def _ours(sql: str) -> list[str]:
    return [column.name for column in analyze(sql, catalog(), now=NOW).columns]


def _theirs(place: Replay, sql: str) -> list[str]:
    with place.connection.transaction():
        place.connection.execute("SET LOCAL search_path = public")
        found = place.connection.execute(sql.encode()).description
    assert found is not None
    return [column.name for column in found]
