"""Defects of other projects, each as a test that would have found it here.

The numbers are those of our study of peers: fourteen that were found by running them, then some from
their trackers. What the corpus already tries is tried once more here, in the words of the defect.
"""

from __future__ import annotations

import statistics
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from accountant.events import GaussianEvent, LaplaceEvent, ThresholdEvent
from accountant.losses import rho_to_epsilon
from analyzer.analyze import analyze
from analyzer.asks import EpsilonAsk
from analyzer.plan import PrivatePlan, QueryOptions
from mechanisms.calibration import Noise, NoiseKind
from mechanisms.noise import add_noise
from mechanisms.thresholds import show_key, threshold_delta
from server import releases
from tests import fixture
from tests.guarantee.attacks.conftest import D
from tests.guarantee.attacks.test_attacks import CATALOG
from tests.guarantee.attacks.test_ledger import COUNT, ONE
from tests.guarantee.attacks.world import World, as_small
from tests.guarantee.conftest import Place
from tests.guarantee.data import build
from tests.guarantee.replay import Replay, replay
from tests.postgres import Postgres
from tests.released import assembled, publish

MANY = QueryOptions(max_rows_contributed=1_000_000, max_groups_contributed=1_000_000)
"""Bounds that no person of a small clinic reaches, so that answers mean what plain SQL means."""


def plan(sql: str, options: QueryOptions | None = None, epsilon: str = "1") -> PrivatePlan:
    return analyze(
        sql, CATALOG, ask=EpsilonAsk(Fraction(epsilon), Fraction(1, 10**7)), options=options
    )


@pytest.fixture(scope="module")
def plain_place(postgres: Postgres) -> Replay:
    """D as it is: every value lies within its bounds."""
    uri = postgres.fresh()
    build(uri, as_small(D))
    return Replay(uri)


def in_postgres(sql: str, source: Replay) -> list[tuple[Any, ...]]:
    """What plain SQL gives; the replay's session knows no schema but ``pg_catalog``."""
    return source.execute(sql.replace("FROM ", "FROM public."))


def without_noise(
    sql: str, source: Replay, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[Any, ...]]:
    """The whole road with noise of nothing."""
    found = plan(sql, MANY)
    monkeypatch.setattr(releases, "add_noise", lambda values, _: list(values))
    noisy = publish(found, *source.exact(found))
    return list(releases.answer(found, source.run(found.finish, noisy)).rows)


# 1: a column that is both grouped and summed is not clamped.


@pytest.mark.parametrize(
    "sql,l1",
    [
        ("SELECT quantity, sum(quantity) FROM items GROUP BY quantity", 40 * 10),
        ("SELECT age, sum(age) FROM patients GROUP BY age", 120),
        ("SELECT balance, sum(balance) FROM visits GROUP BY balance", 20 * 500),
        ("SELECT cost > 5, sum(cost) FROM visits GROUP BY 1", 20 * 10_000),
    ],
)
def test_1_a_grouped_column_is_clamped_where_it_is_summed(
    clinic_place: Place, sql: str, l1: int
) -> None:
    source, people = clinic_place
    found = plan(sql)
    (draw,) = [one for one in found.draws if one.label.startswith("sum")]
    assert draw.sensitivity.l1 * draw.tick == l1
    assert replay(found, source, people) == []


# 2: an error is a free membership test.


@pytest.mark.parametrize(
    "where",
    [
        "1 / (id - 7) < 2",
        "exp(CASE WHEN id = 7 THEN 10000 ELSE 0 END) > 0",
        "ln(abs(id - 7)) > 0",
        "CAST(CASE WHEN id = 7 THEN 'x' ELSE '1' END AS integer) = 1",
        "CAST(CASE WHEN id = 7 THEN 10000000000 ELSE 1 END AS integer) = 1",
        "sqrt(6 - id) > 1",
        "born + CASE WHEN id = 7 THEN 1000000000 ELSE 0 END > '2000-01-01'",
    ],
)
def test_2_no_row_can_fail_a_query(world: World, where: str) -> None:
    told, charged = set(), set()
    for clinic in ("D", "without", "P", "empty"):
        before = world.spent("ada")[0]
        with world.on(clinic):
            reply = world.ask(f"{COUNT} WHERE {where}")
        told.add((reply.status_code, reply.json().get("sqlstate")))
        charged.add(world.spent("ada")[0] - before)
    assert len(told) == len(charged) == 1
    assert told <= {(200, None), (400, "0A000"), (400, "22023"), (400, "42804")}
    assert charged == ({ONE} if (200, None) in told else {0})


