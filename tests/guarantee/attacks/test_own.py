"""What the cases of our own check that is no single request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from analyzer.analyze import analyze
from analyzer.plan import QueryOptions
from server.engines.postgres import Bounds, PostgresEngine
from server.policy_grants import grants_sql
from tests import fixture
from tests.guarantee.attacks.test_attacks import CATALOG
from tests.guarantee.attacks.test_ledger import COUNT, ONE
from tests.guarantee.attacks.world import READER, SHARED, World
from tests.guarantee.conftest import Place
from tests.guarantee.replay import Replay
from tests.postgres import Postgres, database_of
from tests.released import assembled, exact_rows


def test_an_answer_without_rows_is_charged_like_any_other(world: World) -> None:
    who = world.analyst("nothing")
    for cut in ("LIMIT 0", "OFFSET 9", "HAVING count(*) > 1000000"):
        reply = world.ask(f"SELECT sex, count(*) FROM patients GROUP BY sex {cut}", who=who)
        assert reply.json()["rows"] == []
    assert world.spent(who) == (3 * ONE, 0)


def test_rows_without_an_order_come_by_key(world: World) -> None:
    """In the order of the keys, in which no row's place in a table can be seen."""
    for sql in (
        "SELECT city, count(*) FROM patients GROUP BY city",
        "SELECT city, sum(age) FROM patients GROUP BY city HAVING count(*) > -1000",
    ):
        cities = [row[0] for row in world.ask(sql).json()["rows"]]
        assert cities == [*sorted(name for name, _ in fixture.CITIES), None]


@pytest.mark.parametrize(
    "sql,number",
    [
        ("SELECT max(score) FROM visits", "SELECT count(score) FROM visits"),
        ("SELECT max(cost) FROM visits", "SELECT count(cost) FROM visits"),
        ("SELECT max(weight) FROM patients", "SELECT count(weight) FROM patients"),
        ("SELECT max(age) FROM patients", "SELECT count(age) FROM patients"),
    ],
)
def test_every_value_falls_into_one_bucket(clinic_place: Place, sql: str, number: str) -> None:
    """Values at both ends, far beyond them, infinite and NaN, each counted once."""
    source, _ = clinic_place
    options = QueryOptions(max_rows_contributed=1_000_000)
    histogram, count = (analyze(text, CATALOG, options=options) for text in (sql, number))
    ((_, buckets),) = assembled(histogram.blocks[0], *source.exact(histogram))
    ((_, (rows,)),) = assembled(count.blocks[0], *source.exact(count))
    share = int(1 / histogram.draws[0].tick)
    assert sum(buckets) == rows / count.draws[0].tick.denominator * share


def test_no_key_of_one_person_is_shown_however_many_there_are(world: World) -> None:
    """A whale alone in two hundred groups, asked for ten times, with as much loss as there may
    be: that any of them is shown has a probability of one in a million."""
    sql = "SELECT visited_at, count(*) FROM visits GROUP BY visited_at"
    with world.on("W"):
        for _ in range(10):
            reply = world.ask(sql, max_groups_contributed=1_000, epsilon=5, delta="1e-7")
            assert reply.status_code == 200
            assert reply.json()["rows"] == []


def test_without_an_account_nothing_is_asked(world: World) -> None:
    """An analyst of one data set asks about another: free, and without its words."""
    who, calls = world.analyst("visitor"), len(world.spy.calls)
    reply = world.ask(COUNT, who=who, dataset=SHARED)
    assert (reply.status_code, reply.json()["sqlstate"]) == (403, "42501")
    assert len(world.spy.calls) == calls


@pytest.mark.parametrize(
    "epsilon,steps",
    [("0.1000000000000000000001", 10**11 + 1), ("1e-12", 1), ("1.5e-12", 2), ("2e-1", 2 * 10**11)],
)
def test_a_loss_of_many_decimals_is_debited_rounded_up(
    world: World, epsilon: str, steps: int
) -> None:
    before = world.spent("bob")[0]
    assert world.ask(COUNT, who="bob", epsilon=epsilon).status_code == 200
    assert 0 < world.spent("bob")[0] - before <= steps


