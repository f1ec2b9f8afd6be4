"""Aggregates and windows over noisy results, beside a plain PostgreSQL: values, types, refusals."""

from __future__ import annotations

from decimal import Decimal

import pytest

from analyzer.analyze import analyze
from analyzer.refusals import Refusal
from tests.analyzer.noiseless import Asker, plainly, same
from tests.fixture import catalog
from tests.guarantee.replay import Replay

INNER = (
    "SELECT city, active, count(*) AS n, avg(age) AS a, CAST(count(*) AS double precision) AS f,"
    " round(count(*) / 10) AS tens FROM patients GROUP BY city, active"
)
PAIRS = [
    "corr",
    "covar_pop",
    "covar_samp",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
]
PAIRS += ["regr_slope", "regr_sxx", "regr_sxy", "regr_syy"]
AGGREGATES = [
    *(
        f"{f}({x})"
        for f in ("stddev", "stddev_pop", "stddev_samp")
        for x in ("n", "a", "f", "tens")
    ),
    *(f"{f}({x})" for f in ("variance", "var_pop", "var_samp") for x in ("n", "a", "f", "tens")),
    *(f"{f}(n, a)" for f in PAIRS),
    "corr(n, a) FILTER (WHERE active)",
    "regr_count(n, nullif(a, a)) FILTER (WHERE city > 'H')",
    "stddev(DISTINCT tens)",
    "variance(n) FILTER (WHERE n < 0)",
    "bool_and(n > 3)",
    "bool_or(active AND n > 23)",
    "every(city IS NOT NULL)",
    "bool_and(n > 3) FILTER (WHERE n < 0)",
    "percentile_cont(0.3) WITHIN GROUP (ORDER BY n)",
    "percentile_cont(0.3) WITHIN GROUP (ORDER BY a DESC) FILTER (WHERE active)",
    "percentile_disc(0.3) WITHIN GROUP (ORDER BY n DESC NULLS LAST)",
    "percentile_disc(0.5) WITHIN GROUP (ORDER BY city)",
    "mode() WITHIN GROUP (ORDER BY tens)",
    "mode() WITHIN GROUP (ORDER BY city DESC)",
]
WINDOWS = [
    "stddev(n) OVER (PARTITION BY active ORDER BY city)",
    "corr(n, a) OVER (PARTITION BY active ORDER BY city ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)",
    "regr_slope(n, a) OVER ()",
    "bool_or(n > 24) OVER (PARTITION BY active ORDER BY city)",
    "var_pop(a) FILTER (WHERE n > 22) OVER (PARTITION BY active)",
    "nth_value(n, 2) OVER (PARTITION BY active ORDER BY city)",
    "nth_value(city, 3) OVER (PARTITION BY active ORDER BY city ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)",
    "sum(n) OVER (ORDER BY n RANGE BETWEEN 2 PRECEDING AND 1 FOLLOWING)",
    "count(*) OVER (PARTITION BY active ORDER BY a DESC RANGE BETWEEN 1.5 PRECEDING AND CURRENT ROW)",
    "count(*) OVER (ORDER BY f RANGE 3 PRECEDING)",
    "sum(n) OVER (PARTITION BY active ORDER BY city ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW)",
    "sum(n) OVER (ORDER BY tens GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES)",
    "count(*) OVER (ORDER BY tens RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW EXCLUDE GROUP)",
]
NAMED = [
    "SELECT city, n, sum(n) OVER w, rank() OVER w FROM t WINDOW w AS (PARTITION BY active ORDER BY city) ORDER BY active, city",
    "SELECT city, sum(n) OVER (w ORDER BY city), count(*) OVER w FROM t WINDOW w AS (PARTITION BY active) ORDER BY active, city",
    "SELECT city, sum(n) OVER (v ROWS 1 PRECEDING), avg(n) OVER w FROM t WINDOW w AS (PARTITION BY active), v AS (w ORDER BY city) ORDER BY active, city",
    "SELECT city, sum(n) OVER w FROM t WINDOW w AS (ORDER BY active, city ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) ORDER BY active, city",
    'SELECT active, sum(sum(n)) OVER "W" FROM t GROUP BY active WINDOW "W" AS (ORDER BY active) ORDER BY active',
]


def _typed(place: Replay, sql: str) -> str:
    (cell,) = {row[0] for row in plainly(place, f"SELECT pg_typeof(x)::text FROM ({sql}) AS q (x)")}
    return str(cell)


@pytest.mark.parametrize("form", [*AGGREGATES, *WINDOWS])
def test_they_are_those_of_postgres(ask: Asker, place: Replay, form: str) -> None:
    order = " ORDER BY active, city" if form in WINDOWS else ""
    sql = f"WITH t AS ({INNER}) SELECT {form} FROM t{order}"
    told, plain = ask(sql), plainly(place, sql)
    assert len(told.rows) == len(plain)
    for (shown,), (meant,) in zip(told.rows, plain, strict=True):
        assert shown == meant if meant is None else same(shown, meant), (shown, meant)
    assert told.columns[0].type.value == _typed(place, sql)


