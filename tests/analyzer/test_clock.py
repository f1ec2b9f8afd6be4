"""The clock of a query: what PostgreSQL says of it in UTC, and a constant of the plan."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from analyzer.analyze import analyze
from analyzer.refusals import BadArgument, Unsupported
from tests.analyzer.live import connect
from tests.fixture import catalog

NOW = datetime(2026, 3, 31, 10, 20, 30, tzinfo=UTC)
FOLDED = (
    "CURRENT_DATE", "now()", "CURRENT_TIMESTAMP", "LOCALTIMESTAMP", "CURRENT_DATE - 30", "CURRENT_DATE + 1",
    "7 + CURRENT_DATE", "now() - INTERVAL '30 days'", "now() - INTERVAL '1' MONTH", "INTERVAL '2 hours' + now()",
    "(CURRENT_DATE - INTERVAL '1 month')::date", "CURRENT_DATE - INTERVAL '1 year 2 months 3 days'", "now()::date",
    "date(now())", "CAST(CURRENT_DATE AS timestamp)", "CURRENT_DATE::timestamptz", "now()::timestamp",
    "LOCALTIMESTAMP::timestamptz", "date_trunc('month', now())", "date_trunc('week', LOCALTIMESTAMP)",
    "date_trunc('quarter', now()) - INTERVAL '3 months'", "date_trunc('day', now() - INTERVAL '1 day')",
    "now() AT TIME ZONE 'UTC'", "LOCALTIMESTAMP AT TIME ZONE 'UTC'", "date_trunc('hour', now() AT TIME ZONE 'UTC')",
    "date_trunc('year', now())::date - 1",
)  # fmt: skip
LEFT = (
    "date_trunc('month', CURRENT_DATE)", "EXTRACT(year FROM now())", "EXTRACT(dow FROM CURRENT_DATE)",
    "date_part('month', now())", "EXTRACT(year FROM age(now(), DATE '2001-04-01'))",
    "EXTRACT(year FROM age(DATE '2001-03-31'))", "to_char(CURRENT_DATE, 'YYYY-MM')", "to_char(now(), 'HH24:MI')",
    "EXTRACT(hour FROM now() - INTERVAL '5 hours')", "EXTRACT(epoch FROM date_trunc('day', now()))",
    "(now() AT TIME ZONE 'Europe/Oslo')::date", "CURRENT_DATE - DATE '2020-01-01'", "to_date('2020-01-01', 'YYYY-MM-DD')",
)  # fmt: skip
"""Of these the database computes the rest."""


@pytest.mark.parametrize("written", FOLDED + LEFT)
def test_the_clock_says_what_postgres_says(postgres, written):
    with connect(postgres.fresh()) as connection, connection.transaction():
        connection.execute("SET LOCAL TimeZone = 'UTC'")
        ((now, theirs),) = connection.execute(f"SELECT now(), {written}".encode())
        sql = f"SELECT count(*) FROM patients WHERE ({written}) IS NULL"
        plan = analyze(sql, catalog(), now=datetime.fromisoformat(now))
        exact = plan.blocks[0].exact
        condition = exact.sql.partition(" AND (")[2].partition(" IS NULL)")[0]
        given = [None if one is None else str(one) for one in exact.parameters]
        ((ours,),) = connection.execute(f"SELECT {condition}".encode(), given)
    zoned = written == "date_trunc('month', CURRENT_DATE)"
    assert ours == (theirs.removesuffix("+00") if zoned else theirs)


@pytest.mark.parametrize("written", FOLDED)
def test_what_follows_from_the_clock_alone_is_one_constant(written):
    sql = f"SELECT count(*) FROM patients WHERE ({written}) IS NULL"
    assert len(analyze(sql, catalog(), now=NOW).blocks[0].exact.parameters) == 1
    assert analyze(sql, catalog(), now=NOW).blocks[0].exact.sql.count("CAST(") == 1


def test_a_plan_goes_by_the_value():
    sql = "SELECT count(*) FROM patients WHERE born > CURRENT_DATE - 30"
    morning, evening, tomorrow = (
        analyze(sql, catalog(), now=NOW + timedelta(hours=hours)) for hours in (0, 12, 24)
    )
    assert morning.digest == evening.digest != tomorrow.digest
    assert morning.now == NOW
    assert "2026-03-31 10:20:30 in UTC" in morning.notices[-1]
    spelled = "SELECT count(*) FROM patients WHERE born > DATE '2026-03-01'"
    plain = analyze(spelled, catalog(), now=NOW)
    assert (plain.digest, plain.now) == (morning.digest, None)


def test_all_clocks_of_a_query_are_one():
    sql = "SELECT current_date, now(), localtimestamp, count(*) FROM patients"
    plan = analyze(sql, catalog(), now=NOW)
    assert [column.name for column in plan.columns] == [
        "current_date",
        "now",
        "localtimestamp",
        "count",
    ]
    assert {str(value)[:10] for value in plan.finish.parameters} == {"2026-03-31"}


@pytest.mark.parametrize(
    "written",
    [
        "clock_timestamp()",
        "CURRENT_TIME",
        "CURRENT_TIMESTAMP(0)",
        "LOCALTIME",
        "statement_timestamp()",
    ],
)
def test_other_clocks_are_refused(written):
    with pytest.raises(Unsupported, match="This clock is not available"):
        analyze(f"SELECT {written}, count(*) FROM patients", catalog(), now=NOW)


def test_no_time_is_beyond_all_years():
    with pytest.raises(BadArgument, match="outside of the years"):
        analyze(
            "SELECT count(*) FROM patients WHERE born > CURRENT_DATE + 9000000", catalog(), now=NOW
        )