# 3: noisy counts are clipped to the true size of the table.


def test_3_a_noisy_count_can_be_larger_than_the_table_and_less_than_nothing(world: World) -> None:
    """Forty draws on one side of the truth come once in a million million times."""
    drawn = [world.ask(COUNT, epsilon="0.001").json()["rows"][0][0] for _ in range(40)]
    assert max(drawn) > len(D.patients)
    assert min(drawn) < 0


# 4: DISTINCT and FILTER vanish, VARIANCE is another number.


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(DISTINCT kind) FROM visits WHERE patient_id IS NOT NULL",
        "SELECT count(DISTINCT patient_id) FROM visits",
        "SELECT count(*) FILTER (WHERE kind = 'remote') FROM visits WHERE patient_id IS NOT NULL",
        "SELECT sum(cost) FILTER (WHERE kind = 'remote') FROM visits WHERE patient_id IS NOT NULL",
        "SELECT sex, count(*) FILTER (WHERE age > 30) FROM patients GROUP BY sex HAVING count(*) > 0 ORDER BY 1",
    ],
)
def test_4_distinct_and_filter_are_not_lost(
    plain_place: Replay, sql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = in_postgres(sql, plain_place)
    noiseless = without_noise(sql, plain_place, monkeypatch)
    assert [[float(x) if isinstance(x, Decimal) else x for x in row] for row in exact] == [
        list(row) for row in noiseless
    ]


@pytest.mark.parametrize("function", ["variance", "var_pop", "stddev", "stddev_pop", "avg"])
def test_4_a_variance_is_a_variance(
    plain_place: Replay, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = f"SELECT {function}(age) FROM patients"
    ((exact,),) = in_postgres(sql, plain_place)
    ((noiseless,),) = without_noise(sql, plain_place, monkeypatch)
    assert noiseless == pytest.approx(float(exact), rel=1e-3)


def test_4_distinct_where_there_is_no_mechanism_is_refused_and_not_dropped(world: World) -> None:
    for sql in ("SELECT sum(DISTINCT age) FROM patients", "SELECT avg(DISTINCT age) FROM patients"):
        assert world.ask(sql).json()["sqlstate"] == "ZP002"


# 5: a join is silently made another join.


def test_5_a_join_without_the_unit_is_refused_with_what_to_write(world: World) -> None:
    reply = world.ask("SELECT count(*) FROM patients a JOIN patients b ON a.age = b.age").json()
    assert reply["sqlstate"] == "ZP003"
    assert "b.id = a.id" in reply["hint"] or "a.id = b.id" in reply["hint"]


# 6: the events that are accounted are not the noise that is drawn.


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*), sum(age) FROM patients",
        "SELECT kind, count(*), sum(cost), avg(balance) FROM visits GROUP BY kind",
        "SELECT diagnosis, count(*), max(cost) FROM visits GROUP BY diagnosis",
        "SELECT sex, stddev(age), count(*) FROM patients GROUP BY CUBE (sex)",
    ],
)
@pytest.mark.parametrize("epsilon", ["0.1", "5"])
def test_6_events_are_the_noise_and_the_loss_is_theirs(sql: str, epsilon: str) -> None:
    found = plan(sql, epsilon=epsilon)
    told = [one for one in found.events if isinstance(one, LaplaceEvent | GaussianEvent)]
    drawn = [draw.noise for draw in found.draws]
    assert len(told) == len(drawn)
    for event, noise, draw in zip(told, drawn, found.draws, strict=True):
        if isinstance(event, LaplaceEvent):
            assert noise.kind is NoiseKind.LAPLACE
            assert (event.scale, event.l1_sensitivity) == (noise.scale, draw.sensitivity.l1)
        else:
            assert noise.kind is NoiseKind.GAUSSIAN
            assert event.sigma == noise.scale
            assert event.l2_sensitivity_squared == draw.sensitivity.l2_squared
    thresholds = [one for one in found.events if isinstance(one, ThresholdEvent)]
    assert len(thresholds) == (0 if found.blocks[0].selection is None else 1)


# 7: noise of the database, and a formula for Gaussian noise that ends at epsilon 1.


