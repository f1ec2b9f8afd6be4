"""The ways to ask, and what comes of them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from accountant.losses import EPSILON_STEPS
from analyzer.analyze import analyze
from analyzer.asks import EpsilonAsk, ErrorAsk, ErrorBar, RhoAsk, ask_of, error_bar_of
from analyzer.refusals import BadArgument
from mechanisms.calibration import NoiseKind
from tests.fixture import catalog

DEFAULT = EpsilonAsk(Fraction(1, 4), Fraction(1, 10**9))
DELTA = Fraction(1, 10**9)


@pytest.mark.parametrize(
    "text, width, rows",
    [
        ("500", 500, None),
        ("0.5", Fraction(1, 2), None),
        ("1e3", 1000, None),
        (" 5% of 20000 ", 1000, None),
        ("2.5 % of 1000", 25, None),
        ("0.5 over 2000 rows", Fraction(1, 2), 2000),
        ("1% of 50 over 2000", Fraction(1, 2), 2000),
    ],
)
def test_an_error_as_people_write_it(text: str, width: Fraction, rows: int | None) -> None:
    assert error_bar_of(text) == ErrorBar(Fraction(width), None if rows is None else Fraction(rows))


@pytest.mark.parametrize(
    "text", ["", "0", "-5", "nan", "5%", "5% of", "of 20", "0% of 5", "5 over 0 rows", "1_0", "٥"]
)
def test_what_is_no_error(text: str) -> None:
    with pytest.raises(BadArgument) as refused:
        error_bar_of(text)
    assert "5% of 20000" in refused.value.hint


def test_what_is_not_said_is_the_default_s() -> None:
    half = Fraction(1, 2)
    assert ask_of(DEFAULT) == DEFAULT
    assert ask_of(DEFAULT, delta=Fraction(0)) == EpsilonAsk(DEFAULT.epsilon, Fraction(0))
    assert ask_of(DEFAULT, epsilon=half) == EpsilonAsk(half, DELTA)
    assert ask_of(DEFAULT, rho=half) == RhoAsk(half, DELTA)
    assert ask_of(DEFAULT, error=ErrorBar(half), delta=half) == ErrorAsk(ErrorBar(half), half)
    by_rho = RhoAsk(half, DELTA)
    assert ask_of(by_rho, delta=Fraction(0)) == RhoAsk(half, Fraction(0))


@pytest.mark.parametrize("pair", [("epsilon", "rho"), ("rho", "error"), ("epsilon", "error")])
def test_two_ways_at_once_are_refused(pair: tuple[str, str]) -> None:
    ways = {"epsilon": Fraction(1), "rho": Fraction(1), "error": ErrorBar(Fraction(1))}
    with pytest.raises(BadArgument, match="one way"):
        ask_of(DEFAULT, **{name: ways[name] for name in pair})  # type: ignore[arg-type]


def ask_for(error: str) -> ErrorAsk:
    return ErrorAsk(error_bar_of(error), DELTA)


def test_every_count_and_sum_keeps_the_error_and_none_is_better_than_asked() -> None:
    sql = "SELECT sex, count(*), sum(age), count(DISTINCT city) FROM patients GROUP BY sex"
    plan = analyze(sql, catalog(), ask=ask_for("5% of 20000"))
    for draw in plan.draws:
        assert draw.error_bar * draw.tick <= 1000
        assert draw.error_bar * draw.tick > 1000 - 2 * draw.tick


def test_a_smaller_error_costs_more() -> None:
    sql = "SELECT count(*) FROM patients"
    costs = [analyze(sql, catalog(), ask=ask_for(e)).loss.rho for e in ("1000", "100", "10")]
    assert costs == sorted(costs)
    assert costs[0] < costs[1] < costs[2]


def test_an_average_over_so_many_rows_keeps_the_error() -> None:
    """The worst place for a mean is at a bound: all the noise of one cell is in it."""
    plan = analyze("SELECT avg(age) FROM patients", catalog(), ask=ask_for("0.5 over 2000 rows"))
    (draw,) = plan.draws
    width = draw.tick.denominator  # one row adds as much as the axis is wide
    assert draw.error_bar * draw.tick * width / 2000 <= Fraction(1, 2)
    assert (draw.error_bar + 2) * draw.tick * width / 2000 > Fraction(1, 2)


@pytest.mark.parametrize(
    "sql",
    ["SELECT avg(age) FROM patients", "SELECT stddev(age), corr(age, bmi) FROM patients"],
)
def test_an_error_that_nobody_can_know_beforehand_is_refused(sql: str) -> None:
    with pytest.raises(BadArgument, match="beforehand") as refused:
        analyze(sql, catalog(), ask=ask_for("10"))
    assert "count(*)" in refused.value.hint


def test_beside_a_count_an_average_gets_as_much_as_the_count() -> None:
    plan = analyze("SELECT count(*), avg(age) FROM patients", catalog(), ask=ask_for("30"))
    count, mean = plan.draws
    assert count.error_bar <= 30
    assert count.noise.kind is mean.noise.kind
    each = [d.sensitivity.l2_squared / d.noise.scale**2 for d in plan.draws]
    assert float(each[0]) == pytest.approx(float(each[1]))


def test_an_error_that_costs_too_much_is_refused_with_its_price() -> None:
    with pytest.raises(BadArgument, match="more than one answer may"):
        analyze("SELECT sum(age) FROM patients", catalog(), ask=ask_for("10"))


def test_an_ask_in_rho_costs_that_rho() -> None:
    rho = Fraction(1, 1000)
    plan = analyze("SELECT count(*), sum(age) FROM patients", catalog(), ask=RhoAsk(rho, DELTA))
    assert plan.loss.rho == rho * EPSILON_STEPS
    assert {d.noise.kind for d in plan.draws} == {NoiseKind.GAUSSIAN}
    assert plan.loss.delta == 10**9
    assert plan.loss.slack == 0


def test_numbers_that_share_a_draw_make_it_worth_more() -> None:
    """Both quantiles are read off one histogram: it gets two thirds, the count one."""
    sql = (
        "SELECT count(*), max(age), percentile_cont(0.9) WITHIN GROUP (ORDER BY age) FROM patients"
    )
    plan = analyze(sql, catalog(), ask=EpsilonAsk(Fraction(3, 10), Fraction(0)))
    shares = {d.label: d.sensitivity.l1 / d.noise.scale for d in plan.draws}
    assert float(shares["count(*)"]) == pytest.approx(0.1)
    assert float(shares["histogram of age"]) == pytest.approx(0.2)


def test_arithmetic_does_not_change_what_a_draw_is_worth() -> None:
    plain = analyze("SELECT count(*), sum(age) FROM patients", catalog())
    worked = analyze("SELECT sum(age) / count(*), 2 * count(*), count(*) FROM patients", catalog())
    assert {d.noise for d in plain.draws} == {d.noise for d in worked.draws}