def test_an_error_says_no_more_than_the_analyst_said(world: World) -> None:
    """Long names are cut or refused, and the reply is JSON whatever is in them."""
    for text in ("a" * 60, "<b>", "x\u202ey", "\u0007", "a'b", "${x}", "{0}", "%s"):
        reply = world.ask(f'SELECT count("{text}") FROM patients')
        assert reply.status_code == 400
        assert reply.headers["content-type"] == "application/json"
        assert len(reply.content) < 2_000
        body = reply.json()
        assert set(body) == {"code", "sqlstate", "message", "detail", "hint", "position"}


def test_a_request_id_is_one_analysts_and_one_questions(world: World) -> None:
    one, other = world.analyst("first"), world.analyst("second")
    mine = world.ask(COUNT, who=one, request_id="x", epsilon="1e-6")
    for changed in ({"epsilon": "2e-6"}, {"delta": "1e-10"}, {"max_rows_contributed": 3}):
        fields: dict[str, Any] = {"epsilon": "1e-6", **changed}
        reply = world.ask(COUNT, who=one, request_id="x", **fields)
        assert (reply.status_code, reply.json()["sqlstate"]) == (409, "23505")
    theirs = world.ask(COUNT, who=other, request_id="x", epsilon="1e-6")
    assert theirs.status_code == 200
    assert theirs.json()["rows"] != mine.json()["rows"]
    assert world.spent(one)[0] == world.spent(other)[0] == ONE // 10**6


def test_who_has_spent_everything_hears_the_same_refusals(world: World) -> None:
    """What is wrong with a question is said before what is left of the budget."""
    poor = world.analyst("poor", epsilon=0, delta=0)
    for sql in ("SELECT name FROM patients", "SELECT count(*) FROM nosuch", "SELECT ("):
        assert world.ask(sql, who=poor).content == world.ask(sql).content
    assert world.ask(COUNT, who=poor).json()["sqlstate"] == "ZP001"


def test_a_stranger_hears_of_no_release(world: World) -> None:
    mine = world.ask(COUNT).json()["release_id"]
    replies = [
        world.client.get(f"/v1/releases/{release}", headers=world.headers("bob"))
        for release in (mine, uuid4())
    ]
    assert [reply.status_code for reply in replies] == [404, 404]
    assert replies[0].content == replies[1].content
    listed = world.client.get("/v1/releases", headers=world.headers("bob"))
    assert mine not in listed.text


def test_a_remembered_plan_is_that_of_the_same_question(world: World) -> None:
    """Values that Python holds for equal, bounds, losses and data sets, one after another."""
    sql = "SELECT count(*) FROM patients WHERE age = $1"
    codes = [
        world.ask(sql, parameters=[value]).json().get("sqlstate")
        for value in (1, True, 1, "1", 1.0, False, 0)
    ]
    assert codes == [None, "42804", None, None, None, "42804", None]
    scales = [
        world.ask("SELECT count(*) FROM visits", **fields).json()["mechanisms"][0]["scale"]
        for fields in (
            {},
            {"max_rows_contributed": 1},
            {"epsilon": "0.5"},
            {"max_rows_contributed": 1, "epsilon": "0.5"},
            {},
        )
    ]
    assert scales == [20.0, 1.0, 40.0, 2.0, 20.0]


@pytest.mark.parametrize("clinic", ["D", "W", "P", "empty"])
def test_what_is_told_of_the_noise_is_what_was_quoted(world: World, clinic: str) -> None:
    sql = "SELECT diagnosis, count(*), avg(cost) FROM visits GROUP BY diagnosis"
    quoted = world.ask(sql, path="/v1/quote").json()
    with world.on(clinic):
        body = world.ask(sql).json()
    told = [(one["measures"], one["name"], one["error_bar"]) for one in body["mechanisms"]]
    assert told == [
        (draw["label"], draw["mechanism"], float(draw["error_bar"])) for draw in quoted["draws"]
    ]
    assert {one["threshold"] for one in body["mechanisms"]} == {
        None,
        quoted["blocks"][0]["keys"]["threshold"],
    }


