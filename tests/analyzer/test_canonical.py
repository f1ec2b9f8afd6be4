"""Equal meaning, equal digest: random rewritings of a query are one release, mutations are others."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import pytest

from analyzer.analyze import analyze
from analyzer.catalog import Given
from analyzer.plan import PrivatePlan
from tests.fixture import catalog

CONDITIONS: tuple[tuple[str, ...], ...] = (
    ("age > 30", "30 < age", "age > 30.0", "(age) > ((30))", "age > '30'"),
    ("bmi <= 27.5", "27.50 >= bmi", "bmi <= 27.500"),
    ("sex = 'female'", "'female' = sex", "sex IN ('female')"),
    ("active", "(active)", "active AND active"),
    ("age BETWEEN 20 AND 60", "age <= 60 AND age >= 20", "20 <= age AND NOT age > 60"),
    ("weight + bmi < 100", "100 > bmi + weight", "(bmi + weight) < 100"),
    ("(age = 1 OR active)", "(active OR 1 = age)", "((active) OR age = 1 OR active)"),
    ("NOT (age > 50)", "age <= 50", "50 >= age", "NOT NOT 50 >= age", "NOT 50 < age"),
    ("NOT (weight < bmi)", "weight >= bmi", "NOT bmi > weight"),
    (
        "NOT (age > 70 OR active)",
        "age <= 70 AND NOT active",
        "NOT active AND NOT (age > 70 OR active)",
    ),
    ("age NOT BETWEEN 30 AND 40", "(age < 30 OR age > 40)", "NOT (age >= 30 AND 40 >= age)"),
    (
        "zip NOT IN ('a', 'b')",
        "zip <> 'b' AND 'a' <> zip",
        "NOT (zip = 'a' OR zip = 'b')",
        "zip <> ALL (ARRAY['b', 'a'])",
        "NOT zip = ANY ('{a,b}'::text[])",
    ),
    ("name IS NOT NULL", "NOT name IS NULL", "NOT (NOT (name IS NOT NULL))"),
    ("city IS DISTINCT FROM zip", "NOT (zip IS NOT DISTINCT FROM city)"),
    ("points = 3", "COALESCE(points, points) = 3", "3 = COALESCE(points)"),
    ("COALESCE(age, 0) > 30.5", "COALESCE(age, 0, age) > 30.5"),
    (
        "city IN ('Oslo', 'Bodo')",
        "city IN ('Bodo', 'Oslo')",
        "(city = 'Bodo' OR 'Oslo' = city)",
        "city = ANY ('{Oslo, Bodo}')",
        "city = SOME (ARRAY['Bodo', 'Oslo']::varchar[])",
    ),
    (
        "EXISTS (SELECT 1 FROM visits v WHERE v.patient_id = p.id AND v.cost > 5)",
        "EXISTS (SELECT 2 FROM visits AS w WHERE 5 < w.cost AND p.id = w.patient_id)",
    ),
    (
        "EXISTS (SELECT 1 FROM visits x WHERE x.patient_id = p.id AND x.kind = 'planned')",
        "EXISTS (SELECT 1 FROM visits WHERE 'planned' = visits.kind AND visits.patient_id = p.id)",
    ),
)
"""Each line is one condition in several notations."""
# Said twice is a condition more where others stand beside it in one notation and not in the other.
PLAIN = tuple(
    tuple(form for form in forms if "active AND active" not in form) for forms in CONDITIONS
)
NUMBERS = (
    ("count(*)", "COUNT( * )", "count(*) AS n", "2 * count(*)", "count(*) / 3.0 AS third"),
    ("sum(age * weight)", "SUM(weight * age)", "sum(p.age * p.weight) AS s", "-sum(weight * age)"),
    ("avg(bmi)", "avg(p.bmi) + 1", "round(avg(bmi), 1) AS mean"),
    ("max(age)", "max(p.age) AS oldest"),
)
KEYS = (("sex", "p.sex"), ("active", "p.active"), ("age / 10", "(p.age) / 10"))
ENDS = (
    "",
    " ORDER BY count(*) DESC",
    " LIMIT 3",
    " HAVING count(*) > 5",
    " ORDER BY 1 OFFSET 1",
)


@dataclass(frozen=True)
class Query:
    """Which conditions, numbers and keys: what the query means."""

    conditions: frozenset[int]
    numbers: frozenset[int]
    keys: frozenset[int]

    def written(self, chance: random.Random) -> str:
        """In some notation, in some order, and with something done to the noisy numbers."""

        def some(kinds: tuple[tuple[str, ...], ...], chosen: frozenset[int]) -> list[str]:
            found = [chance.choice(kinds[i]) for i in chosen]
            chance.shuffle(found)
            return found

        keys = some(KEYS, self.keys)
        shown = [*some(NUMBERS, self.numbers), *keys]
        chance.shuffle(shown)
        conditions = some(PLAIN, self.conditions)
        text = f"SELECT {', '.join(shown)} FROM patients {chance.choice(('p', 'AS p'))}"
        text += f" WHERE {' AND '.join(conditions)}" if conditions else ""
        by = list(keys)
        chance.shuffle(by)
        text += f" GROUP BY {', '.join(by)}" if by else ""
        text += chance.choice(ENDS) if 0 in self.numbers and by else ""
        space = chance.choice((" ", "\n  ", "\t"))
        return space.join(text.split(" ")) if "'" not in text else text


def some_query(chance: random.Random) -> Query:
    def subset(size: int, least: int) -> frozenset[int]:
        return frozenset(chance.sample(range(size), chance.randint(least, size)))

    return Query(subset(len(PLAIN), 0), subset(len(NUMBERS), 1), subset(len(KEYS), 0))


def plan_of(sql: str, parameters: tuple[Given, ...] = ()) -> PrivatePlan:
    return analyze(sql, catalog(), parameters=parameters)


@pytest.mark.parametrize(
    "seed", [*range(12), *(pytest.param(s, marks=pytest.mark.slow) for s in range(12, 60))]
)
def test_rewritings_are_one_release_and_other_meanings_are_others(seed: int) -> None:
    chance = random.Random(seed)
    query = some_query(chance)
    texts = [query.written(chance) for _ in range(6)]
    plans = [plan_of(text) for text in texts]
    assert {plan.digest for plan in plans} == {plans[0].digest}, texts
    assert {plan.question for plan in plans} == {plans[0].question}
    other = some_query(chance)
    if other != query:
        found = plan_of(other.written(chance))
        assert found.digest != plans[0].digest
        assert found.question != plans[0].question


def words(sql: str) -> str:
    return plan_of(sql).digest


@pytest.mark.parametrize("forms", CONDITIONS, ids=lambda forms: forms[0])
def test_one_condition_in_several_notations(forms: tuple[str, ...]) -> None:
    found = {words(f"SELECT count(*) FROM patients p WHERE {form}") for form in forms}
    assert len(found) == 1


QUERIES: tuple[tuple[str, ...], ...] = (
    (
        "SELECT p.sex, avg(v.cost) FROM visits v JOIN patients p ON p.id = v.patient_id GROUP BY 1",
        "SELECT x.sex, avg(y.cost) FROM patients x JOIN visits y ON y.patient_id = x.id GROUP BY 1",
        "SELECT p.sex, avg(v.cost) FROM patients p, visits v WHERE v.patient_id = p.id GROUP BY 1",
        "SELECT p.sex, avg(v.cost) FROM visits v CROSS JOIN patients p WHERE p.id = v.patient_id GROUP BY p.sex",
    ),
    (
        "SELECT count(*) FROM patients p JOIN cities c ON c.name = p.city AND c.region = 'north'",
        "SELECT count(*) FROM cities c JOIN patients p ON c.name = p.city WHERE c.region = 'north'",
        "SELECT count(*) FROM cities c, patients q WHERE 'north' = region AND q.city = c.name",
    ),
    (
        "SELECT p.sex, sum(i.quantity) FROM items i JOIN visits v ON i.visit_id = v.id JOIN patients p ON p.id = v.patient_id GROUP BY p.sex",
        "SELECT p.sex, sum(i.quantity) FROM items i, visits v, patients p WHERE i.visit_id = v.id AND p.id = v.patient_id GROUP BY p.sex",
    ),
    (
        "SELECT p.sex, sum(i.quantity) FROM patients p JOIN visits v ON p.id = v.patient_id JOIN items i ON i.visit_id = v.id GROUP BY p.sex",
        "SELECT p.sex, sum(i.quantity) FROM visits v, patients p, items i WHERE i.visit_id = v.id AND p.id = v.patient_id GROUP BY p.sex",
    ),
    (
        "SELECT count(*) FROM patients p JOIN cities c ON c.name = p.city LEFT JOIN visits v ON v.patient_id = p.id AND v.cost > 5",
        "SELECT count(*) FROM cities c JOIN patients p ON c.name = p.city LEFT JOIN visits v ON v.cost > 5 AND v.patient_id = p.id",
    ),
    (
        "SELECT count(*) FROM (SELECT p.id, v.cost FROM patients p JOIN visits v ON v.patient_id = p.id) q WHERE q.cost > 3",
        "SELECT count(*) FROM (SELECT p.id, v.cost FROM visits v, patients p WHERE v.patient_id = p.id) r WHERE 3 < r.cost",
    ),
    (
        "SELECT count(*) FROM patients p WHERE EXISTS (SELECT 1 FROM visits v, items i WHERE i.visit_id = v.id AND v.patient_id = p.id)",
        "SELECT count(*) FROM patients p WHERE EXISTS (SELECT 1 FROM items i JOIN visits v ON v.id = i.visit_id WHERE v.patient_id = p.id)",
    ),
    (
        "SELECT avg(q.cost) FROM (SELECT v.kind, v.cost, p.id, p.age FROM patients p JOIN visits v ON v.patient_id = p.id) q WHERE q.age > 3 AND q.kind = 'planned'",
        "SELECT avg(r.cost) FROM (SELECT p.age, p.id, v.kind, v.cost FROM visits v JOIN patients p ON v.patient_id = p.id) r WHERE r.kind = 'planned' AND r.age > 3",
    ),
    (
        "SELECT count(*), avg(q.s) FROM (SELECT patient_id, kind, count(*) AS n, sum(cost) AS s FROM visits GROUP BY patient_id, kind) q WHERE q.n > 1 AND q.kind = 'remote'",
        "SELECT avg(s), count(*) FROM (SELECT sum(w.cost) AS s, w.kind, count(*) AS m, w.patient_id FROM visits w GROUP BY w.kind, w.patient_id) r WHERE r.kind = 'remote' AND 1 < r.m",
    ),
    (
        "WITH a AS (SELECT count(*) AS n FROM patients), b AS (SELECT sum(cost) AS s FROM visits) SELECT s / n FROM a, b",
        "WITH b AS (SELECT sum(cost) AS s FROM visits), a AS (SELECT count(*) AS n FROM patients) SELECT n, s FROM b, a",
        "SELECT (SELECT sum(cost) FROM visits) / (SELECT count(*) FROM patients)",
    ),
    (
        "SELECT 'all', count(*) FROM patients UNION ALL SELECT 'old', count(*) FROM patients WHERE age > 80",
        "SELECT count(*) FROM patients WHERE age > 80 UNION ALL SELECT count(*) FROM patients",
    ),
)
"""Each line is one question in several notations."""


@pytest.mark.parametrize("forms", QUERIES, ids=lambda forms: forms[0])
def test_one_query_in_several_notations(forms: tuple[str, ...]) -> None:
    assert len({words(form) for form in forms}) == 1


MUTATIONS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("the other way round", lambda sql: sql.replace("age > 30", "age < 30")),
    ("with the end", lambda sql: sql.replace("age > 30", "age >= 30")),
    ("another number", lambda sql: sql.replace("30", "31")),
    ("OR for AND", lambda sql: sql.replace(" AND ", " OR ")),
    ("without a condition", lambda sql: sql.replace(" AND bmi - weight < 3", "")),
    ("sides of a difference", lambda sql: sql.replace("bmi - weight", "weight - bmi")),
    ("another column", lambda sql: sql.replace("sum(age)", "sum(bmi)")),
    ("another aggregate", lambda sql: sql.replace("sum(age)", "avg(age)")),
    ("one aggregate more", lambda sql: sql.replace("sum(age)", "sum(age), count(*)")),
    ("another key", lambda sql: sql.replace("sex", "active")),
    ("without the key", lambda sql: sql.replace("sex, ", "").replace(" GROUP BY sex", "")),
    ("other bounds", lambda sql: sql.replace("sum(age)", "sum(least(age, 90))")),
    ("NOT", lambda sql: sql.replace("age > 30", "NOT age > 30")),
)


@pytest.mark.parametrize("change", [m[1] for m in MUTATIONS], ids=[m[0] for m in MUTATIONS])
def test_another_meaning_is_another_question(change: Callable[[str], str]) -> None:
    sql = "SELECT sex, sum(age) FROM patients WHERE age > 30 AND bmi - weight < 3 GROUP BY sex"
    assert change(sql) != sql
    assert plan_of(change(sql)).question != plan_of(sql).question


def test_an_array_is_its_elements() -> None:
    written = words("SELECT count(*) FROM patients WHERE age IN (30, 40)")
    sql = "SELECT count(*) FROM patients WHERE age = ANY ($1)"
    for value in ((30, 40), (40, 30), ("30", "40"), "{30,40}", (Decimal("30.0"), 40)):
        assert plan_of(sql, (value,)).digest == written
    assert plan_of(sql, ((30, 41),)).digest != written


def test_a_parameter_is_its_value() -> None:
    written = words("SELECT count(*) FROM patients WHERE age > 30 AND name = 'x'")
    sql = "SELECT count(*) FROM patients WHERE name = $2 AND $1 < age"
    assert analyze(sql, catalog(), parameters=(30, "x")).digest == written
    assert analyze(sql, catalog(), parameters=(Decimal("30.0"), "x")).digest == written
    assert analyze(sql, catalog(), parameters=(30, "y")).digest != written


def test_less_noise_is_the_same_question_and_another_release() -> None:
    from fractions import Fraction

    from analyzer.asks import RhoAsk

    sql = "SELECT count(*) FROM patients"
    one, other = (
        analyze(sql, catalog(), ask=RhoAsk(Fraction(rho), Fraction(1, 10**9)))
        for rho in ("0.001", "0.002")
    )
    assert one.question == other.question
    assert one.digest != other.digest


def test_a_value_cannot_look_like_a_mark() -> None:
    """Texts are compared with their parameters in them, between control characters."""
    for text in ("\x02'a'\x02", "\x01t0001\x01", "a\x02", "' \x01 '"):
        plan = analyze(
            "SELECT count(*) FROM patients WHERE name = $1", catalog(), parameters=(text,)
        )
        (block,) = plan.blocks
        assert block.exact.parameters == (text,)
        assert not {"\x01", "\x02"} & set(block.exact.sql + plan.finish.sql)


def test_rows_come_in_the_order_of_the_query_s_keys() -> None:
    """Whatever order the keys were published in."""
    plan = plan_of("SELECT sex, active, count(*) FROM patients GROUP BY sex, active")
    assert [t.value for t in plan.blocks[0].key_types] == ["boolean", "text"]
    assert 'ORDER BY j.k1 COLLATE "C", j.k0' in plan.finish.sql
