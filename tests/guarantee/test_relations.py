"""Subqueries that group, unite and look up each person's own rows: one question for each form.

Each is replayed on all neighbours of databases where bounds bite, and held against what Postgres
answers where they do not.
"""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from analyzer import bind_conditions, bind_own, units
from analyzer.analyze import analyze
from analyzer.plan import PrivatePlan, QueryOptions
from analyzer.relation import Ownership, Union
from tests.guarantee import data
from tests.guarantee.conftest import Place
from tests.guarantee.replay import Replay, replay
from tests.guarantee.test_meaning import (
    _ASK,
    _WIDE,
    differences,
    direct,
    tame_places,
    without_noise,
)
from tests.released import changed

__all__ = ["tame_places"]

OWN = (
    (
        "SELECT avg(n), count(*) FROM (SELECT patient_id, count(*) AS n FROM visits"
        " WHERE patient_id IS NOT NULL GROUP BY patient_id) s"
    ),
    (
        "SELECT sum(s), avg(m), avg(LEAST(GREATEST(a, 0), 100)) FROM (SELECT patient_id,"
        " sum(cost) AS s, max(cost) AS m, avg(balance) AS a FROM visits GROUP BY patient_id) x"
    ),
    (
        "SELECT avg(d), sum(e) FROM (SELECT patient_id, count(DISTINCT diagnosis) AS d,"
        " count(score) FILTER (WHERE cost > 100) AS e FROM visits GROUP BY 1) x"
    ),
    (
        "SELECT sum(s), avg(m), avg(t) FROM (SELECT patient_id, sum(score) AS s, min(score) AS m,"
        " avg(score) AS t FROM visits GROUP BY patient_id) x"
    ),
    (
        "SELECT count(*) FROM (SELECT patient_id FROM visits WHERE patient_id IS NOT NULL"
        " GROUP BY patient_id HAVING count(*) > 2 AND max(kind) = 'remote') x"
    ),
    (
        "SELECT n, count(*) FROM (SELECT patient_id, LEAST(count(*), 4) AS n FROM visits"
        " WHERE patient_id IS NOT NULL GROUP BY patient_id) x GROUP BY n"
    ),
    (
        "SELECT n, count(*) FROM (SELECT patient_id, count(*) AS n FROM visits"
        " WHERE patient_id IS NOT NULL GROUP BY patient_id) x GROUP BY n"
    ),
    (
        "SELECT b, c, count(*) FROM (SELECT patient_id, bool_or(cost > 5000) AS b,"
        " bool_and(score > 0) AS c FROM visits WHERE patient_id IS NOT NULL GROUP BY patient_id) x"
        " GROUP BY b, c"
    ),
    (
        "SELECT k, count(*), avg(n) FROM (SELECT patient_id, kind AS k, count(*) AS n FROM visits"
        " WHERE patient_id IS NOT NULL GROUP BY patient_id, kind) x GROUP BY k"
    ),
    (
        "SELECT k, count(*) FROM (SELECT patient_id, min(kind) AS k, max(diagnosis) AS d FROM visits"
        " WHERE patient_id IS NOT NULL GROUP BY patient_id) x GROUP BY k"
    ),
    (
        "SELECT p.sex, avg(s.n), sum(s.n * p.age) FROM patients p JOIN (SELECT patient_id,"
        " count(*) AS n FROM visits GROUP BY patient_id) s ON s.patient_id = p.id GROUP BY p.sex"
    ),
    (
        "SELECT p.sex, avg(coalesce(s.n, 0)), count(*) FROM patients p LEFT JOIN (SELECT patient_id,"
        " count(*) AS n FROM visits GROUP BY patient_id) s ON s.patient_id = p.id GROUP BY p.sex"
    ),
    (
        "SELECT sex, avg(n) FROM (SELECT p.id, p.sex, count(v.id) AS n FROM patients p"
        " LEFT JOIN visits v ON v.patient_id = p.id GROUP BY p.id, p.sex) x GROUP BY sex"
    ),
    (
        "SELECT avg(n), avg(q) FROM (SELECT v.patient_id, count(*) AS n, sum(quantity) AS q"
        " FROM items i JOIN visits v ON i.visit_id = v.id WHERE v.patient_id IS NOT NULL"
        " GROUP BY v.patient_id) x"
    ),
    (
        "SELECT avg(LEAST(GREATEST(m - l, 0), 1000)) FROM (SELECT patient_id, max(id) AS m, min(id) AS l"
        " FROM visits GROUP BY patient_id) x"
    ),
    (
        "SELECT count(*) FROM (SELECT patient_id, max(visited_at) AS last, min(visited_at) AS first"
        " FROM visits WHERE patient_id IS NOT NULL GROUP BY patient_id) x WHERE last > first"
    ),
    (
        "SELECT count(*) FROM (SELECT patient_id, CAST(visited_at AS date) AS d, count(*) AS n"
        " FROM visits WHERE patient_id IS NOT NULL GROUP BY 1, 2) x WHERE n > 1"
    ),
    (
        "SELECT avg(m) FROM (SELECT patient_id, avg(n) AS m FROM (SELECT patient_id, kind,"
        " count(*) AS n FROM visits GROUP BY patient_id, kind) y GROUP BY patient_id) x"
    ),
    (
        "SELECT sum(LEAST(GREATEST(points, 0), 5)) FROM (SELECT id, sum(points) AS points,"
        " max(weight) AS w, sum(weight) AS ws, avg(points) AS ap FROM patients GROUP BY id) x"
    ),
    (
        "SELECT count(*) FROM (SELECT patient_id, balance, score FROM visits"
        " WHERE patient_id IS NOT NULL GROUP BY patient_id, balance, score) x WHERE balance < 10"
    ),
    (
        "SELECT count(*), sum(cost) FROM (SELECT DISTINCT patient_id, kind, cost FROM visits"
        " WHERE patient_id IS NOT NULL) x"
    ),
    (
        "SELECT diagnosis, count(*) FROM (SELECT DISTINCT patient_id, diagnosis FROM visits"
        " WHERE patient_id IS NOT NULL) x GROUP BY diagnosis"
    ),
    "SELECT count(*) FROM (SELECT DISTINCT * FROM patients) x",
    (
        "SELECT count(*) FROM patients p, (SELECT region, count(*) AS n FROM cities GROUP BY region) c"
        " WHERE c.n > 1"
    ),
    (
        "WITH s AS (SELECT patient_id AS who, sum(cost) AS total FROM visits GROUP BY patient_id)"
        " SELECT count(*) FROM s JOIN s AS t ON s.who = t.who WHERE s.total > 100"
    ),
)