def test_7_gaussian_noise_keeps_a_large_epsilon() -> None:
    """By the conversion that holds for every epsilon, not by the formula that ends at 1."""
    found = plan(
        "SELECT diagnosis, kind, count(DISTINCT patient_id) FROM visits GROUP BY 1, 2",
        QueryOptions(max_groups_contributed=50),
        epsilon="5",
    )
    assert {draw.noise.kind for draw in found.draws} == {NoiseKind.GAUSSIAN}
    rho = sum(
        (Fraction(one.sensitivity.l2_squared) / (2 * one.noise.scale**2) for one in found.draws),
        Fraction(0),
    )
    assert 1 < rho_to_epsilon(rho, Fraction(found.loss.delta, 10**18)) <= 5


# 8: the odometer never refuses, and what fails is free.


def test_8_the_budget_ends(world: World) -> None:
    who = world.analyst("odometer", epsilon=2 * ONE, delta=0)
    assert [world.ask(COUNT, who=who).status_code for _ in range(3)] == [200, 200, 403]


# 9: counts are truncated and so too small, and bounded totals are too small without a word.


@pytest.mark.parametrize("kind", NoiseKind)
def test_9_noise_has_a_mean_of_nothing(kind: NoiseKind) -> None:
    """Over 20,000 draws the mean of noise of scale 3 is within 0.2 of 0, six of its deviations."""
    drawn = add_noise([0] * 20_000, Noise(kind, Fraction(3)))
    assert abs(statistics.fmean(drawn)) < 0.2


def test_9_what_is_weighted_down_or_clamped_is_said_with_the_answer(world: World) -> None:
    said = " ".join(world.ask("SELECT sum(cost) FROM visits").json()["notices"])
    assert "20 rows" in said
    assert "between 0 and 10000" in said


# 10: a group is decided by the clamped value.


def test_10_groups_and_conditions_see_the_stored_value(clinic_place: Place) -> None:
    """Balances run from -500 to 500 by the policy; the poisoned ones are beyond."""
    source, _ = clinic_place
    grouped = plan(
        "SELECT CASE WHEN balance > 500 THEN 'above' ELSE 'not' END, count(*) FROM visits GROUP BY 1",
        MANY,
    )
    filtered = plan("SELECT count(*) FROM visits WHERE balance > 500", MANY)
    above = dict(assembled(grouped.blocks[0], *source.exact(grouped)))["above",][0]
    ((_, (rows,)),) = assembled(filtered.blocks[0], *source.exact(filtered))
    assert above / Fraction(1, grouped.draws[0].tick) == rows / Fraction(1, filtered.draws[0].tick)
    assert rows > 0


# 11: a subquery in WHERE is refused by accident, as a TypeError.


def test_11_a_subquery_is_refused_by_rule_and_with_a_way_out(world: World) -> None:
    reply = world.ask(f"{COUNT} WHERE age > (SELECT avg(age) FROM patients)").json()
    assert reply["code"] == "unbounded_influence"
    assert reply["hint"]
    assert reply["position"]


# 12: anybody is any analyst by a header; a new analyst deletes the old; NULL is asked again, free.


def test_12_a_name_in_a_header_is_nobody(world: World) -> None:
    reply = world.client.post(
        "/v1/query",
        json={"dataset": "clinic", "sql": COUNT},
        headers={"user-name": "ada", "User-Name": "ada"},
    )
    assert reply.status_code == 401


def test_12_a_new_analyst_leaves_the_others_what_they_have(world: World) -> None:
    before = world.spent("ada")
    world.analyst("newcomer")
    assert world.ask(COUNT).status_code == 200
    assert world.spent("ada") == (before[0] + ONE, before[1])


def test_12_nothing_is_asked_twice_because_it_was_empty(world: World) -> None:
    calls = len(world.spy.calls)
    with world.on("empty"):
        assert world.ask("SELECT avg(age), max(age), sum(age) FROM patients").status_code == 200
    assert world.spy.calls[calls:].count("fetch") == 1


def test_12_the_description_of_the_api_can_be_read(world: World) -> None:
    assert "/v1/query" in world.client.get("/openapi.json").json()["paths"]


# 13: the mean of nothing divides by zero, and NaN passes through.


@pytest.mark.parametrize("clinic", ["empty", "P"])
@pytest.mark.parametrize(
    "sql,low,high",
    [
        ("SELECT avg(age) FROM patients", 0, 120),
        ("SELECT avg(bmi) FROM patients", 10, 70),
        ("SELECT avg(weight) FROM patients", 0, 300),
        ("SELECT avg(score) FROM visits", -1, 1),
        ("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY score) FROM visits", -1, 1),
    ],
)
def test_13_a_mean_is_a_number_between_the_bounds(
    world: World, clinic: str, sql: str, low: int, high: int
) -> None:
    with world.on(clinic):
        ((value,),) = world.ask(sql).json()["rows"]
    assert isinstance(value, int | float)
    assert low <= value <= high


