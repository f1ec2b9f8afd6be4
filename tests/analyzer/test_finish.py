"""What is computed from noisy rows, run on a live PostgreSQL.

With noise that is nothing, an answer is what PostgreSQL itself says to the analyst's own text. The
people of the data have one row each and values within their bounds, so that nothing else differs.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import psycopg
import pytest

from analyzer.analyze import analyze
from analyzer.plan import QueryOptions
from analyzer.refusals import Refusal
from server import releases
from tests.analyzer.noiseless import Asker, plainly, same
from tests.fixture import catalog
from tests.guarantee.replay import Replay

PLAIN = [
    "SELECT count(*), sum(age), avg(age) FROM patients",
    "SELECT city, count(*) FROM patients GROUP BY city ORDER BY city NULLS FIRST",
    "SELECT city, count(*) FROM patients GROUP BY city ORDER BY 2 DESC, city DESC NULLS LAST LIMIT 3 OFFSET 1",
    "SELECT DISTINCT active FROM patients ORDER BY active",
    "SELECT DISTINCT count(*) > 60 AS many FROM patients GROUP BY city ORDER BY many",
    "SELECT DISTINCT active, round(count(*) / 1000.0) FROM patients GROUP BY active, city ORDER BY 1 DESC, 2",
    "SELECT city FROM patients GROUP BY city HAVING count(*) > 48 ORDER BY city",
    # Counts, sums and means of conditions, as people write them.
    "SELECT avg((age > 30)::int), avg(active::int), round(100 * avg((age > 30)::int), 1) FROM patients",
    "SELECT sum(CASE WHEN age > 30 THEN 1 ELSE 0 END), sum(CASE WHEN active THEN 1 END), sum((age > 30)::int) FROM patients",
    "SELECT count(*) FILTER (WHERE active), count(CASE WHEN active THEN 1 END), count(active OR NULL), count(nullif(active, false)) FROM patients",
    "SELECT avg(CASE WHEN active THEN 1.0 ELSE 0 END), avg(CASE WHEN active THEN 100 ELSE 0 END), stddev(active::int) FROM patients",
    "SELECT sum(active::int) * 100.0 / count(*), count(*) FILTER (WHERE age > 30)::numeric / count(age) FROM patients",
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


def bars_of(answer: Any, column: int = -1) -> list[Any]:
    return [row[column] for row in answer.error_bars]


class TestErrorBars:
    def test_one_cell_has_the_bar_of_its_draw(self, ask: Asker) -> None:
        told = ask("SELECT city, count(*), count(*) + 1, 2 * count(*) FROM patients GROUP BY city")
        own = told.mechanisms[0]["error_bar"]
        assert told.error_bars == ((None, own, own, 2 * own),) * 6 + ((None, own, own, 2 * own),)

    def test_independent_cells_add_in_squares(self, ask: Asker) -> None:
        told = ask("SELECT sum(age) + sum(bmi), sum(age), sum(bmi) FROM patients")
        ((both, ages, sizes),) = told.error_bars
        assert both == pytest.approx(math.hypot(ages, sizes), rel=1e-3)

    def test_a_ratio_to_first_order(self, ask: Asker) -> None:
        told = ask("SELECT sum(age) * 1.0 / count(*), sum(age), count(*) FROM patients")
        ((ratio, top, bottom),), ((value, a, b),) = told.error_bars, told.rows
        assert ratio == pytest.approx(value * math.hypot(top / a, bottom / b), rel=0.05)

    def test_a_total_of_groups_adds_in_squares(self, ask: Asker) -> None:
        """Seven groups, each with noise of its own: the total is off by the root of seven."""
        inner = "SELECT city, count(*) AS n FROM patients GROUP BY city"
        own = bars_of(ask(inner))[0]
        for sql in (
            f"SELECT sum(n) FROM ({inner}) AS t",
            "SELECT sum(count(*)) OVER () FROM patients GROUP BY city",
        ):
            for bar in bars_of(ask(sql)):
                assert bar == pytest.approx(own * math.sqrt(7), rel=1e-5)

    def test_a_running_sum_has_a_growing_bar(self, ask: Asker) -> None:
        told = ask(
            "SELECT 1.0 * sum(count(*)) OVER (ORDER BY city) FROM patients GROUP BY city ORDER BY city"
        )
        own = told.mechanisms[0]["error_bar"]
        expected = [own * math.sqrt(n) for n in range(1, 8)]
        assert bars_of(told) == pytest.approx(expected, rel=1e-3)

    def test_a_share_has_a_bar_though_all_groups_are_alike(self, ask: Asker) -> None:
        """Were all groups moved together, shares of equal groups would not move at all."""
        told = ask(
            "SELECT count(*) * 100.0 / sum(count(*)) OVER (), count(*) FROM patients GROUP BY active"
        )
        own = told.mechanisms[0]["error_bar"]
        total = sum(row[1] for row in told.rows)
        for (share, count), (bar, _) in zip(told.rows, told.error_bars, strict=True):
            # d(a / (a + b)) = (b da - a db) / (a + b)^2
            other = total - count
            expected = 100 * own * math.hypot(other, count) / total**2
            assert share == pytest.approx(100 * count / total)
            assert bar == pytest.approx(expected, rel=0.02)

    def test_blocks_move_independently(self, ask: Asker) -> None:
        """Were the same count of two blocks moved together, their difference would have no bar."""
        count = "(SELECT count(*) FROM patients)"
        told = ask(f"SELECT 1.0 * {count} - {count}, 1.0 * {count} + {count}, 2.0 * {count}")
        own = told.mechanisms[0]["error_bar"]
        bars = [own * math.sqrt(2), own * math.sqrt(2), 2 * own]
        assert told.error_bars[0] == pytest.approx(bars, rel=1e-5)

    def test_a_row_of_a_union_has_the_bar_of_its_own_block(self, ask: Asker) -> None:
        told = ask(
            "SELECT 'people' AS what, count(*) AS n FROM patients UNION ALL"
            " SELECT 'visits', count(*) FROM visits UNION ALL SELECT 'nothing', 0"
        )
        bars = dict(zip([row[0] for row in told.rows], bars_of(told, 1), strict=True))
        # One person counts as twenty visits at most, and as one of the people.
        own = sorted(m["error_bar"] for m in told.mechanisms)
        assert bars == {"people": own[0], "visits": own[1], "nothing": 0}

    def test_a_value_of_another_block_has_its_rounding_too(self, ask: Asker) -> None:
        plain, rounded = (
            ask(f"SELECT (SELECT {what} FROM patients)", noise=0)
            for what in ("avg(age)", "round(avg(age), -2)")
        )
        # The mean moves by a few years, which is no hundred: all the bar is the rounding's.
        assert bars_of(plain)[0] < 10
        assert bars_of(rounded) == [50]

    def test_many_groups_are_estimated(self, ask: Asker, place: Replay) -> None:
        groups = [{"r": r, "k0": "1950-01-01", "c0": 1000} for r in range(500)]
        plan = analyze(
            "SELECT 1.0 * sum(n), max(b) FROM (SELECT count(*) AS n, 1 AS b FROM patients GROUP BY born) AS t",
            catalog(),
        )
        (row,) = place.run(plan.finish, json.dumps([groups, [plan.draws[0].error_bar]]))
        own = plan.draws[0].error_bar
        assert float(row[3]) == pytest.approx(own * math.sqrt(500), rel=0.5)
        assert row[4] is None

    @pytest.mark.parametrize(
        "output, least, most",
        [
            ("round(avg(age))", 0.5, 4),
            ("round(avg(age), -1)", 5, 9),
            ("trunc(avg(age))", 1, 5),
            ("ceil(avg(age))", 1, 5),
            ("CAST(avg(age) AS integer)", 1, 4),
            ("round(avg(age), 4)", 0.00005, 4),
        ],
    )
    def test_rounding_takes_no_bar_away(
        self, ask: Asker, output: str, least: float, most: float
    ) -> None:
        whole = ask(f"SELECT {output}, avg(age) FROM patients").error_bars[0]
        assert least <= whole[0] <= most
        assert whole[0] >= whole[1]
        again = ask(f"SELECT x FROM (SELECT {output} AS x FROM patients) AS t").error_bars[0]
        assert again[0] >= least

    def test_texts_and_truths_have_none(self, ask: Asker) -> None:
        told = ask(
            "SELECT count(*) > 5, CASE WHEN count(*) > 5 THEN 'many' ELSE 'few' END FROM patients"
        )
        assert told.error_bars == ((None, None),)

    def test_what_a_move_makes_null_has_none(self, ask: Asker) -> None:
        told = ask(
            "SELECT CASE WHEN count(*) >= 301 THEN count(*) END, NULLIF(count(*), 301) FROM patients"
        )
        assert told.rows == ((301, None),)
        assert told.error_bars == ((None, None),)

    def test_what_one_move_of_several_makes_null_has_none(self, ask: Asker) -> None:
        told = ask("SELECT CASE WHEN count(*) >= 301 THEN count(*) + sum(age) END FROM patients")
        assert told.rows[0][0] is not None
        assert told.error_bars == ((None,),)

    def test_a_grouped_key_has_none(self, ask: Asker) -> None:
        told = ask(
            "SELECT n, sum(n) FROM (SELECT count(*) AS n FROM patients GROUP BY city) AS t GROUP BY n"
        )
        assert {row[0] for row in told.error_bars} == {None}
        assert None not in bars_of(told)


class TestCompanions:
    @pytest.mark.parametrize(
        "output",
        ["count(*)", "avg(age)", "sum(age) / 7.0", "round(avg(age), 1)", "sum(count(*)) OVER ()"],
    )
    def test_they_equal_the_error_bar(self, ask: Asker, output: str) -> None:
        told = ask(
            f"SELECT {output} AS x, error_bar({output}) AS e, ci_low({output}) AS l,"
            f" ci_high({output}) AS h FROM patients GROUP BY active"
        )
        for (x, e, low, high), bars in zip(told.rows, told.error_bars, strict=True):
            assert e == bars[0]
            assert (low, high) == (pytest.approx(x - e), pytest.approx(x + e))
            assert bars[1:] == (None, None, None)
        alone = ask(f"SELECT error_bar({output}) FROM patients GROUP BY active")
        assert [row[0] for row in alone.rows] == [row[1] for row in told.rows]

    def test_they_are_of_the_type_of_the_number(self, ask: Asker) -> None:
        (row,) = ask(
            "SELECT error_bar(count(*)), ci_low(count(*)), error_bar(avg(age)) FROM patients"
        ).rows
        assert [type(cell) for cell in row] == [int, int, float]

    def test_rows_are_sorted_by_them(self, ask: Asker) -> None:
        sql = "SELECT city, ci_high(avg(age)) AS h, avg(age) FROM patients GROUP BY city ORDER BY"
        for order in ("h DESC", "2 DESC"):
            highs = [row[1] for row in ask(f"{sql} {order} LIMIT 4").rows]
            assert len(highs) == 4
            assert highs == sorted(highs, reverse=True)

    @pytest.mark.parametrize(
        "sql, code",
        [
            ("SELECT error_bar(city) FROM patients GROUP BY city", "42804"),
            ("SELECT error_bar(1) FROM patients GROUP BY city", "42804"),
            ("SELECT error_bar(count(*), 2) FROM patients", "42804"),
            ("SELECT e FROM (SELECT error_bar(count(*)) AS e FROM patients) AS t", "0A000"),
            ("SELECT 2 * error_bar(count(*)) FROM patients", "0A000"),
            ("SELECT count(*) FROM patients HAVING error_bar(count(*)) > 3", "0A000"),
            ("SELECT count(*) FROM patients WHERE error_bar(age) > 3", "42883"),
        ],
    )
    def test_elsewhere_they_are_refused(self, sql: str, code: str) -> None:
        with pytest.raises(Refusal) as refused:
            analyze(sql, catalog())
        assert refused.value.code == code


@pytest.mark.parametrize(
    "sql, code",
    [
        ("SELECT rank() OVER (ORDER BY age) FROM patients", "0A000"),
        ("SELECT count(*) OVER () FROM patients", "0A000"),
        ("SELECT count(*), rank() OVER (ORDER BY age) FROM patients", "42803"),
        (
            "SELECT city FROM patients GROUP BY city HAVING rank() OVER (ORDER BY count(*)) < 3",
            "42803",
        ),
        ("SELECT count(*) FROM patients WHERE rank() OVER (ORDER BY age) < 3", "0A000"),
        (
            "SELECT sum(rank() OVER (ORDER BY count(*))) OVER () FROM patients GROUP BY city",
            "42803",
        ),
        (
            "SELECT n FROM (SELECT count(*) AS n FROM patients GROUP BY city) AS t WHERE rank() OVER (ORDER BY n) < 3",
            "42803",
        ),
        (
            "SELECT n FROM (SELECT count(*) AS n FROM patients GROUP BY city) AS t GROUP BY rank() OVER (ORDER BY n)",
            "42803",
        ),
        ("SELECT ntile(count(*)) OVER () FROM patients", "22023"),
        ("SELECT ntile(0) OVER () FROM patients GROUP BY city", "22023"),
        ("SELECT lag(count(*), -1) OVER () FROM patients GROUP BY city", "22023"),
        (
            "SELECT sum(count(*)) OVER (ORDER BY count(*) RANGE count(*) PRECEDING) FROM patients GROUP BY city",
            "42804",
        ),
        (
            "SELECT sum(count(*)) OVER (ORDER BY 1 GROUPS 5 PRECEDING) FROM patients GROUP BY city",
            "42804",
        ),
        (
            "SELECT sum(count(*)) OVER (ROWS BETWEEN 1 FOLLOWING AND CURRENT ROW) FROM patients GROUP BY city",
            "42601",
        ),
        ("SELECT DISTINCT count(*) FROM patients GROUP BY city ORDER BY city", "42803"),
        ("SELECT 1 UNION SELECT 2", "0A000"),
        ("SELECT count(*) FROM patients WHERE age > (SELECT avg(age) FROM patients)", "ZP003"),
        ("SELECT count(*), (SELECT sex FROM patients) FROM patients", "ZP003"),
        ("SELECT (SELECT count(*), 1 FROM patients)", "42804"),
        ("SELECT (SELECT count(*) FROM patients GROUP BY sex)", "42804"),
        (
            "SELECT count(*) FROM patients UNION SELECT sex, count(*) FROM patients GROUP BY 1",
            "42804",
        ),
        ("SELECT count(*) FROM patients EXCEPT SELECT count(*) FROM visits", "0A000"),
        ("SELECT count(*) FROM patients UNION SELECT sex FROM patients GROUP BY 1", "42804"),
        ("SELECT count(*) FROM patients UNION SELECT age FROM patients", "42501"),
        ("SELECT count(*) AS n FROM patients UNION SELECT 1 ORDER BY n + 1", "42803"),
        ("SELECT error_bar(count(*)) FROM patients UNION SELECT 1", "0A000"),
        (" UNION ALL ".join(["SELECT count(*) FROM patients"] * 17), "54001"),
        (
            "SELECT count(*) FROM patients AS p JOIN (SELECT city, count(*) AS n FROM patients GROUP BY city) AS t ON p.city = t.city",
            "ZP003",
        ),
        (
            "SELECT array_agg(n) FROM (SELECT count(*) AS n FROM patients GROUP BY city) AS t",
            "ZP002",
        ),
        ("SELECT m FROM (SELECT count(*) AS n FROM patients) AS t", "42703"),
        ("SELECT *, count(*) FROM (SELECT count(*) AS n FROM patients) AS t", "42803"),
        ("SELECT n FROM (SELECT count(*) AS n FROM patients)", "42601"),
    ],
)
def test_what_is_refused(sql: str, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        analyze(sql, catalog())
    assert refused.value.code == code, refused.value.message


TOTAL = [
    "SELECT k, count(*) / (count(*) - 5), sum(count(*)) OVER () / (count(*) - count(*)), lag(count(*)) OVER (ORDER BY k) % count(*) FROM t GROUP BY k",
    "SELECT k, sum(k) OVER (ORDER BY k), avg(k) OVER (), min(k) OVER (), rank() OVER (ORDER BY k * count(*)) FROM t GROUP BY k",
    "SELECT k, k * count(*) / sum(count(*)) OVER (PARTITION BY k), round(k / (sum(k) OVER ())) FROM t GROUP BY k",
    "SELECT sum(k), avg(n / k), max(k + n), count(*) FROM (SELECT k, count(*) AS n FROM t GROUP BY k) AS s GROUP BY k",
    "SELECT DISTINCT k, n / k AS d FROM (SELECT k, count(*) AS n FROM t GROUP BY k) AS s ORDER BY d",
    "SELECT CAST(sum(k * k * k * k * k * k) AS integer), CAST(sum(n) * sum(n) * sum(n) * sum(n) AS integer) FROM (SELECT k, count(*) AS n FROM t GROUP BY k) AS s",
]


@pytest.mark.parametrize("key", ["bmi", "age", "points", "weight"])
@pytest.mark.parametrize("sql", TOTAL)
def test_nothing_fails_whatever_keys_and_cells_are(sql: str, key: str, place: Replay) -> None:
    meant = re.sub(r"\bk\b", key, sql).replace("FROM t ", "FROM patients ")
    plan = analyze(meant, catalog())
    cells = [cell for draw in plan.draws for cell in draw.cells]
    keys: list[Any] = [None, 0, 5, -3, 2**31 - 1]
    if key == "points":
        keys += [2**63 - 1, -(2**63)]
    if key in ("bmi", "weight"):
        keys += ["NaN", "1e15", "-0.000000000000001"]
    if key == "weight":
        keys += ["Infinity", "-Infinity"]
    for value in (0, 5, -1, 2**62):
        groups = [
            {
                "r": r,
                **({"k0": one} if plan.blocks[0].key_types else {}),
                **{f"c{c}": value for c in cells},
            }
            for r, one in enumerate(keys)
        ]
        rows = place.run(plan.finish, json.dumps([groups]))
        shown = releases.answer(plan, rows)
        assert json.dumps(shown.to_json(), allow_nan=False)


class TestCleaning:
    def test_counts_below_zero_are_shown_as_zero_on_demand(self, ask: Asker) -> None:
        sql = (
            "SELECT count(*), count(id), count(DISTINCT id), sum(age) FROM patients WHERE age > 200"
        )
        plain = ask(sql, noise=-50)
        clean = ask(sql, noise=-50, options=QueryOptions(non_negative=True))
        assert plain.rows == ((-50, -50, -50, -50),)
        assert clean.rows == ((0, 0, 0, -50),)
        assert clean.error_bars == plain.error_bars
        assert "Counts below zero are shown as zero." in clean.notices
        assert "Counts below zero are shown as zero." not in plain.notices

    def test_averages_and_quantiles_stay_in_bounds_and_say_so(self, ask: Asker) -> None:
        for noise in (-(10**6), 10**6):
            told = ask("SELECT avg(age), min(age), max(age) FROM patients", noise=noise)
            assert all(0 <= value <= 120 for value in told.rows[0])
            assert any("where such numbers can lie" in notice for notice in told.notices)


def test_a_join_of_too_many_rows_fails_early(place: Replay) -> None:
    """It costs the analyst the charge, and the database next to nothing."""
    inner = "SELECT born, count(*) AS n FROM patients GROUP BY born"
    plan = analyze(
        f"WITH t AS ({inner}) SELECT count(*) FROM t AS a, t AS b, t AS c, t AS d", catalog()
    )
    cells = [cell for draw in plan.draws for cell in draw.cells]
    groups = [{"r": r, "k0": "1950-01-01", **{f"c{cell}": 1 for cell in cells}} for r in range(500)]
    with pytest.raises(psycopg.errors.DivisionByZero):
        place.run(plan.finish, json.dumps([groups]))
    ((_, joined, _),) = place.run(plan.finish, json.dumps([groups[:11]]))
    assert joined == 11**4
