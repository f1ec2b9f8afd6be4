"""What was answered is answered again: averaging is useless, and nobody gets what nobody paid for."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import math
import statistics
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NoReturn, cast

import pytest

from server.engines import EngineFailed
from server.questions import Question
from server.ticks import Tick
from tests.guarantee.attacks.world import World

SEX = "SELECT sex, count(*) AS n, avg(age) FROM patients WHERE age > 20 AND active GROUP BY sex"
AGAIN = (
    "select avg(p.age), COUNT(*), p.sex from patients p where p.active AND 20 < age group by p.sex"
)


@pytest.fixture
def analysts(world: World, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Two analysts who asked nothing yet; what others asked before counts no more."""
    world.run(world.ledger.advance_epoch("clinic"))
    name = f"r{abs(hash(request.node.name)) % 10**9}"
    yield world.analyst(f"{name}a"), world.analyst(f"{name}b")
    world.run(world.ledger.advance_epoch("clinic"))


def ask(world: World, who: str, sql: str = SEX, **fields: Any) -> dict[str, Any]:
    fields = fields if "error" in fields else {"rho": "0.01", **fields}
    reply = world.ask(sql, who=who, **{"fresh": False, **fields})
    assert reply.status_code == 200, reply.text
    body: dict[str, Any] = reply.json()
    return body | {"header": reply.headers.get("Epsql-Replayed")}


def cost(body: dict[str, Any]) -> Any:
    return Fraction(body["loss"]["rho"])


def fetches(world: World) -> int:
    return world.spy.calls.count("fetch")


def test_asking_again_costs_nothing_and_tells_nothing(world: World, analysts) -> None:
    ada, _ = analysts
    first = ask(world, ada)
    assert (first["replayed"], first["header"]) == (False, None)
    spent, fetched = (world.spent(ada), world.spent(None)), fetches(world)
    for _ in range(5):
        again = ask(world, ada)
        assert again["rows"] == first["rows"]
        assert again["error_bars"] == first["error_bars"]
        assert (again["replayed"], again["header"], cost(again)) == (True, "true", 0)
    assert (world.spent(ada), world.spent(None), fetches(world)) == (*spent, fetched)


def test_another_text_of_the_same_meaning_shows_the_same_numbers(world: World, analysts) -> None:
    ada, _ = analysts
    first, again = ask(world, ada), ask(world, ada, AGAIN)
    assert [(mean, n, sex) for sex, n, mean in first["rows"]] == [tuple(r) for r in again["rows"]]
    share = ask(world, ada, SEX.replace("count(*) AS n", "count(*) * 2 AS n"))
    assert [2 * row[1] for row in first["rows"]] == [row[1] for row in share["rows"]]
    assert cost(again) == cost(share) == 0


def test_another_analyst_pays_an_own_view_and_gets_the_same_numbers(world: World, analysts) -> None:
    ada, bob = analysts
    first = ask(world, ada)
    shared, fetched = world.spent(None), fetches(world)
    other = ask(world, bob)
    assert other["rows"] == first["rows"]
    # It looks like any answer that was drawn for bob: only the balance that all share tells.
    assert (other["replayed"], other["header"]) == (False, None)
    assert cost(other) == cost(first) > 0
    assert world.spent(bob)[0] == world.spent(ada)[0] > 0
    assert (world.spent(None), fetches(world)) == (shared, fetched)
    assert cost(ask(world, bob)) == 0


class _Late:
    """In place of the gateway's tick: an answer that never leaves, until its asker gives up."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()

    async def wait(self, _: float, *, given_up: bool = False) -> None:
        self.reached.set()
        if not given_up:
            await asyncio.Event().wait()


async def _given_up(world: World, name: str) -> None:
    """A question that its asker takes back when the answer is about to leave."""
    gateway, late = world.gateway, _Late()
    who = (await world.ledger.find_analyst(name)).id
    before, gateway._tick = gateway._tick, cast("Tick", late)
    try:
        task = asyncio.create_task(
            gateway.query(who, Question(SEX, dataset="clinic", rho=Fraction(1, 100)))
        )
        await late.reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    finally:
        gateway._tick = before


@pytest.mark.parametrize("told", [False, True], ids=["drawn anew", "told to another before"])
def test_who_gives_up_pays_whether_somebody_else_was_told_or_not(
    world: World, analysts, told: bool
) -> None:
    """Giving up would else be a probe, for nothing, of what others ask."""
    ada, bob = analysts
    if told:
        ask(world, ada)
    world.run(_given_up(world, bob))
    spent = world.spent(bob)
    assert spent[0] > 0
    again = ask(world, bob)
    # What is stored is there for nothing, having been paid for; what was lost is not.
    assert (cost(again) == 0) is told
    assert (world.spent(bob) == spent) is told


@pytest.mark.parametrize("told", [False, True], ids=["drawn anew", "told to another before"])
def test_an_answer_that_cannot_be_made_is_paid_whether_somebody_else_was_told_or_not(
    world: World, analysts, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arithmetic that takes too long fails by what an analyst wrote, in either case."""
    ada, bob = analysts
    if told:
        ask(world, ada)

    async def too_long(*_: Any) -> NoReturn:
        raise EngineFailed("57014")

    monkeypatch.setattr(world.spy, "finish", too_long)
    reply = world.ask(SEX, who=bob, rho="0.01", fresh=False)
    assert (reply.status_code, reply.json()["code"]) == (500, "failed_after_debit")
    assert world.spent(bob)[0] > 0


