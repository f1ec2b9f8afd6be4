"""Joins that multiply rows without end are refused; those that find one row are no growth."""

from __future__ import annotations

import pytest

from analyzer.analyze import analyze
from analyzer.refusals import TooComplex
from tests.fixture import catalog

V = "JOIN visits {0} ON {0}.patient_id = v.patient_id"

TWICE = (
    "SELECT count(*) FROM visits v JOIN visits w USING (patient_id)",
    "SELECT count(*) FROM patients p, cities c, cities d",
    "SELECT count(*) FROM visits v, cities c",
    # Whatever finds one row multiplies nothing.
    (
        "SELECT count(*) FROM items i JOIN visits v ON i.visit_id = v.id JOIN patients p"
        " ON p.id = v.patient_id JOIN cities c ON c.name = p.city"
    ),
    (
        "SELECT count(*) FROM visits v JOIN visits w USING (patient_id) JOIN patients p"
        " ON p.id = w.patient_id JOIN cities c ON c.name = p.city JOIN cities d ON d.name = 'Oslo'"
    ),
    (
        "SELECT count(*) FROM visits v JOIN visits w USING (patient_id) LEFT JOIN cities c"
        " ON c.name = v.diagnosis"
    ),
    (
        "SELECT count(*) FROM patients p, cities c, cities d, cities e"
        " WHERE c.name = d.name AND d.name = e.name"
    ),
    # One row a person from each subquery.
    (
        "SELECT count(*) FROM visits v JOIN visits w USING (patient_id)"
        " JOIN (SELECT patient_id AS a, count(*) AS n FROM visits GROUP BY patient_id) x"
        " ON x.a = v.patient_id"
    ),
    (
        "SELECT count(*) FROM visits v WHERE EXISTS"
        " (SELECT 1 FROM items i WHERE i.visit_id = v.id AND i.quantity > v.cost)"
    ),
    (
        "SELECT count(*) FROM visits v JOIN visits w USING (patient_id) WHERE EXISTS"
        " (SELECT 1 FROM patients p WHERE p.id = v.patient_id)"
    ),
    (
        "SELECT count(*) FROM visits v WHERE EXISTS (SELECT 1 FROM patients p"
        " WHERE p.id = v.patient_id AND EXISTS (SELECT 1 FROM items i JOIN visits w"
        " ON i.visit_id = w.id WHERE w.patient_id = p.id))"
    ),
    # One after another is not one inside the other.
    (
        "SELECT count(*) FROM visits v WHERE EXISTS"
        " (SELECT 1 FROM items i WHERE i.visit_id = v.id AND i.quantity > 3) AND NOT EXISTS"
        " (SELECT 1 FROM items i WHERE i.visit_id = v.id AND i.quantity < 3)"
    ),
    (
        "SELECT count(*) FROM (SELECT patient_id FROM visits UNION ALL SELECT patient_id FROM visits"
        " UNION ALL SELECT id FROM patients) u JOIN visits v ON v.patient_id = u.patient_id"
    ),
)
THRICE = (
    f"SELECT count(*) FROM visits v {V.format('a')} {V.format('b')}",
    f"SELECT count(*) FROM visits v {V.format('a')} LEFT {V.format('b')}",
    "SELECT count(*) FROM patients p, cities c, cities d, cities e",
    (
        "SELECT count(*) FROM visits v WHERE EXISTS (SELECT 1 FROM patients p"
        " WHERE p.id = v.patient_id AND EXISTS (SELECT 1 FROM visits w"
        " JOIN visits x USING (patient_id) WHERE w.patient_id = p.id))"
    ),
    "SELECT count(*) FROM patients p, cities c, cities d, cities e WHERE c.region = d.name || e.name",
    # The condition of a left join fixes its own side only, and WHERE nothing of it.
    (
        "SELECT count(*) FROM visits v JOIN visits w USING (patient_id) LEFT JOIN cities c"
        " ON c.region = v.kind WHERE c.name = v.kind"
    ),
    (
        f"SELECT count(*) FROM (SELECT v.patient_id FROM visits v {V.format('a')}) x JOIN visits w"
        " ON w.patient_id = x.patient_id"
    ),
    (
        f"SELECT avg(n) FROM (SELECT v.patient_id, count(*) AS n FROM visits v {V.format('a')}"
        f" {V.format('b')} GROUP BY v.patient_id) x"
    ),
    (
        f"SELECT count(*) FROM visits v {V.format('a')} WHERE EXISTS"
        " (SELECT 1 FROM visits w WHERE w.patient_id = v.patient_id AND w.cost > a.cost)"
    ),
    (
        "SELECT count(*) FROM visits v WHERE EXISTS (SELECT 1 FROM visits w WHERE"
        " w.patient_id = v.patient_id AND EXISTS (SELECT 1 FROM visits x WHERE"
        " x.patient_id = w.patient_id AND x.cost + w.cost + v.cost < 0))"
    ),
    # One group is found for a row, and is made of very many.
    (
        f"SELECT count(*) FROM patients p WHERE EXISTS (SELECT 1 FROM (SELECT v.patient_id AS q"
        f" FROM visits v {V.format('a')} {V.format('b')} GROUP BY v.patient_id) g WHERE g.q = p.id)"
    ),
    (
        f"SELECT count(*) FROM patients p WHERE"
        f" (SELECT count(*) FROM visits v {V.format('a')} {V.format('b')} WHERE v.patient_id = p.id) > 9"
    ),
    (
        f"SELECT count(*) FILTER (WHERE EXISTS (SELECT 1 FROM visits v {V.format('a')} {V.format('b')}"
        " WHERE v.patient_id = p.id)) FROM patients p"
    ),
    (
        "SELECT count(*) FROM patients WHERE city IN"
        " (SELECT c.name FROM cities c, cities d, cities e, cities f)"
    ),
    (
        f"SELECT count(*) FROM (SELECT patient_id FROM visits UNION ALL SELECT v.patient_id FROM visits v"
        f" {V.format('a')} {V.format('b')}) u"
    ),
)


@pytest.mark.parametrize("sql", TWICE)
def test_what_grows_twice_at_most_is_answered(sql: str) -> None:
    assert analyze(sql, catalog()).columns


@pytest.mark.parametrize("sql", THRICE)
def test_what_grows_more_is_refused(sql: str) -> None:
    with pytest.raises(TooComplex, match="multiply"):
        analyze(sql, catalog())