# 14: a sum in groups that is refused although its bounds are declared.


def test_14_a_sum_in_groups_needs_nothing_but_the_policy(world: World) -> None:
    reply = world.ask("SELECT kind, sum(cost) FROM visits GROUP BY kind")
    assert [row[0] for row in reply.json()["rows"]] == [*fixture.KINDS, None]


# From the trackers.


def test_smartnoise_201_what_is_summed_is_bounded_and_not_what_it_is_made_of(
    clinic_place: Place,
) -> None:
    source, people = clinic_place
    found = plan(
        "SELECT sum(age * 1000 - LEAST(cost, 5)) FROM patients p JOIN visits v"
        " ON v.patient_id = p.id"
    )
    assert found.draws[0].sensitivity.l1 * found.draws[0].tick == 20 * 120_000
    assert replay(found, source, people) == []


def test_smartnoise_317_and_128_without_bounds_or_width_there_is_no_answer(world: World) -> None:
    for sql in ("SELECT sum(points) FROM patients", "SELECT avg(0 * age) FROM patients"):
        assert world.ask(sql).json()["sqlstate"] == "22023"


def test_smartnoise_320_a_star_is_never_a_column_that_came_later(world: World) -> None:
    for sql in (
        "SELECT * FROM patients",
        "SELECT count(DISTINCT *) FROM patients",
        "SELECT patients.*, count(*) FROM patients GROUP BY 1",
    ):
        assert world.ask(sql).status_code in {400, 403}


def test_smartnoise_385_the_loss_of_an_answer_is_over_all_its_columns(world: World) -> None:
    columns = "count(*), sum(age), avg(bmi), max(weight), stddev(age)"
    one = world.ask(f"SELECT {columns} FROM patients").json()["loss"]
    assert Decimal(one["epsilon"]) <= 1


def test_smartnoise_544_tables_with_bounds_of_their_own_can_be_joined(clinic_place: Place) -> None:
    source, people = clinic_place
    found = plan("SELECT sum(i.quantity) FROM items i JOIN visits v ON i.visit_id = v.id")
    assert found.draws[0].sensitivity.l1 == 40 * 10
    assert replay(found, source, people) == []


def test_smartnoise_568_more_rows_for_each_person_make_no_group_rarer() -> None:
    sql = "SELECT diagnosis, count(DISTINCT patient_id) FROM visits GROUP BY diagnosis"
    few, many = (
        plan(sql, QueryOptions(max_rows_contributed=rows)).blocks[0].threshold
        for rows in (1, 1_000_000)
    )
    assert few == many


def test_opendp_2131_ten_tenths_fit_into_one(world: World) -> None:
    who = world.analyst("tenths", epsilon=ONE)
    assert {world.ask(COUNT, who=who, epsilon=0.1).status_code for _ in range(10)} == {200}


def test_opendp_2922_what_reaches_the_threshold_is_shown_and_paid_for() -> None:
    found = plan("SELECT zip, count(*) FROM patients GROUP BY zip")
    assert found.blocks[0].threshold is not None
    assert found.blocks[0].selection is not None
    noise = found.draws[found.blocks[0].selection].noise
    assert show_key(found.blocks[0].threshold, found.blocks[0].threshold)
    assert threshold_delta(noise, 1, found.blocks[0].threshold) <= Fraction(
        found.loss.delta, 10**18
    )
    assert threshold_delta(noise, 1, found.blocks[0].threshold - 1) > Fraction(1, 10**7)


def test_ibm_110_and_94_no_sensitivity_is_nothing_and_no_generator_is_numpys() -> None:
    import sys

    assert all(draw.sensitivity.l1 > 0 for draw in plan("SELECT count(*) FROM visits").draws)
    assert "numpy" not in vars(sys.modules["mechanisms.noise"])


def test_google_126_sums_do_not_depend_on_the_order_of_rows(clinic_place: Place) -> None:
    """Of floats too: each is put on the grid before it is added."""
    source, _ = clinic_place
    found = plan("SELECT sum(weight), avg(weight) FROM patients")
    for row in source.run(found.blocks[0].exact):
        assert all(Fraction(cell).denominator == 1 for cell in row)