def test_fresh_noise_is_drawn_and_paid_for(world: World, analysts) -> None:
    ada, _ = analysts
    first = ask(world, ada)
    shared = world.spent(None)
    fresh = ask(world, ada, fresh=True)
    assert fresh["rows"] != first["rows"]
    assert cost(fresh) == cost(first)
    assert world.spent(None)[0] > shared[0]


def test_a_new_epoch_ends_what_is_free(world: World, analysts) -> None:
    ada, _ = analysts
    ask(world, ada)
    world.run(world.ledger.advance_epoch("clinic"))
    again = ask(world, ada)
    assert not again["replayed"]
    assert cost(again) == Fraction(1, 100)


def test_equal_questions_at_the_same_moment_are_drawn_once(world: World, analysts) -> None:
    ada, bob = analysts
    fetched = fetches(world)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda i: ask(world, (ada, bob)[i % 2]), range(6)))
    assert fetches(world) == fetched + 1
    assert len({json.dumps(body["rows"]) for body in replies}) == 1
    assert sum(cost(body) for body in replies) == 2 * Fraction(1, 100)


def test_less_error_costs_the_difference(world: World, analysts) -> None:
    ada, _ = analysts
    spent = [cost(ask(world, ada, rho=rho)) for rho in ("0.001", "0.004", "0.01")]
    assert spent[0] == Fraction(1, 1000)
    assert sum(spent) == pytest.approx(Fraction(1, 100), rel=1e-9)
    assert sum(spent) >= Fraction(1, 100) - Fraction(1, 10**12)
    direct = ask(world, ada, rho="0.01")
    assert cost(direct) == 0
    bar = direct["mechanisms"][0]["error_bar"]
    alone = ask(world, ada, rho="0.01", fresh=True)["mechanisms"][0]["error_bar"]
    assert bar == alone


def test_more_error_than_what_is_there_is_free(world: World, analysts) -> None:
    ada, _ = analysts
    best = ask(world, ada, rho="0.01")
    worse = ask(world, ada, rho="0.002")
    assert worse["rows"] == best["rows"]
    assert worse["error_bars"] == best["error_bars"]
    assert (worse["replayed"], cost(worse)) == (True, 0)


def test_the_quote_tells_what_is_left_to_pay_and_only_by_one_s_own_releases(
    world: World, analysts
) -> None:
    ada, bob = analysts
    ask(world, ada, rho="0.004")

    def quoted(who: str, rho: str) -> Fraction:
        quote = world.ask(SEX, who=who, path="/v1/quote", rho=rho, fresh=False).json()
        return Fraction(quote["loss"]["rho"])

    assert quoted(ada, "0.004") == quoted(ada, "0.001") == 0
    assert quoted(ada, "0.01") == pytest.approx(Fraction(6, 1000), rel=1e-9)
    assert quoted(bob, "0.004") == Fraction(4, 1000)


def test_laplace_noise_and_protected_keys_are_not_topped_up(world: World, analysts) -> None:
    ada, _ = analysts
    for sql, more in (
        (SEX, {"delta": 0}),
        ("SELECT diagnosis, count(*) FROM visits GROUP BY diagnosis", {"delta": "1e-7"}),
    ):
        ask(world, ada, sql, rho="0.001", **more)
        assert cost(ask(world, ada, sql, rho="0.01", **more)) == Fraction(1, 100)


def test_a_replay_under_a_request_id_is_an_entry_of_its_own(world: World, analysts) -> None:
    ada, _ = analysts
    first = ask(world, ada)
    named = ask(world, ada, request_id="mine")
    assert named["rows"] == first["rows"]
    assert named["release_id"] != first["release_id"]
    assert cost(named) == 0
    assert ask(world, ada, request_id="mine")["release_id"] == named["release_id"]


def test_what_is_topped_up_has_the_mean_and_the_variance_of_one_draw(
    world: World, analysts
) -> None:
    """Forty questions in two steps each; the mean and the spread of their errors, within four of
    their own deviations. Each question is another one, so that nothing is given again."""
    ada, _ = analysts
    errors = []
    with world.on("empty"):
        for i in range(40):
            sql = f"SELECT count(*) FROM patients WHERE age <> {200 + i}"
            ask(world, ada, sql, error="400")
            body = ask(world, ada, sql, error="60")
            assert body["mechanisms"][0]["name"] == "discrete_gaussian"
            sigma = body["mechanisms"][0]["sigma"]
            errors.append(body["rows"][0][0])
    assert abs(statistics.fmean(errors)) < 4 * sigma / math.sqrt(40)
    assert abs(statistics.pvariance(errors, 0) / sigma**2 - 1) < 4 * math.sqrt(2 / 40)
