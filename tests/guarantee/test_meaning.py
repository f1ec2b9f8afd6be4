"""Without the noise, an answer is what Postgres gives for the analyst's own text.

Over tame data, where no bound bites and every key is declared, with nothing added in place of noise and
a threshold that shows every group. Groups of public keys that have no row are ours alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import psycopg
import pytest

from analyzer.analyze import analyze
from analyzer.asks import EpsilonAsk
from analyzer.plan import PrivatePlan, QueryOptions
from analyzer.refusals import Refusal
from server import releases
from tests.guarantee import data, everyday, questions
from tests.guarantee.generator import Generator
from tests.guarantee.replay import Replay, Row
from tests.guarantee.test_road import Recorder
from tests.postgres import Postgres
from tests.released import publish

_WIDE = QueryOptions(max_rows_contributed=1_000, max_groups_contributed=1_000)
_ASK = EpsilonAsk(Fraction(5), Fraction(1, 10**6))
_READ_OFF = re.compile(r"percentile|\bmin\(|\bmax\(")
"""Read off a histogram, so as good as its buckets: ``tests/mechanisms`` has what is true of them."""


@pytest.fixture(scope="module")
def tame_places(postgres: Postgres) -> Iterator[list[Replay]]:
    with ExitStack() as stack:
        places = []
        for seed in (11, 12):
            uri = postgres.fresh()
            data.build(uri, data.tame(seed))
            places.append(stack.enter_context(Replay(uri, planned_once=False)))
        yield places


def direct(sql: str, source: Replay) -> list[Row]:
    """The analyst's text as it is."""
    with source.connection.transaction():
        source.connection.execute("SET LOCAL search_path = public")
        return source.connection.execute(sql.encode()).fetchall()