@pytest.fixture(scope="module")
def odd_clinic(world: World, postgres: Postgres) -> Iterator[str]:
    """The name of a clinic where sixty people at a time share each value that is hard to print."""
    people = (
        ("ends in \\", 2**31 - 1, "NaN", "Infinity", -(2**63), "infinity"),
        ("", -(2**31), "999.99", "-Infinity", 2**63 - 1, "-infinity"),
        ("x" * 5_000, None, "-999.99", "NaN", 0, "4714-11-24 BC"),
        ("\u00e5\u0301 \U0001f600\"'{}", 0, None, "5e-324", 1, "5874897-12-31"),
    )
    visits = (
        ("NaN", "NaN", "", None, "infinity", "NaN"),
        ("9999999999.99", "1e-1000", "a\nb\tc", "planned", "-infinity", "1e308"),
        ("-9999999999.99", f"1{'0' * 4000}", "x" * 5_000, None, "294276-12-31", "-0"),
        ("0", "Infinity", "\\", "remote", "4714-11-24 BC", "5e-324"),
    )
    clinic = fixture.Clinic(
        patients=tuple(
            (number, name, age, "male", "Oslo", "1", bmi, weight, points, True, born)
            for number, (name, age, bmi, weight, points, born) in enumerate(people * 60)
        ),
        visits=tuple((number, number, *visit) for number, visit in enumerate(visits * 60)),
        items=(),
    )
    uri = fixture.load(postgres.fresh(), clinic)
    with psycopg.connect(uri) as connection:
        connection.execute(grants_sql(CATALOG, READER).encode())
    engine = PostgresEngine(postgres.uri(database_of(uri), READER), Bounds(connections=1))
    world.spy.engines["odd"] = world.run(engine.open())
    yield "odd"
    world.run(engine.close())
    del world.spy.engines["odd"]


@pytest.mark.parametrize(
    "keys,table,groups",
    [
        ("name", "patients", 4),
        ("born, points", "patients", 4),
        ("bmi", "patients", 4),
        ("weight", "patients", 3),  # plus infinity and NaN are beyond the same end
        ("upper(name), name || name", "patients", 4),
        ("cost", "visits", 4),
        ("balance", "visits", 4),
        ("balance * balance, sqrt(abs(balance))", "visits", 2),
        ("diagnosis", "visits", 4),
        ("visited_at", "visits", 4),
        ("score", "visits", 2),
        ("CAST(visited_at AS date), extract(year FROM visited_at)", "visits", 4),
    ],
)
def test_odd_keys_that_many_share_are_shown(
    world: World, odd_clinic: str, keys: str, table: str, groups: int
) -> None:
    with world.on(odd_clinic):
        reply = world.ask(
            f"SELECT {keys}, count(*) FROM {table} GROUP BY {', '.join(map(str, _ordinals(keys)))}",
            epsilon=2,
            delta="1e-7",
            max_rows_contributed=1,
            max_groups_contributed=1,
        )
    assert reply.status_code == 200, reply.text
    assert len(reply.json()["rows"]) == groups, reply.text


