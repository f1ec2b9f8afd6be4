"""Names and constants as tools write them."""

from __future__ import annotations

import pytest

from analyzer.analyze import analyze
from analyzer.refusals import BadArgument, UnknownTable
from tests.fixture import catalog

SAME = {
    "SELECT sex, count(*) FROM patients WHERE age > 3 GROUP BY sex ORDER BY sex": (
        'SELECT "public"."patients"."sex", count(*) FROM "public"."patients"'
        ' WHERE public.patients.age > 3 GROUP BY "public"."patients"."sex"'
        ' ORDER BY "public"."patients"."sex"'
    ),
    "SELECT avg(v.cost) FROM visits v LEFT JOIN patients p ON p.id = v.patient_id": (
        "SELECT avg(public.visits.cost) FROM public.visits"
        " LEFT JOIN patients p ON p.id = public.visits.patient_id"
    ),
    "SELECT count(*) FROM patients"
    " WHERE EXISTS (SELECT 1 FROM visits WHERE visits.patient_id = patients.id)": (
        "SELECT count(*) FROM public.patients WHERE EXISTS (SELECT 1 FROM public.visits"
        " WHERE public.visits.patient_id = public.patients.id)"
    ),
}


@pytest.mark.parametrize("short, full", SAME.items())
def test_a_schema_changes_nothing(short, full):
    plans = [analyze(sql, catalog()) for sql in (short, full)]
    assert plans[0].blocks == plans[1].blocks


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(public.p.id) FROM patients p",
        "SELECT count(public.patients.id) FROM patients p",
        "SELECT count(other.patients.id) FROM patients",
        "SELECT count(public.patients.id) FROM patients AS patients",
        "WITH patients AS (SELECT id FROM visits) SELECT count(public.patients.id) FROM patients",
        "SELECT count(public.s.id) FROM (SELECT id FROM patients) s",
    ],
)
def test_a_schema_goes_with_a_table_without_an_alias(sql):
    """As in Postgres: an alias hides the table's own name, and has no schema."""
    with pytest.raises(UnknownTable):
        analyze(sql, catalog())


@pytest.mark.parametrize("zone", [" +00", " -05", " +05:30"])
def test_the_zone_of_a_date_says_nothing(zone):
    plans = [
        analyze(f"SELECT count(*) FROM patients WHERE born > '1950-01-31{more}'", catalog())
        for more in ("", zone)
    ]
    assert plans[0].blocks == plans[1].blocks


@pytest.mark.parametrize("text", ["1950-01-31 +", "1950-01-31 00", "1950-02-31 +00", "+00"])
def test_what_is_no_date_stays_none(text):
    with pytest.raises(BadArgument):
        analyze(f"SELECT count(*) FROM patients WHERE born > '{text}'", catalog())