def without_noise(plan: PrivatePlan, source: Replay, monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    """The rows of the answer that the plan gives where noise is nothing and every group is shown."""
    monkeypatch.setattr(releases, "add_noise", Recorder())
    shown = replace(plan, blocks=tuple(replace(one, threshold=None) for one in plan.blocks))
    text = publish(shown, *source.exact(plan))
    return list(releases.answer(plan, source.run(plan.finish, text)).rows)


def differences(
    sql: str, plan: PrivatePlan, own: Sequence[Row], theirs: Sequence[Row]
) -> list[str]:
    """Where our rows are not those of Postgres, in words; none if nowhere."""
    found, matched = [], {}
    left = set(range(len(own)))
    places: dict[str, list[int]] = {}
    for i, row in enumerate(own):
        places.setdefault(repr(_key(plan, row)), []).append(i)
    # NULL is like any number, so rows without it choose first among groups that look the same.
    for at in sorted(range(len(theirs)), key=lambda i: theirs[i].count(None)):
        row = theirs[at]
        near = places.get(repr(_key(plan, row)), [])
        match = next((i for i in near if i in left and _alike(plan, own[i], row)), None)
        if match is not None:
            left.remove(match)
            matched[at] = match
        elif not _is_total_of_nothing(plan, row):
            found.append(f"{row} is missing")
    expected = [_key(plan, theirs[at]) for at in sorted(matched)]
    here = [_key(plan, own[i]) for i in sorted(matched.values())]
    if "ORDER BY" in _outside(sql) and here != expected:
        found.append("the order differs")
    more = [own[i] for i in sorted(left)]
    if more and not _are_public(plan):
        found.append(f"rows too many: {more[:3]}")
    for i, column in enumerate(plan.columns):
        if column.name == "count" and any(row[i] != 0 for row in more):
            found.append(f"a group without rows counts some: {more[:3]}")
    return found


def _outside(sql: str) -> str:
    """The text without what stands in parentheses."""
    inside = re.compile(r"\([^()]*\)")
    while inside.search(sql):
        sql = inside.sub("", sql)
    return sql


def _alike(plan: PrivatePlan, mine: Row, other: Row) -> bool:
    return all(
        _same(a, b) if column.noisy else _plain(a) == _plain(b)
        for column, a, b in zip(plan.columns, mine, other, strict=True)
    )


def _key(plan: PrivatePlan, row: Row) -> list[Any]:
    return [_plain(v) for v, column in zip(row, plan.columns, strict=True) if not column.noisy]


def _are_public(plan: PrivatePlan) -> bool:
    return all(block.public_keys for block in plan.blocks)


def _is_total_of_nothing(plan: PrivatePlan, row: Row) -> bool:
    """A grouping set without keys has a row even where there are no rows, and nobody to show it."""
    cells = zip(row, plan.columns, strict=True)
    return not _are_public(plan) and all(not value for value, _ in cells)


def _plain(value: Any) -> Any:
    """A group key in one spelling, whatever type it came in."""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return round(float(value), 9)
    return str(value) if isinstance(value, str | date | datetime) else value


def _same(mine: Any, other: Any) -> bool:
    """Equal to the decimals that a mean is printed with. Over no rows Postgres gives NULL, where
    we have a number: that there are none is not for us to say."""
    if other is None or isinstance(other, bool):
        return other is None or mine == other
    return mine is not None and abs(float(mine) - float(other)) <= 2e-3 * (0.1 + abs(float(other)))


@pytest.mark.parametrize("sql", [q for q in questions.ALL if not _READ_OFF.search(q)])
def test_answers_mean_what_postgres_means(
    sql: str, tame_places: list[Replay], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = analyze(sql, data.catalog(), options=_WIDE, ask=_ASK)
    for source in tame_places:
        try:
            theirs = direct(sql, source)
        except (psycopg.errors.DivisionByZero, psycopg.errors.InvalidArgumentForLogarithm):
            continue  # where Postgres fails, we have NULL
        assert not differences(sql, plan, without_noise(plan, source, monkeypatch), theirs)


@pytest.mark.parametrize("sql", [q for q in everyday.ANSWERED if not _READ_OFF.search(q.lower())])
def test_everyday_queries_mean_what_postgres_means(
    sql: str, tame_places: list[Replay], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = analyze(sql, data.catalog(), options=_WIDE, ask=_ASK, now=datetime.now(UTC))
    for source in tame_places:
        theirs = direct(sql, source)
        assert not differences(sql, plan, without_noise(plan, source, monkeypatch), theirs)


def test_most_everyday_queries_are_answered() -> None:
    every = (*everyday.QUERIES, *everyday.MORE)
    assert len(everyday.QUERIES) == len(everyday.MORE) == 60
    assert len(everyday.ANSWERED) == 120 - len(everyday.REFUSED)
    for sql in set(every) - set(everyday.ANSWERED):
        with pytest.raises(Refusal):
            analyze(sql, data.catalog(), now=datetime.now(UTC))
    for sql in everyday.ANSWERED:
        analyze(sql, data.catalog(), now=datetime.now(UTC))


def _check(
    seed: int,
    number: int,
    places: list[Replay],
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Generator], str] = Generator.question,
) -> None:
    generator, compared = Generator(seed, plain=True), 0
    for i in range(number):
        sql, source = make(generator), places[i % len(places)]
        try:
            plan = analyze(sql, data.catalog(), options=_WIDE, ask=_ASK)
        except Refusal:
            continue
        theirs = direct(sql, source)
        own = without_noise(plan, source, monkeypatch)
        assert not differences(sql, plan, own, theirs), f"seed {seed}: {sql}"
        compared += 1
    assert compared > number / 2


@pytest.mark.parametrize("seed", range(4))
def test_random_answers_mean_what_postgres_means(
    seed: int, tame_places: list[Replay], monkeypatch: pytest.MonkeyPatch
) -> None:
    _check(seed + 300, 40, tame_places, monkeypatch)


@pytest.mark.parametrize("seed", range(2))
def test_random_texts_of_several_aggregations_mean_what_postgres_means(
    seed: int, tame_places: list[Replay], monkeypatch: pytest.MonkeyPatch
) -> None:
    _check(seed + 500, 40, tame_places, monkeypatch, Generator.several)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2_000, 2_020))
def test_many_random_answers_mean_what_postgres_means(
    seed: int, tame_places: list[Replay], monkeypatch: pytest.MonkeyPatch
) -> None:
    _check(seed, 250, tame_places, monkeypatch)


def test_a_planted_difference_is_found(
    tame_places: list[Replay], monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = "SELECT kind, count(*), avg(cost) FROM visits WHERE cost > 100 GROUP BY kind"
    other = "SELECT kind, count(*), avg(cost) FROM visits WHERE cost > 1000 GROUP BY kind"
    plan = analyze(sql, data.catalog(), options=_WIDE)
    own = without_noise(plan, tame_places[0], monkeypatch)
    assert not differences(sql, plan, own, direct(sql, tame_places[0]))
    assert differences(sql, plan, own, direct(other, tame_places[0]))
    assert differences(sql, plan, own[1:], direct(sql, tame_places[0]))