@pytest.fixture(scope="module")
def huge_clinic(world: World, postgres: Postgres) -> Iterator[str]:
    """The name of a clinic where Alice has 30,000 visits, and an engine that gives up soon."""
    alice = (fixture.ALICE, "Alice", 40, "female", "Oslo", "1", 20, 60, 1, True, "1980-01-01")
    visit = (fixture.ALICE, "1", "1", "flu", "remote", "2020-01-01", "1")
    visits = tuple((number, *visit) for number in range(30_000))
    uri = fixture.load(postgres.fresh(), fixture.Clinic(patients=(alice,), visits=visits, items=()))
    with psycopg.connect(uri) as connection:
        connection.execute(grants_sql(CATALOG, READER).encode())
    bounds = Bounds(connections=1, statement_seconds=8)
    engine = PostgresEngine(postgres.uri(database_of(uri), READER), bounds)
    world.spy.engines["huge"] = world.run(engine.open())
    yield "huge"
    world.run(engine.close())
    del world.spy.engines["huge"]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM visits v JOIN visits w USING (patient_id)",
        "SELECT count(*) FROM visits v JOIN visits w ON w.patient_id = v.patient_id AND w.id < v.id",
        (
            "SELECT count(*) FROM visits v WHERE EXISTS (SELECT 1 FROM visits w"
            " WHERE w.patient_id = v.patient_id AND w.cost > v.cost + 1)"
        ),
        (
            "SELECT avg(n) FROM (SELECT patient_id, count(*) AS n FROM visits v"
            " JOIN visits w USING (patient_id) GROUP BY patient_id) x"
        ),
        (
            "SELECT count(*) FROM patients p WHERE EXISTS (SELECT 1 FROM (SELECT patient_id AS q,"
            " count(*) AS n FROM visits v JOIN visits w USING (patient_id) GROUP BY patient_id) g"
            " WHERE g.q = p.id AND g.n > 5)"
        ),
        (
            "SELECT count(*) FROM patients p WHERE (SELECT count(*) FROM visits v JOIN visits w"
            " USING (patient_id) WHERE v.patient_id = p.id) > 5"
        ),
    ],
)
def test_a_person_of_very_many_rows_makes_no_query_fail(
    world: World, huge_clinic: str, sql: str
) -> None:
    """Nine hundred million pairs take a minute: that the query failed would tell that she is there."""
    with world.on(huge_clinic):
        assert world.ask(sql).status_code == 200


@pytest.fixture(scope="module")
def busy_clinic(world: World, postgres: Postgres) -> Iterator[str]:
    """The name of a clinic where Alice has a name of a million letters and 1,500 visits with long
    notes and balances, and an engine that gives up soon."""
    alice = (
        fixture.ALICE,
        "Alice " * 170_000,
        40,
        "female",
        "Oslo",
        "1",
        20,
        60,
        1,
        True,
        "1980-01-01",
    )
    visit = (fixture.ALICE, "1", f"0.{'3' * 16_383}", "flu " * 500, "remote", "2020-01-01", "1")
    visits = tuple((number, *visit) for number in range(1_500))
    uri = fixture.load(postgres.fresh(), fixture.Clinic(patients=(alice,), visits=visits, items=()))
    with psycopg.connect(uri) as connection:
        connection.execute(grants_sql(CATALOG, READER).encode())
    bounds = Bounds(connections=1, statement_seconds=8)
    engine = PostgresEngine(postgres.uri(database_of(uri), READER), bounds)
    world.spy.engines["busy"] = world.run(engine.open())
    yield "busy"
    world.run(engine.close())
    del world.spy.engines["busy"]


_PAIRS = f"FROM visits v JOIN visits w USING (patient_id) WHERE v.patient_id = {fixture.ALICE}"
_MANY = " OR ".join(f"v.cost * w.cost < -{i}" for i in range(1, 120))


def test_one_row_with_a_long_text_makes_no_query_fail(world: World, busy_clinic: str) -> None:
    """As much as is accepted of what takes longest, on a text of a million characters."""
    texts = []
    for depth in (1, 3, 9):
        for terms in (10, 100, 250):
            said = " OR ".join(f"d LIKE '{i}_x'" for i in range(terms))
            note = "lower(upper(" * depth + "name" + "))" * depth
            inside = f"SELECT id, {note} AS d FROM patients WHERE id = {fixture.ALICE}"
            texts.append(f"SELECT count(*) FROM ({inside}) AS p WHERE {said}")
    with world.on(busy_clinic):
        codes = [world.ask(sql).status_code for sql in texts]
    assert set(codes) == {200, 400}


@pytest.fixture(scope="module")
def long_place(postgres: Postgres) -> Iterator[Replay]:
    """A clinic where two texts of Alice's have more than half of what a text can have."""
    uri = fixture.load(postgres.fresh(), fixture.clinic(patients=10, visits=30))
    with psycopg.connect(uri) as connection:
        for text in (
            "UPDATE patients SET name = repeat('x', 600000000) WHERE id = %s",
            "UPDATE visits SET diagnosis = repeat('y', 600000000) WHERE patient_id = %s",
            (
                "UPDATE visits SET diagnosis = 'z' || diagnosis"
                " WHERE id = (SELECT min(id) FROM visits WHERE patient_id = %s)"
            ),
        ):
            connection.execute(text, [fixture.ALICE])
    with Replay(uri) as place:
        yield place