UNIONS = (
    "SELECT count(*) FROM (SELECT id FROM patients UNION ALL SELECT id FROM patients) u",
    (
        "SELECT count(*), sum(c) FROM (SELECT patient_id, cost AS c FROM visits"
        " WHERE patient_id IS NOT NULL UNION ALL SELECT id, age FROM patients) u"
    ),
    (
        "SELECT what, count(*) FROM (SELECT patient_id AS who, 'visit' AS what FROM visits"
        " WHERE patient_id IS NOT NULL UNION ALL SELECT patient_id, 'profile' FROM profiles"
        " UNION ALL SELECT id, NULL FROM patients) u GROUP BY what"
    ),
    (
        "SELECT u.k, count(*), avg(u.x) FROM (SELECT patient_id AS who, kind AS k, score AS x"
        " FROM visits WHERE patient_id IS NOT NULL UNION ALL SELECT patient_id, 'planned', level"
        " FROM profiles WHERE level < 1) u GROUP BY u.k"
    ),
    (
        "SELECT count(*) FROM (SELECT id FROM patients UNION ALL SELECT patient_id FROM profiles) u"
        " JOIN patients p ON p.id = u.id"
    ),
    (
        "SELECT avg(n) FROM (SELECT who, count(*) AS n FROM (SELECT patient_id AS who FROM visits"
        " WHERE patient_id IS NOT NULL UNION ALL SELECT patient_id FROM profiles) u GROUP BY who) x"
    ),
    (
        "SELECT count(*) FROM (SELECT id FROM patients UNION ALL (SELECT patient_id FROM profiles"
        " UNION ALL SELECT id FROM patients WHERE age > 50)) u"
    ),
    (
        "SELECT count(*) FROM patients p JOIN (SELECT name FROM cities UNION ALL SELECT name"
        " FROM regions) c ON c.name = p.city"
    ),
    (
        "WITH u AS (SELECT id AS who, city FROM patients UNION ALL SELECT patient_id, diagnosis"
        " FROM visits WHERE patient_id IS NOT NULL) SELECT city, count(*) FROM u GROUP BY city"
    ),
)