@pytest.mark.parametrize("sql", NAMED)
def test_windows_have_names(ask: Asker, place: Replay, sql: str) -> None:
    sql = f"WITH t AS ({INNER}) {sql}"
    rows, plain = ask(sql).rows, plainly(place, sql)
    assert [tuple(map(_plain, row)) for row in rows] == [tuple(map(_plain, row)) for row in plain]


def _plain(value: object) -> object:
    return round(float(value), 4) if isinstance(value, Decimal | float | int) else value


def test_dates_have_windows_by_distance(ask: Asker, place: Replay) -> None:
    day = "(DATE '2020-01-01' + (n % 40)::integer)"
    for window in (
        f"ORDER BY {day} RANGE BETWEEN INTERVAL '6 days' PRECEDING AND CURRENT ROW",
        f"ORDER BY {day} + INTERVAL '1 hour' DESC RANGE INTERVAL '2 days 12 hours' PRECEDING",
    ):
        sql = f"WITH t AS ({INNER}) SELECT count(*) OVER ({window}) FROM t ORDER BY active, city"
        assert [tuple(r) for r in ask(sql).rows] == plainly(place, sql)


def test_named_windows_over_protected_rows(ask: Asker, place: Replay) -> None:
    sql = (
        "SELECT city, sum(count(*)) OVER w FROM patients GROUP BY city"
        " WINDOW w AS (ORDER BY city) ORDER BY city"
    )
    assert [tuple(r) for r in ask(sql).rows] == plainly(place, sql)


def test_noise_reaches_what_is_computed(ask: Asker) -> None:
    told = ask(f"WITH t AS ({INNER}) SELECT stddev(n), corr(n, a), regr_count(n, a) FROM t")
    ((spread, correlation, _),) = told.error_bars
    assert spread > 0
    assert correlation > 0


@pytest.mark.parametrize(
    "form, code",
    [
        ("array_agg(n)", "ZP002"),
        ("string_agg(city, ',')", "ZP002"),
        ("rank(3) WITHIN GROUP (ORDER BY n)", "ZP002"),
        ("mode() WITHIN GROUP (ORDER BY n) OVER ()", "0A000"),
        ("percentile_cont(n) WITHIN GROUP (ORDER BY n)", "22023"),
        ("percentile_cont(2) WITHIN GROUP (ORDER BY n)", "22023"),
        ("percentile_cont(0.5) WITHIN GROUP (ORDER BY city)", "42804"),
        ("bool_and(n)", "42804"),
        ("stddev(city)", "42804"),
        ("corr(n, city)", "42804"),
        ("corr(DISTINCT n, a)", "42601"),
        ("stddev(DISTINCT n) OVER ()", "0A000"),
        ("stddev(*)", "42804"),
        ("nth_value(n, 0) OVER ()", "22023"),
        ("rank() FILTER (WHERE active) OVER ()", "42804"),
        ("sum(stddev(n) OVER ()) OVER ()", "42803"),
        ("count(*) OVER (ORDER BY n, a RANGE 1 PRECEDING)", "42804"),
        ("count(*) OVER (ORDER BY city RANGE 1 PRECEDING)", "42804"),
        ("count(*) OVER (ORDER BY n RANGE 1.5 PRECEDING)", "42804"),
        ("count(*) OVER (ORDER BY n RANGE INTERVAL '1 day' PRECEDING)", "42804"),
        ("count(*) OVER (ORDER BY n ROWS 1.5 PRECEDING)", "0A000"),
        ("count(*) OVER (GROUPS 1 PRECEDING)", "42601"),
        ("count(*) OVER nowhere", "42601"),
        ("count(*) OVER (w ORDER BY a)", "42601"),
        ("count(*) OVER (w PARTITION BY a)", "42601"),
        ("count(*) OVER (v ROWS 1 PRECEDING), count(*) OVER w", "42601"),
    ],
)
def test_what_is_refused(form: str, code: str) -> None:
    window = (
        " WINDOW w AS (ORDER BY n), v AS (ORDER BY n ROWS 2 PRECEDING)"
        if "(w " in form or "(v " in form
        else ""
    )
    window = window if "(v " in form else window.partition(", v")[0]
    with pytest.raises(Refusal) as refused:
        analyze(f"WITH t AS ({INNER}) SELECT {form} FROM t{window}", catalog())
    assert refused.value.code == code


@pytest.mark.parametrize(
    "windows", ["w AS (ORDER BY n), w AS (ORDER BY a)", "w AS (v), v AS ()", "w AS (), x AS ()"]
)
def test_names_of_windows_are_checked(windows: str) -> None:
    with pytest.raises(Refusal) as refused:
        analyze(f"WITH t AS ({INNER}) SELECT count(*) OVER w FROM t WINDOW {windows}", catalog())
    assert refused.value.code == "42601"
