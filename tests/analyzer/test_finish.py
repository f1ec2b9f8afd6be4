"""What is computed from noisy rows, run on a live PostgreSQL.

With noise that is nothing, an answer is what PostgreSQL itself says to the analyst's own text. The
people of the data have one row each and values within their bounds, so that nothing else differs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from analyzer.analyze import analyze
from analyzer.plan import QueryOptions
from mechanisms.calibration import Noise
from server import releases
from server.releases import Answer
from tests.fixture import ALICE, catalog, clinic, load
from tests.guarantee.replay import Replay
from tests.postgres import Postgres

Asker = Callable[..., Answer]


@pytest.fixture(scope="module")
def place(postgres: Postgres) -> Iterator[Replay]:
    uri, data = postgres.fresh(), clinic(patients=300, visits=0)
    alice = data.patients[ALICE - 1]
    another = (301, "Bob", *alice[2:9], not alice[9], alice[10])  # every group has somebody
    load(uri, replace(data, patients=(*data.patients, another)))
    with Replay(uri, planned_once=False) as replay:
        yield replay


@pytest.fixture
def ask(place: Replay, monkeypatch: pytest.MonkeyPatch) -> Asker:
    """Answers a text with noise of a fixed amount for every cell; none by default."""

    def asked(sql: str, *, noise: int = 0, options: QueryOptions | None = None) -> Answer:
        plan = analyze(sql, catalog(), options=options)

        def add_noise(values: Sequence[int], _: Noise) -> list[int]:
            return [value + noise for value in values]

        monkeypatch.setattr(releases, "add_noise", add_noise)
        noisy = releases.publish(plan, place.run(plan.exact))
        return releases.answer(plan, place.run(plan.finish, noisy))

    return asked


def plainly(place: Replay, sql: str) -> list[tuple[Any, ...]]:
    place.connection.execute("SET search_path = public")
    try:
        return place.execute(sql)
    finally:
        place.connection.execute("RESET search_path")


def same(shown: Any, plain: Any) -> bool:
    if isinstance(plain, Decimal | float) and not isinstance(shown, str):
        return math.isclose(float(shown), float(plain), rel_tol=1e-4, abs_tol=1e-4)
    return bool(shown == plain)


PLAIN = [
    "SELECT count(*), sum(age), avg(age) FROM patients",
    "SELECT city, count(*) FROM patients GROUP BY city ORDER BY city NULLS FIRST",
    "SELECT city, count(*) FROM patients GROUP BY city ORDER BY 2 DESC, city DESC NULLS LAST LIMIT 3 OFFSET 1",
    "SELECT DISTINCT active FROM patients ORDER BY active",
    "SELECT DISTINCT count(*) > 60 AS many FROM patients GROUP BY city ORDER BY many",
    "SELECT DISTINCT active, round(count(*) / 1000.0) FROM patients GROUP BY active, city ORDER BY 1 DESC, 2",
    "SELECT city FROM patients GROUP BY city HAVING count(*) > 48 ORDER BY city",
    # Windows.
    "SELECT city, count(*) * 100.0 / sum(count(*)) OVER () AS share FROM patients GROUP BY city ORDER BY city",
    "SELECT city, rank() OVER (ORDER BY count(*) DESC), dense_rank() OVER (ORDER BY count(*)), row_number() OVER (ORDER BY city), percent_rank() OVER (ORDER BY count(*)), cume_dist() OVER (ORDER BY count(*)), ntile(3) OVER (ORDER BY city) FROM patients GROUP BY city ORDER BY city",
    "SELECT active, city, rank() OVER (PARTITION BY active ORDER BY count(*) DESC, city) FROM patients GROUP BY active, city ORDER BY 1, 3",
    "SELECT city, sum(count(*)) OVER (ORDER BY city), avg(count(*)) OVER (ORDER BY city ROWS BETWEEN 1 PRECEDING AND CURRENT ROW), count(*) OVER (ORDER BY city RANGE UNBOUNDED PRECEDING), min(count(*)) OVER (ORDER BY city ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING), max(count(*)) OVER (ORDER BY city GROUPS 1 PRECEDING) FROM patients GROUP BY city ORDER BY city",
    "SELECT city, lag(count(*)) OVER (ORDER BY city), lead(count(*), 2, 0) OVER (ORDER BY city), first_value(city) OVER (ORDER BY city), last_value(count(*)) OVER (ORDER BY city ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM patients GROUP BY city ORDER BY city",
    "SELECT city, sum(count(*)) FILTER (WHERE city < 'H') OVER () FROM patients GROUP BY city ORDER BY city",
    "SELECT city, sum(avg(age) * count(*)) OVER (PARTITION BY active) FROM patients GROUP BY active, city ORDER BY active, city",
    "SELECT city, count(*) OVER () FROM patients GROUP BY city HAVING count(*) > 48 ORDER BY sum(count(*)) OVER (ORDER BY city) DESC",
    # Outer queries.
    "WITH t AS (SELECT city, count(*) AS n FROM patients GROUP BY city) SELECT sum(n), max(n), min(n), avg(n), count(*) FROM t",
    "SELECT * FROM (SELECT city, count(*) AS n FROM patients GROUP BY city) AS t WHERE n > 48 ORDER BY n DESC, city LIMIT 2",
    "SELECT n / 10, count(*), sum(n) FROM (SELECT city, count(*) AS n FROM patients GROUP BY city) AS t GROUP BY 1 ORDER BY 1",
    "SELECT n / 10 AS tens, count(city) FROM (SELECT city, count(*) AS n FROM patients GROUP BY city) AS t GROUP BY tens HAVING count(*) > 0 AND max(n) < 1000 ORDER BY sum(n)",
    "WITH t AS (SELECT city, count(*) AS n FROM patients GROUP BY city), s AS (SELECT sum(n) AS total FROM t) SELECT city, n / total AS share FROM t, s ORDER BY city",
    "WITH t AS (SELECT city, active, count(*) AS n FROM patients GROUP BY city, active) SELECT a.city, a.n - b.n AS more FROM t AS a JOIN t AS b ON a.city = b.city WHERE a.active AND NOT b.active ORDER BY 1",
    "WITH t AS (SELECT city, active, count(*) AS n FROM patients GROUP BY city, active) SELECT x.city, y.n FROM t AS x LEFT JOIN (SELECT city, n FROM t WHERE active AND n > 22) AS y USING (city) WHERE x.active ORDER BY city",
    "WITH t AS (SELECT city, active, count(*) AS n FROM patients GROUP BY city, active) SELECT x.city, y.n FROM (SELECT city, n FROM t WHERE active AND n > 22) AS y RIGHT JOIN t AS x ON x.city = y.city ORDER BY x.city, x.active, y.n",
    "SELECT city, rank() OVER (ORDER BY n DESC, city) FROM (SELECT city, count(*) AS n FROM patients GROUP BY city) AS t (city, n) ORDER BY city",
    "SELECT max(r), sum(total) FROM (SELECT rank() OVER (ORDER BY sum(n)) AS r, sum(n) AS total FROM (SELECT city, active, count(*) AS n FROM patients GROUP BY city, active) AS t GROUP BY city) AS u",
    "SELECT DISTINCT n > 48 FROM (SELECT city, count(*) AS n FROM patients GROUP BY city) AS t ORDER BY 1",
    "SELECT count(*), sum(n), avg(n) FROM (SELECT count(*) AS n FROM patients GROUP BY city) AS t WHERE n < 0",
    "SELECT n, count(*) FROM (SELECT count(*) AS n FROM patients GROUP BY city) AS t WHERE n < 0 GROUP BY n",
    "SELECT sum(n) FROM (SELECT count(*) AS n FROM patients GROUP BY city ORDER BY n DESC LIMIT 2) AS t",
    "SELECT sum(n) FROM (SELECT DISTINCT count(*) > 0 AS many, 1 AS n FROM patients GROUP BY city) AS t",
    "SELECT count(*) FROM (SELECT count(*) AS n FROM patients) AS t HAVING sum(n) > 10",
    "SELECT count(*) FROM (SELECT count(*) AS n FROM patients) AS t HAVING sum(n) < 10",
    "SELECT 1 + sum(n), count(DISTINCT active) FILTER (WHERE n > 0) FROM (SELECT active, city, count(*) AS n FROM patients GROUP BY active, city) AS t",
    "SELECT avg(n) FROM (SELECT avg(age) AS n, active FROM patients GROUP BY active) AS t",
    "WITH a AS (SELECT active, count(*) AS n FROM patients GROUP BY active), b AS (SELECT active, n * 2 AS m FROM a), c AS (SELECT sum(m) AS s FROM b) SELECT b.m, c.s FROM b CROSS JOIN c ORDER BY m",
]


@pytest.mark.parametrize("sql", PLAIN)
def test_without_noise_it_is_what_postgres_says(sql: str, ask: Asker, place: Replay) -> None:
    rows, plain = ask(sql).rows, plainly(place, sql)
    assert len(rows) == len(plain)
    for shown, meant in zip(rows, plain, strict=True):
        assert len(shown) == len(meant)
        assert all(map(same, shown, meant)), (shown, meant)
