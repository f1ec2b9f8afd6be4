"""Ownership through subqueries: what is unsound is refused, and the hint says what to write."""

from __future__ import annotations

import pytest

from analyzer.analyze import analyze
from analyzer.refusals import Refusal
from tests.fixture import catalog


def refusal(sql: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        analyze(sql, catalog())
    return caught.value


@pytest.mark.parametrize(
    "sql, hint",
    [
        (
            "SELECT count(*) FROM patients p WHERE p.id IN (SELECT patient_id FROM visits GROUP BY kind, patient_id HAVING count(*) > (SELECT count(*) FROM cities))",
            "ask the inner question first",
        ),
        (
            "SELECT count(*) FROM patients p WHERE p.id IN (SELECT max(patient_id) FROM visits)",
            "Add visits.patient_id to it: then each row is about one person.",
        ),
        (
            "SELECT count(*) FROM patients p WHERE p.id IN (SELECT max(patient_id) FROM visits GROUP BY patient_id)",
            "Write key IN (SELECT key FROM ...), where both are the privacy unit's key.",
        ),
        (
            "SELECT count(*) FROM patients p WHERE p.age IN (SELECT patient_id FROM visits)",
            "Write key IN (SELECT key FROM ...), where both are the privacy unit's key.",
        ),
        (
            "SELECT count(*) FROM patients p WHERE p.id IN (SELECT id FROM visits)",
            "Write key IN (SELECT key FROM ...), where both are the privacy unit's key.",
        ),
        (
            # NULL in the list is nobody's: a padded key is no key.
            "SELECT count(*) FROM patients p WHERE p.id NOT IN (SELECT v.patient_id FROM patients q LEFT JOIN visits v ON v.patient_id = q.id)",
            "Write key IN (SELECT key FROM ...), where both are the privacy unit's key.",
        ),
        (
            "SELECT count(*) FROM patients p WHERE EXISTS (SELECT 1 FROM visits v WHERE v.cost > 5)",
            "Add v.patient_id = p.id to the WHERE of the subquery.",
        ),
        (
            "SELECT count(*) FROM patients p WHERE EXISTS (SELECT 1 FROM visits v WHERE v.patient_id = p.id OR v.cost > 5)",
            "Add v.patient_id = p.id to the WHERE of the subquery.",
        ),
        (
            "SELECT count(*) FROM patients p WHERE EXISTS (SELECT 1 FROM visits v WHERE NOT v.patient_id = p.id)",
            "Add v.patient_id = p.id to the WHERE of the subquery.",
        ),
        (
            "SELECT count(*) FROM patients p WHERE EXISTS (SELECT 1 FROM visits v WHERE v.patient_id = p.age)",
            "Add v.patient_id = p.id to the WHERE of the subquery.",
        ),
        (
            "SELECT count(*) FROM patients p WHERE EXISTS (SELECT 1 FROM visits v WHERE v.patient_id = v.patient_id)",
            "Add v.patient_id = p.id to the WHERE of the subquery.",
        ),
        (
            # PAR-23: a name that silently belongs to the query around.
            "SELECT count(*) FROM patients p WHERE EXISTS (SELECT 1 FROM visits v WHERE v.patient_id = p.id AND age > 5)",
            "In EXISTS, put the table's name before it if you mean that column.",
        ),
        (
            "SELECT count(*) FROM patients WHERE city IN (SELECT age FROM cities)",
            "Write EXISTS (SELECT 1 FROM ... WHERE ...) to compare columns of both queries.",
        ),
        (
            "SELECT count(*) FROM patients p WHERE p.id IN (SELECT patient_id FROM visits v WHERE v.patient_id = p.id)",
            "Write EXISTS (SELECT 1 FROM ... WHERE ...) to compare columns of both queries.",
        ),
        (
            "SELECT count(*) FROM patients p WHERE EXISTS (SELECT 1 FROM visits v WHERE v.patient_id = p.id LIMIT 1)",
            "Leave LIMIT out here; in the outer query it works on noisy values.",
        ),
        (
            "SELECT count(*) FROM patients p WHERE EXISTS (SELECT kind FROM visits v WHERE v.patient_id = p.id GROUP BY kind)",
            "Leave GROUP BY out here; in the outer query it works on noisy values.",
        ),
        (
            "SELECT count(*) FROM cities c JOIN patients p ON c.name = p.city WHERE EXISTS (SELECT 1 FROM visits v WHERE v.diagnosis = c.name)",
            "Add v.patient_id = p.id to the WHERE of the subquery.",
        ),
        (
            "SELECT count(*) FROM patients p HAVING EXISTS (SELECT 1 FROM visits v WHERE v.patient_id = p.id)",
            "ask the inner question first",
        ),
        (
            "SELECT sex, EXISTS (SELECT 1 FROM cities), count(*) FROM patients p GROUP BY sex",
            "ask the inner question first",
        ),
        (
            "SELECT count(*) FROM (SELECT id FROM patients UNION ALL SELECT 1 FROM cities) u",
            "Ask about them in two queries.",
        ),
        (
            "SELECT count(*) FROM (SELECT id FROM patients ORDER BY age LIMIT 5) u",
            "Leave ORDER BY out here; in the outer query it works on noisy values.",
        ),
        (
            "SELECT count(*) FROM (SELECT id FROM patients UNION ALL SELECT id FROM patients LIMIT 5) u",
            "Leave LIMIT out here; in the outer query it works on noisy values.",
        ),
        (
            "SELECT count(*) FROM patients AS first, visits AS v",
            "ON v.patient_id = first.id.",
        ),
        (
            "SELECT count(*) FROM (SELECT id AS who FROM patients) a, (SELECT patient_id AS other FROM visits) b",
            "ON b.other = a.who.",
        ),
        (
            "SELECT count(*) FROM (SELECT age FROM patients) a, (SELECT kind FROM visits) b",
            "Keep the privacy unit's key in every subquery, and join on it.",
        ),
        (
            "SELECT count(*) FROM items i, items j",
            "Join the way to the privacy unit first: JOIN visits ON j.visit_id = visits.id.",
        ),
        (
            "SELECT count(*) FROM visits v, items i WHERE i.id = v.id",
            "Join along the path to the privacy unit: ON i.visit_id = v.id.",
        ),
    ],
)
def test_what_is_refused_says_what_to_write(sql, hint):
    refused = refusal(sql)
    assert refused.code == "ZP003"
    assert hint in refused.hint
    assert refused.position is not None


@pytest.mark.parametrize(
    "sql, code",
    [
        ("SELECT count(*) FROM (SELECT city FROM patients UNION SELECT city FROM patients) u", "ZP003"),
        ("SELECT count(*) FROM (SELECT id, age FROM patients EXCEPT SELECT id, patient_id FROM visits) u", "ZP003"),
        ("SELECT count(*) FROM (SELECT id, 1 AS a FROM patients EXCEPT SELECT 1, patient_id FROM visits) u", "ZP003"),
        ("SELECT count(*) FROM (SELECT id FROM patients EXCEPT SELECT name FROM cities) u", "ZP003"),
        ("SELECT count(*) FROM (SELECT id FROM patients INTERSECT ALL SELECT patient_id FROM visits) u", "0A000"),
        ("SELECT count(*) FROM (SELECT id, age FROM patients UNION ALL SELECT id FROM patients) u", "0A000"),
        ("SELECT count(*) FROM (SELECT city FROM patients UNION ALL SELECT age FROM patients) u", "42804"),
        ("SELECT count(*) FROM patients a FULL JOIN patients b ON a.age = b.age", "ZP003"),
        ("SELECT count(*) FROM patients a FULL JOIN cities c ON c.name = a.city", "ZP003"),
        ("SELECT count(*) FROM cities c FULL JOIN patients a ON c.name = a.city", "ZP003"),
        ("SELECT avg(n) FROM (SELECT patient_id, sum(DISTINCT cost) AS n FROM visits GROUP BY 1) x", "0A000"),
        ("SELECT avg(n) FROM (SELECT patient_id, stddev(cost) AS n FROM visits GROUP BY 1) x", "0A000"),
        ("SELECT avg(n) FROM (SELECT patient_id, kind, count(*) AS n FROM visits GROUP BY 1) x", "42803"),
        ("SELECT avg(n) FROM (SELECT DISTINCT patient_id, count(*) AS n FROM visits GROUP BY 1) x", "0A000"),
        ("SELECT count(*) FROM (SELECT DISTINCT ON (kind) patient_id FROM visits) x", "0A000"),
        ("SELECT avg(n) FROM (SELECT patient_id, max(patient_id = 3) AS n FROM visits GROUP BY 1) x", "42804"),
        ("SELECT count(*) FROM patients WHERE id IN (SELECT patient_id, id FROM visits)", "42601"),
        ("SELECT count(*) FROM patients WHERE city IN (SELECT count(*) FROM cities GROUP BY region)", "42804"),
        ("SELECT count(*) FROM patients WHERE EXISTS (SELECT nothing FROM cities)", "42703"),
        ("SELECT m, count(*) FROM (SELECT max(patient_id) AS m, patient_id FROM visits GROUP BY 2) x GROUP BY m", "42501"),
        ("SELECT count(*) FROM (SELECT patient_id, sum(cost) FROM visits GROUP BY patient_id) x JOIN patients p ON p.id = x.sum", "ZP003"),
    ],
)  # fmt: skip
def test_forms_that_are_refused(sql, code):
    assert refusal(sql).code == code


def test_a_name_that_using_merged_is_ambiguous_beside_a_third():
    joined = (
        "FROM visits v JOIN visits w USING (patient_id)"
        " JOIN visits x ON x.patient_id = v.patient_id AND x.id = v.id"
    )
    assert refusal(f"SELECT count(patient_id) {joined}").code == "42702"
    assert analyze(f"SELECT count(v.patient_id) {joined}", catalog()).columns
    assert refusal(f"SELECT count(patient_id) FROM (SELECT * {joined}) s").code == "42702"


def test_two_rows_of_one_person_are_bounded_by_two():
    twice = "SELECT count(*) FROM (SELECT id FROM patients UNION ALL SELECT id FROM patients) u"
    (draw,) = analyze(twice, catalog()).draws
    assert draw.sensitivity.l1 == 2


@pytest.mark.parametrize(
    "inner, low, high",
    [
        ("count(*)", "1", "20"),
        ("count(cost)", "0", "20"),
        ("count(*) FILTER (WHERE cost > 5)", "0", "20"),
        ("count(DISTINCT kind)", "0", "20"),
        ("sum(cost)", "0", "200000"),
        ("sum(balance)", "-10000", "10000"),
        ("avg(balance)", "-500", "500"),
        ("max(cost)", "0", "10000"),
        ("least(count(*), 3)", "1", "3"),
        ("sum(least(greatest(cost, 5), 9))", "5", "180"),
    ],
)
def test_bounds_of_one_persons_aggregates(inner, low, high):
    sql = f"SELECT avg(x) FROM (SELECT patient_id, {inner} AS x FROM visits GROUP BY patient_id) s"
    assert f"Values of x are kept between {low} and {high}." in analyze(sql, catalog()).notices


def test_the_largest_bound_of_the_tables_counts():
    sql = (
        "SELECT avg(n) FROM (SELECT v.patient_id, count(*) AS n FROM items i"
        " JOIN visits v ON v.id = i.visit_id GROUP BY 1) s"
    )
    assert "Values of n are kept between 1 and 40." in analyze(sql, catalog()).notices
