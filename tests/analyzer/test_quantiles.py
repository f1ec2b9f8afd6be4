"""Minima, maxima and percentiles on a live PostgreSQL, beside what it says itself.

Where a bucket stands for one value, a percentile without noise is Postgres' own; else it is as good
as a bucket is wide. Minima and maxima are read an error bar inside.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from analyzer.analyze import analyze
from analyzer.refusals import BadArgument, Refusal, Unsupported, WrongType
from tests.analyzer.noiseless import Asker, plainly, same
from tests.fixture import catalog
from tests.guarantee.replay import Replay

FEW = "least(greatest(born, DATE '1970-03-01'), DATE '1970-10-01')"
MANY = "least(greatest(born, DATE '1930-01-01'), DATE '2019-12-31')"
OF_TIMES = "least(greatest(born::timestamp, '1930-01-01'), '2019-12-31')"
INSIDE = "FILTER (WHERE born BETWEEN '1970-03-01' AND '1970-10-01')"


@pytest.mark.parametrize("fraction", ["0.1", "0.25", "0.5", "0.75", "0.3333"])
@pytest.mark.parametrize("where", ["", INSIDE])
def test_percentiles_of_few_dates_are_those_of_postgres(
    ask: Asker, place: Replay, fraction: str, where: str
) -> None:
    sql = f"SELECT percentile_disc({fraction}) WITHIN GROUP (ORDER BY {FEW}) {where} FROM patients"
    assert ask(sql).rows == ((str(plainly(place, sql)[0][0]),),)


@pytest.mark.parametrize(
    "read", ["min({0})", "max({0})", "percentile_disc(0.3) WITHIN GROUP (ORDER BY {0})"]
)
@pytest.mark.parametrize("argument", [MANY, OF_TIMES])
def test_quantiles_of_many_dates_are_within_their_bars(
    ask: Asker, place: Replay, read: str, argument: str
) -> None:
    form = read.format(argument)
    sql = f"SELECT {form} FROM patients"
    told, ((plain,),) = ask(sql), plainly(place, sql)
    ((shown,),), ((bar,),) = told.rows, told.error_bars
    step = timedelta(days=365.25 * 90 / 256)
    plain = datetime.fromisoformat(str(plain))
    assert abs(datetime.fromisoformat(shown) - plain) <= timedelta(days=bar) + step
    assert bar < 365 * 90
    assert told.columns[0].type.value == (
        "date" if argument is MANY else "timestamp without time zone"
    )


def test_moments_with_a_zone(ask: Asker) -> None:
    form = (
        OF_TIMES.replace("born::timestamp", "(born::timestamp AT TIME ZONE 'UTC')")
        .replace("'1930-01-01'", "'1930-01-01 00:00+00'")
        .replace("'2019-12-31'", "'2019-12-31 00:00+00'")
    )
    ((zoned, plain),) = ask(f"SELECT max({form}), max({OF_TIMES}) FROM patients").rows
    assert zoned == f"{plain}+00:00" or str(zoned).startswith(str(plain))


class TestCompanions:
    @pytest.mark.parametrize("argument", [MANY, FEW])
    def test_of_dates_they_are_days_and_dates(self, ask: Asker, argument: str) -> None:
        form = f"percentile_disc(0.4) WITHIN GROUP (ORDER BY {argument})"
        told = ask(
            f"SELECT {form} AS x, error_bar({form}), ci_low({form}), ci_high({form}) FROM patients"
            " GROUP BY active"
        )
        for (x, bar, low, high), bars in zip(told.rows, told.error_bars, strict=True):
            day = date.fromisoformat(x)
            assert bar == bars[0]
            assert isinstance(bar, int)
            assert low == (day - timedelta(days=bar)).isoformat()
            assert high == (day + timedelta(days=bar)).isoformat()
        assert [c.type.value for c in told.columns] == ["date", "bigint", "date", "date"]

    def test_of_timestamps_they_are_days_and_timestamps(self, ask: Asker) -> None:
        form = f"max({OF_TIMES})"
        told = ask(f"SELECT {form}, error_bar({form}), ci_low({form}) FROM patients")
        ((x, bar, low),) = told.rows
        between = datetime.fromisoformat(x) - datetime.fromisoformat(low)
        assert between / timedelta(days=1) == pytest.approx(bar, rel=1e-4)
        assert [c.type.value for c in told.columns][1:] == [
            "double precision",
            "timestamp without time zone",
        ]

    def test_they_stay_inside_the_calendar(self, ask: Asker) -> None:
        form = f"percentile_disc(1) WITHIN GROUP (ORDER BY {MANY}) + 1000000 + 1000000 + 915400"
        told = ask(f"SELECT {form}, ci_high({form}) FROM patients")
        ((x, high),), ((bar, _),) = told.rows, told.error_bars
        assert x < high == "9999-12-31"
        assert date.fromisoformat(x).toordinal() + bar > date.max.toordinal()


FURTHER = [
    f"SELECT max({FEW}) - min({FEW}) > 0 FROM patients",
    f"SELECT active, max({FEW}) + INTERVAL '1 month' FROM patients GROUP BY active HAVING max({FEW}) > DATE '1970-01-01' ORDER BY 1",
    f"WITH t AS (SELECT active, percentile_disc(0.5) WITHIN GROUP (ORDER BY {FEW}) AS d FROM patients GROUP BY active) SELECT max(d), min(d), count(*) FROM t",
    "SELECT count(*) FROM patients WHERE to_timestamp(age * 86400) AT TIME ZONE 'UTC' >= TIMESTAMP '1970-02-01'",
]


@pytest.mark.parametrize("sql", FURTHER)
def test_what_is_computed_from_them(ask: Asker, place: Replay, sql: str) -> None:
    for shown, meant in zip(ask(sql).rows, plainly(place, sql), strict=True):
        assert all(same(a, b) or str(a) == str(b) for a, b in zip(shown, meant, strict=True)), (
            shown,
            meant,
        )


class TestArrays:
    SPELLINGS = (
        "ARRAY[0.25, 0.5, 0.9]",
        "'{0.25, 0.5, \"0.9\"}'::double precision[]",
        "ARRAY['0.25', 0.5, 0.9]::numeric[]",
    )

    @pytest.mark.parametrize("fractions", SPELLINGS)
    @pytest.mark.parametrize("more", ["", " DESC"])
    def test_they_are_those_of_postgres(
        self, ask: Asker, place: Replay, fractions: str, more: str
    ) -> None:
        form = f"percentile_cont({fractions}) WITHIN GROUP (ORDER BY age{more})"
        sql = f"SELECT active, {form} AS q FROM patients GROUP BY active ORDER BY active"
        told, plain = ask(sql), plainly(place, sql)
        for (_, shown), (_, meant) in zip(told.rows, plain, strict=True):
            assert shown == pytest.approx(meant)
        assert told.columns[1].type.value == "double precision[]"

    def test_they_are_the_percentiles_that_they_are_made_of(self, ask: Asker) -> None:
        each = [f"percentile_cont({f}) WITHIN GROUP (ORDER BY bmi)" for f in ("0.2", "0.5")]
        many = "percentile_cont(ARRAY[0.2, 0.5]) WITHIN GROUP (ORDER BY bmi)"
        told = ask(f"SELECT {many}, {', '.join(each)} FROM patients", noise=3)
        ((values, *alone),), ((bars, *own),) = told.rows, told.error_bars
        assert values == alone
        assert bars == own
        assert len(told.mechanisms) == 1
        assert None not in bars

    def test_one_is_taken_out(self, ask: Asker, place: Replay) -> None:
        form = "(percentile_cont(ARRAY[0.25, 0.75]) WITHIN GROUP (ORDER BY age))"
        sql = f"SELECT {form}[2] - {form}[1] AS iqr, ({form})[1], {form}[3] FROM patients"
        told = ask(sql)
        assert list(told.rows[0]) == list(plainly(place, sql)[0])
        assert [c.type.value for c in told.columns] == ["double precision"] * 3
        assert told.error_bars[0][:2] > (0, 0)
        assert len(told.mechanisms) == 1

    def test_they_are_sorted_kept_and_joined_as_arrays(self, ask: Asker, place: Replay) -> None:
        form = "percentile_cont(ARRAY[0.5]) WITHIN GROUP (ORDER BY age)"
        sql = (
            f"WITH t AS (SELECT active, {form} AS q FROM patients GROUP BY active)"
            " SELECT a.q, count(b.q), max(b.q) FROM t a JOIN t b ON a.q >= b.q GROUP BY a.q ORDER BY a.q"
        )
        assert [list(row) for row in ask(sql).rows] == [list(row) for row in plainly(place, sql)]

    def test_nothing_else_is_computed_with_them(self) -> None:
        form = "percentile_cont(ARRAY[0.5]) WITHIN GROUP (ORDER BY age)"
        for output in ("x + 1", "x || 'a'", "x::text", "sum(x)", "abs(x)", "x = '{1}'"):
            with pytest.raises(Refusal):
                analyze(f"SELECT {output} FROM (SELECT {form} AS x FROM patients) t", catalog())


@pytest.mark.parametrize(
    "form, kind, hint",
    [
        ("percentile_cont(ARRAY[0.5, NULL]) WITHIN GROUP (ORDER BY age)", BadArgument, ""),
        ("(sum(age))[1]", Unsupported, "percentile_cont"),
        ("percentile_cont('{0.5}') WITHIN GROUP (ORDER BY age)", BadArgument, ""),
        ("percentile_cont('{}'::numeric[]) WITHIN GROUP (ORDER BY age)", BadArgument, ""),
        ("percentile_cont('{{0.5}}'::numeric[]) WITHIN GROUP (ORDER BY age)", BadArgument, "{a,b}"),
        ("percentile_cont(ARRAY[0.5, 2]) WITHIN GROUP (ORDER BY age)", BadArgument, ""),
        ("percentile_cont(ARRAY[age]) WITHIN GROUP (ORDER BY age)", BadArgument, ""),
        (
            "percentile_disc('{0.5}'::numeric[]) WITHIN GROUP (ORDER BY age)",
            Unsupported,
            "percentile_cont",
        ),
        ("error_bar(percentile_cont(ARRAY[0.5]) WITHIN GROUP (ORDER BY age))", WrongType, ""),
        ("max(born)", BadArgument, "DATE '2000-01-01'"),
        (f"percentile_cont(0.5) WITHIN GROUP (ORDER BY {FEW})", WrongType, "percentile_disc"),
        ("max(name)", WrongType, ""),
        (f"sum({FEW})", WrongType, ""),
    ],
)
def test_what_is_refused(form: str, kind: type[Refusal], hint: str) -> None:
    with pytest.raises(kind) as refused:
        analyze(f"SELECT {form} FROM patients", catalog())
    assert hint in (refused.value.hint or "")


def test_the_words_of_an_answer_are_dates() -> None:
    plan = analyze(f"SELECT max({FEW}) FROM patients", catalog())
    shown: Any = plan.draws[0].label
    assert shown == "histogram of least(greatest(born, 1970-03-01), 1970-10-01)"
    assert "kept between 1970-03-01 and 1970-10-01." in " ".join(plan.notices)
    always = "least(greatest(born::timestamp, '0001-01-01'), '9999-12-31 23:59:59')"
    plan = analyze(f"SELECT max({always}) FROM patients", catalog())
    assert "kept between 0001-01-01 00:00:00 and 9999-12-31 23:" in " ".join(plan.notices)