LOOKUPS = (
    (
        "SELECT count(*) FROM patients p WHERE EXISTS (SELECT 1 FROM visits v"
        " WHERE v.patient_id = p.id AND v.cost > 5000)"
    ),
    (
        "SELECT count(*), avg(age) FROM patients p WHERE NOT EXISTS (SELECT * FROM visits v"
        " WHERE p.id = v.patient_id AND v.kind = 'remote')"
    ),
    "SELECT count(*) FROM patients WHERE id IN (SELECT patient_id FROM visits WHERE cost > 100)",
    (
        "SELECT count(*) FROM patients WHERE id NOT IN (SELECT patient_id FROM visits"
        " WHERE cost > 100 AND patient_id IS NOT NULL)"
    ),
    (
        "SELECT kind, count(*), sum(cost) FROM visits v WHERE v.patient_id IS NOT NULL AND EXISTS"
        " (SELECT 1 FROM visits w WHERE w.patient_id = v.patient_id AND w.id <> v.id"
        " AND w.visited_at < v.visited_at) GROUP BY kind"
    ),
    "SELECT count(*) FROM visits v WHERE patient_id IN (SELECT id FROM patients WHERE age > 50)",
    (
        "SELECT count(*) FROM visits v WHERE EXISTS (SELECT 1 FROM items i WHERE i.visit_id = v.id"
        " AND i.quantity > 3) AND v.patient_id IS NOT NULL"
    ),
    (
        "SELECT count(*) FROM items i JOIN visits v ON i.visit_id = v.id WHERE v.patient_id IS NOT NULL"
        " AND EXISTS (SELECT 1 FROM patients p WHERE p.id = v.patient_id AND p.active)"
    ),
    (
        "SELECT EXISTS (SELECT 1 FROM visits v WHERE v.patient_id = p.id AND v.cost > 5000) AS rich,"
        " count(*) FROM patients p GROUP BY rich"
    ),
    (
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM visits v WHERE v.patient_id = p.id) THEN 'yes'"
        " ELSE 'no' END AS seen, count(*) FROM patients p GROUP BY 1"
    ),
    (
        "SELECT count(*) FILTER (WHERE EXISTS (SELECT 1 FROM visits v WHERE v.patient_id = p.id)),"
        " sum(CASE WHEN id IN (SELECT patient_id FROM visits) THEN age END) FROM patients p"
    ),
    "SELECT count(*) FROM patients WHERE city IN (SELECT name FROM cities WHERE region = 'east')",
    "SELECT count(*) FROM patients WHERE city NOT IN (SELECT name FROM cities)",
    (
        "SELECT count(*) FROM patients p WHERE EXISTS (SELECT 1 FROM cities c WHERE c.name = p.city"
        " AND c.region = 'north')"
    ),
    "SELECT count(*) FROM patients WHERE EXISTS (SELECT 1 FROM cities WHERE region = 'nowhere')",
    (
        "SELECT count(*) FROM patients p WHERE EXISTS (SELECT 1 FROM visits v JOIN items i"
        " ON i.visit_id = v.id WHERE v.patient_id = p.id AND i.label = 'item 1')"
    ),
    (
        "SELECT count(*) FROM patients p WHERE EXISTS (SELECT 1 FROM visits v WHERE v.patient_id = p.id"
        " AND EXISTS (SELECT 1 FROM visits w WHERE w.patient_id = v.patient_id AND w.cost > v.cost"
        " AND w.cost > p.age))"
    ),
    (
        "SELECT count(*) FROM patients p WHERE id IN (SELECT patient_id FROM visits"
        " GROUP BY patient_id HAVING count(*) > 2)"
    ),
    (
        "SELECT count(*) FROM patients p LEFT JOIN visits v ON v.patient_id = p.id AND EXISTS"
        " (SELECT 1 FROM profiles f WHERE f.patient_id = v.patient_id AND f.grade > 1)"
    ),
    (
        "SELECT count(*) FROM patients p LEFT JOIN visits v ON v.patient_id = p.id AND v.cost > 50"
        " WHERE v.patient_id IN (SELECT id FROM patients WHERE age > 50)"
    ),
    (
        "SELECT f.grade, count(*) FROM visits x LEFT JOIN profiles f ON f.patient_id = x.patient_id"
        " AND EXISTS (SELECT 1 FROM visits w WHERE w.patient_id = x.patient_id AND w.cost > x.cost)"
        " WHERE x.patient_id IS NOT NULL GROUP BY f.grade"
    ),
)

PATHS = (
    "SELECT count(*) FROM visits v RIGHT JOIN profiles p USING (patient_id)",
    (
        "SELECT count(*), count(v.id) FROM visits v RIGHT JOIN profiles p USING (patient_id)"
        " WHERE patient_id > 3"
    ),
    (
        "SELECT count(*) FROM profiles p LEFT JOIN visits v USING (patient_id) JOIN patients q"
        " ON q.id = p.patient_id WHERE patient_id < 8"
    ),
    (
        "SELECT count(*) FROM items i JOIN visits v ON i.visit_id = v.id JOIN visits w"
        " ON w.patient_id = v.patient_id WHERE v.patient_id IS NOT NULL"
    ),
    (
        "SELECT count(*) FROM items i JOIN items j ON i.visit_id = j.visit_id JOIN visits v"
        " ON v.id = i.visit_id WHERE v.patient_id IS NOT NULL"
    ),
    (
        "SELECT count(*) FROM patients p, visits v, items i WHERE v.patient_id = p.id"
        " AND i.visit_id = v.id"
    ),
    (
        "SELECT count(*) FROM visits v LEFT JOIN items i ON i.visit_id = v.id"
        " WHERE v.patient_id IS NOT NULL"
    ),
    (
        "SELECT count(*), sum(n.words) FROM notes n JOIN profiles f ON n.profile_id = f.id"
        " LEFT JOIN visits v ON v.patient_id = f.patient_id"
    ),
    (
        "SELECT c.region, count(*) FROM cities c CROSS JOIN patients p WHERE c.name = p.city"
        " GROUP BY c.region"
    ),
)

