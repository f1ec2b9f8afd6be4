"""Views of a policy: what they may be, and where their mistakes are."""

from __future__ import annotations

import pytest

from analyzer.analyze import analyze
from analyzer.refusals import Refusal
from server.policy import PolicyError, parse_policy
from server.web.datasets import dataset_json
from tests.fixture import POLICY

VIEWS = '''
[views.recent_visits]
sql = """
SELECT patient_id, cost, kind
FROM visits WHERE visited_at > '2020-06-01'
"""
[views.totals]
sql = "SELECT patient_id AS who, sum(cost) AS total FROM visits GROUP BY patient_id"
description = "What a person cost."
'''


def test_a_view_is_its_subquery():
    plain = parse_policy(POLICY)
    for view, written in (
        (
            "recent_visits",
            "(SELECT patient_id, cost, kind FROM visits WHERE visited_at > '2020-06-01')",
        ),
        (
            "totals",
            "(SELECT patient_id AS who, sum(cost) AS total FROM visits GROUP BY patient_id)",
        ),
    ):
        sql = "SELECT count(*) FROM {} AS v"
        named = analyze(sql.format(view), parse_policy(POLICY + VIEWS))
        assert named.blocks == analyze(sql.format(written), plain).blocks


def test_bounds_and_values_follow_into_a_view():
    plan = analyze(
        "SELECT kind, avg(cost) FROM recent_visits GROUP BY 1", parse_policy(POLICY + VIEWS)
    )
    assert plan.blocks[0].public_keys
    assert "In avg(cost), values are kept between 0 and 10000." in plan.notices or any(
        "between 0 and 10000" in notice for notice in plan.notices
    )


def test_a_view_joins_like_a_table_and_a_cte_hides_it():
    catalog = parse_policy(POLICY + VIEWS)
    assert analyze("SELECT count(*) FROM patients p JOIN totals t ON t.who = p.id", catalog).draws
    assert analyze(
        "WITH totals AS (SELECT id FROM patients) SELECT count(id) FROM totals", catalog
    ).draws


def test_a_view_is_in_the_schema_public_for_tools_that_write_one():
    catalog = parse_policy(POLICY + VIEWS)
    named = analyze("SELECT count(total) FROM totals AS v", catalog)
    sql = "WITH totals AS (SELECT id FROM patients) SELECT count(total) FROM public.totals AS v"
    assert analyze(sql, catalog).blocks == named.blocks
    with pytest.raises(Refusal, match='no table "totals"'):
        analyze("SELECT count(*) FROM clinic.totals", catalog)


def test_a_view_sees_no_cte_and_no_parameter_of_the_query():
    catalog = parse_policy(POLICY + VIEWS)
    sql = "WITH visits AS (SELECT id AS patient_id FROM patients) SELECT count(*) FROM totals"
    assert '"visits"' in analyze(sql, catalog).blocks[0].exact.sql
    with pytest.raises(PolicyError, match=r"There is no value for parameter \$1"):
        parse_policy(POLICY + "[views.one]\nsql = 'SELECT id FROM patients WHERE age > $1'\n")


def test_views_are_part_of_the_version():
    versions = {
        parse_policy(text).version
        for text in (POLICY, POLICY + VIEWS, POLICY + VIEWS.replace("2020-06", "2020-07"))
    }
    assert len(versions) == 3
    described = VIEWS.replace("What a person cost.", "Sums of cost.")
    assert parse_policy(POLICY + described).version == parse_policy(POLICY + VIEWS).version


@pytest.mark.parametrize(
    "toml, down, message",
    [
        (
            '[views.v]\nsql = """\nSELECT id,\n  cots FROM visits\n"""',
            4,
            'views.v.sql: There is no column "cots".',
        ),
        (
            "[views.v]\nsql = '''SELECT id,\n  cots FROM visits'''",
            3,
            'views.v.sql: There is no column "cots".',
        ),
        (
            "[views.v]\nsql = 'SELECT cots FROM visits'",
            2,
            'views.v.sql: There is no column "cots".',
        ),
        (
            "[views.cities]\nsql = 'SELECT id FROM visits'",
            2,
            "views.cities: is a table's name already",
        ),
        ("[views.v]\nsql = 'SELECT id, id FROM visits'", 2, 'a column is called "id" twice'),
        ("[views.v]\nsql = 'SELECT id + 1 FROM visits'", 2, "a column has no name"),
        (
            "[views.v]\nsql = 'SELECT kind, count(*) AS n FROM visits GROUP BY kind'",
            2,
            "Add visits.patient_id",
        ),
        ("[views.v]\nsql = 'SELECT p.id FROM patients p, visits v'", 2, "ON v.patient_id = p.id"),
        ("[views.v]\nsql = 'SELECT id FROM visits; SELECT 1'", 2, "Only one statement at a time."),
        ("[views.v]\nsql = 'DELETE FROM visits'", 2, "Only SELECT statements"),
        ("[views.v]\nsql = 'SELECT id FROM salaries'", 2, 'There is no table "salaries".'),
        (
            "[views.v]\nsql = 'SELECT id FROM visits'\n[views.w]\nsql = 'SELECT id FROM v'",
            4,
            'no table "v"',
        ),
        (
            "[views.v]\nsql = 'SELECT id FROM visits'\nlimit = 3",
            3,
            "views.v.limit: is no key of a policy",
        ),
        ("[views.v]\n", 1, "views.v.sql: is missing"),
    ],
)
def test_mistakes_have_a_line(toml, down, message):
    text = f"{POLICY}\n{toml}\n"
    with pytest.raises(PolicyError) as error:
        parse_policy(text)
    (line,) = error.value.lines()
    assert line.startswith(f"policy:{POLICY.count(chr(10)) + 1 + down}: ")
    assert message in line


def test_views_are_listed_with_the_bounds_that_follow():
    listed = {view["name"]: view for view in dataset_json(parse_policy(POLICY + VIEWS))["views"]}
    assert set(listed) == {"recent_visits", "totals"}
    totals = {column["name"]: column for column in listed["totals"]["columns"]}
    assert listed["totals"]["protected"]
    assert totals["who"]["type"] == "integer"
    assert (totals["total"]["lower"], totals["total"]["upper"]) == ("0", "200000")
    (kind,) = (c for c in listed["recent_visits"]["columns"] if c["name"] == "kind")
    assert sorted(kind["values"]) == ["emergency", "planned", "remote"]