@pytest.mark.slow
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM visits v JOIN patients p ON p.id = v.patient_id WHERE diagnosis < name",
        (
            "SELECT count(*) FROM visits v JOIN patients p ON p.id = v.patient_id"
            " WHERE greatest(diagnosis, name) = 'a'"
        ),
        "SELECT count(DISTINCT substr(diagnosis, 2)), count(DISTINCT diagnosis) FROM visits",
        (
            "SELECT count(*) FROM (SELECT DISTINCT patient_id, substr(diagnosis, 2) AS a,"
            " substr(diagnosis, 3) AS b FROM visits) v"
        ),
        (
            "SELECT count(*) FROM (SELECT patient_id, max(diagnosis) AS a, count(DISTINCT diagnosis) AS n"
            " FROM visits GROUP BY patient_id) v WHERE a > 'b' AND n > 1"
        ),
        (
            "SELECT count(*) FROM (SELECT DISTINCT ON (patient_id) patient_id, cost FROM visits"
            " ORDER BY patient_id, diagnosis) v"
        ),
    ],
)
def test_two_texts_as_long_as_there_can_be_make_no_query_fail(long_place: Replay, sql: str) -> None:
    """To be put in order, or into one row, they would be copied, and there is no room for two."""
    assert long_place.exact(analyze(sql, CATALOG))


def test_one_row_with_many_decimals_makes_no_query_fail(world: World, busy_clinic: str) -> None:
    """Eight thousand products of a number that has as many decimals as there can be."""
    inside = f"SELECT {' * '.join(['balance'] * 20)} AS d FROM visits WHERE id = 0"
    said = (" OR ".join(f"d > {n + i}" for i in range(100)) for n in (1, 101, 201, 301))
    counts = ", ".join(f"count(*) FILTER (WHERE {one})" for one in said)
    with world.on(busy_clinic):
        assert world.ask(f"SELECT {counts} FROM ({inside}) AS v").status_code == 200


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT count(*) {_PAIRS} AND ({_MANY})",
        f"SELECT count(*) {_PAIRS} AND (v.diagnosis ILIKE '%cold%' OR w.cost < v.cost)",
        f"SELECT count(*) {_PAIRS} AND v.diagnosis || 'a' < w.diagnosis || 'b'",
        (
            "SELECT avg(n) FROM (SELECT patient_id, count(*) AS n FROM"
            " (SELECT v.patient_id, lower(v.diagnosis) || w.kind AS d FROM visits v"
            " JOIN visits w USING (patient_id)) x WHERE d LIKE '%cold%' GROUP BY patient_id) y"
        ),
    ],
)
def test_much_to_compute_for_each_pair_makes_no_query_fail(
    world: World, busy_clinic: str, sql: str
) -> None:
    """Two million pairs are a moment, unless there is much to compute for each of them."""
    with world.on(busy_clinic):
        assert world.ask(sql).status_code == 200


def _ordinals(keys: str) -> range:
    return range(1, len(keys.replace("extract(year FROM visited_at)", "x").split(", ")) + 1)


def test_one_group_more_is_no_failure(world: World) -> None:
    """An engine whose limit is the number of groups that there are without Alice: the limit is on
    what is shown, which is a matter of noise."""
    sql = "SELECT name, count(*) FROM patients GROUP BY name"
    (exact,) = world.run(exact_rows(world.spy.engines["without"], analyze(sql, CATALOG)))
    rows = len(exact)
    engines = {
        name: PostgresEngine(world.uris[name], Bounds(connections=1, rows=rows))
        for name in ("D", "without")
    }
    codes = []
    try:
        for engine in engines.values():
            world.spy.engines["full"] = world.run(engine.open())
            with world.on("full"):
                codes.append(world.ask(sql).status_code)
    finally:
        for engine in engines.values():
            world.run(engine.close())
        del world.spy.engines["full"]
    assert codes == [200, 200], json.dumps(codes)