ALL = (*OWN, *UNIONS, *LOOKUPS, *PATHS)


@pytest.mark.parametrize("sql", ALL)
def test_one_person_changes_no_more_than_is_declared(sql: str, wild_places: list[Place]) -> None:
    for options in (QueryOptions(), QueryOptions(max_rows_contributed=2, max_groups_contributed=1)):
        plan = analyze(sql, data.catalog(), options=options)
        found = [text for source, people in wild_places for text in replay(plan, source, people)]
        assert not found


@pytest.mark.parametrize("sql", ALL)
def test_answers_mean_what_postgres_means(
    sql: str, tame_places: list[Replay], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = analyze(sql, data.catalog(), options=_WIDE, ask=_ASK)
    for source in tame_places:
        try:
            theirs = direct(sql, source)
        except psycopg.errors.DivisionByZero:
            continue
        assert not differences(sql, plan, without_noise(plan, source, monkeypatch), theirs)


# Planted bugs, each in the one place that keeps it out, and each seen by replay.


def _found(sql: str, places: list[Place]) -> list[str]:
    plan = analyze(sql, data.catalog())
    return [text for source, people in places for text in replay(plan, source, people)]


def tampered(plan: PrivatePlan, old: str, new: str) -> PrivatePlan:
    exact = plan.blocks[0].exact
    assert old in exact.sql, f"{old!r} is not in\n{exact.sql}"
    return changed(plan, exact=replace(exact, sql=exact.sql.replace(old, new)))


def test_a_group_without_its_owner_is_found(wild_places: list[Place]) -> None:
    sql = (
        "SELECT count(*) FROM (SELECT patient_id, kind, score FROM visits"
        " GROUP BY patient_id, kind, score HAVING count(*) < 3) x"
    )
    plan = analyze(sql, data.catalog(), options=QueryOptions(max_rows_contributed=1))
    for old, new in (
        ('GROUP BY t2.owner, t2."c1", ', "GROUP BY "),
        ("t2.owner AS owner", "min(t2.owner) AS owner"),
        ('t2."c1" AS k1', 'min(t2."c1") AS k1'),
    ):
        plan = tampered(plan, old, new)
    found = [text for source, people in wild_places for text in replay(plan, source, people)]
    assert any("L1 distance" in text for text in found)


def test_several_groups_of_a_person_taken_for_one_are_found(
    wild_places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = "SELECT count(*) FROM (SELECT DISTINCT patient_id, kind FROM visits) x"
    assert not _found(sql, wild_places)
    monkeypatch.setattr(bind_own.OwnBinder, "_grouped_rows", lambda _: 1)
    assert any("L1 distance" in text for text in _found(sql, wild_places))


def test_parts_of_a_union_counted_once_are_found(
    wild_places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = "SELECT count(*) FROM (SELECT id FROM patients UNION ALL SELECT id FROM patients) u"
    assert not _found(sql, wild_places)
    of = units._Owners.of

    def once(self, relation, known):
        owned = of(self, relation, known)
        return Ownership(owned.owner, 1) if isinstance(relation, Union) else owned

    monkeypatch.setattr(units._Owners, "of", once)
    assert any("L1 distance 2 > 1" in text for text in _found(sql, wild_places))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM patients p WHERE EXISTS (SELECT 1 FROM visits v WHERE v.id < 1001)",
        "SELECT count(*) FROM patients p WHERE EXISTS (SELECT 1 FROM visits v WHERE v.id = p.age + 1000)",
    ],
)
def test_a_lookup_in_rows_of_others_is_found(
    sql: str, wild_places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bind_conditions, "same_owner", lambda *_: True)
    assert any("L1 distance" in text for text in _found(sql, wild_places))


def test_a_list_of_what_is_no_owner_is_found(
    wild_places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = "SELECT count(*) FROM patients WHERE id IN (SELECT grade FROM profiles)"
    monkeypatch.setattr(bind_conditions, "owner_places", lambda r: {(r.alias, "c0")})
    assert any("L1 distance" in text for text in _found(sql, wild_places))
