"""Every request of the corpus against the real server, judged by the oracles that the case names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import httpx
import pytest

from analyzer.analyze import analyze
from analyzer.asks import ask_of
from analyzer.plan import PrivatePlan, QueryOptions
from mechanisms.calibration import Noise
from server import releases
from server.policy import parse_policy
from server.replies import loss_json
from tests import fixture
from tests.guarantee.attacks.corpus import Text, every_text
from tests.guarantee.attacks.world import POLICY, Books, World
from tests.guarantee.conftest import Place
from tests.guarantee.replay import replay
from tests.released import Rows, publish

CATALOG = parse_policy(POLICY)


def asked(*, answered: bool) -> list[Text]:
    """The corpus's texts that are answered, or those that are not, without the known holes."""
    return [text for text in every_text() if text.answered == answered and not text.hole]


def texts(*, answered: bool) -> list[Any]:
    """The same as test parameters."""
    return [pytest.param(text, id=text.name) for text in asked(answered=answered)]


def test_known_holes_are_still_there(world: World) -> None:
    """Fails when a hole is closed: then its line in the corpus goes. What should be refused is
    only quoted here, as it may run for ever."""
    paths = {True: "/v1/query", False: "/v1/quote"}
    known = [text for text in every_text() if text.hole]
    closed = [
        text.name
        for text in known
        if outcome(world.put(text, path=paths[text.answered])) == text.expected
    ]
    assert not closed


def outcome(reply: httpx.Response) -> str:
    """What became of a request, in the words of the corpus."""
    if reply.status_code == 200:
        return "A"
    state = reply.json()["sqlstate"]
    return f"{'F' if state == 'ZP000' else 'R'} {state}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What many requests got and left behind."""

    replies: Mapping[str, Mapping[str, httpx.Response]]
    """By clinic, then by the text's name."""
    before: Traces
    after: Traces


@dataclass(frozen=True, slots=True)
class Traces:
    """All that may move when a question is asked."""

    books: Books
    calls: int
    statements: object

    @classmethod
    def of(cls, world: World) -> Traces:
        return cls(world.books(), len(world.spy.calls), world.statements())


def ask_all(world: World, clinics: Sequence[str], *, answered: bool, quoted: bool = False) -> Asked:
    wanted = asked(answered=answered)
    before = Traces.of(world)
    replies = {name: world.put_all(wanted, name) for name in clinics}
    if quoted:
        replies["quote"] = world.put_all(wanted, "D", "/v1/quote")
    return Asked(replies, before, Traces.of(world))


@pytest.fixture(scope="module")
def refused(world: World) -> Asked:
    return ask_all(world, ("D", "without", "empty"), answered=False)


@pytest.fixture(scope="module")
def refused_elsewhere(world: World) -> Asked:
    return ask_all(world, ("D", "W", "P"), answered=False, quoted=True)


@pytest.fixture(scope="module")
def answers(world: World) -> Asked:
    return ask_all(world, ("D", "P"), answered=True)


@pytest.fixture(scope="module")
def answers_elsewhere(world: World) -> Asked:
    return ask_all(world, ("without", "W", "empty"), answered=True)


@pytest.mark.parametrize("text", texts(answered=False))
def test_a_refusal_has_its_code_and_says_nothing_of_the_data(refused: Asked, text: Text) -> None:
    """T1, T3, T6, T9: the code; the same bytes with Alice, without her, and over nothing."""
    assert_refused(refused, text)


@pytest.mark.slow
@pytest.mark.parametrize("text", texts(answered=False))
def test_a_refusal_is_the_same_with_a_whale_with_poison_and_as_a_quote(
    refused_elsewhere: Asked, text: Text
) -> None:
    assert_refused(refused_elsewhere, text)


def assert_refused(these: Asked, text: Text) -> None:
    replies = {name: of[text.name] for name, of in these.replies.items()}
    assert outcome(replies["D"]) == text.expected, replies["D"].text
    said = {name: _said(reply) for name, reply in replies.items()}
    assert len(set(said.values())) == 1, said


def test_refusals_cost_nothing_and_send_nothing_to_postgres(refused: Asked) -> None:
    """T1 of all refusals together: no entry, no debit, no call of the engine, and by Postgres' own
    word not one statement to any of its backends."""
    assert refused.after == refused.before


@pytest.mark.slow
@pytest.mark.parametrize("text", texts(answered=False))
def test_each_refusal_costs_nothing_and_sends_nothing(world: World, text: Text) -> None:
    """The same one by one, which says whose fault it was."""
    before = Traces.of(world)
    world.put(text)
    assert Traces.of(world) == before


def _said(reply: httpx.Response) -> tuple[int, bytes, tuple[tuple[str, str], ...]]:
    """Every byte of a reply but its date, which every reply of HTTP has."""
    headers = ((name, value) for name, value in reply.headers.items() if name != "date")
    return reply.status_code, reply.content, tuple(sorted(headers))


@pytest.mark.parametrize("text", texts(answered=True))
def test_an_answer_looks_alike_whatever_the_data_holds(answers: Asked, text: Text) -> None:
    """T3, and the shape of T2: poison changes neither the outcome nor anything but noisy cells."""
    assert_alike(answers, text)


@pytest.mark.slow
@pytest.mark.parametrize("text", texts(answered=True))
def test_an_answer_looks_alike_without_alice_with_a_whale_and_over_nothing(
    answers_elsewhere: Asked, text: Text
) -> None:
    assert_alike(answers_elsewhere, text)


def assert_alike(these: Asked, text: Text) -> None:
    plan = plan_of(text)
    public = all(block.public_keys for block in plan.blocks) and not _is_cut(text.sql)
    told, lengths = set(), set()
    for name, of in these.replies.items():
        reply = of[text.name]
        assert outcome(reply) == "A", (name, reply.text)
        body = reply.json()
        # The databases are asked one after the other, and the clock goes on.
        body["notices"] = [one for one in body["notices"] if "current time" not in one]
        told.add(repr([body[part] for part in ("columns", "mechanisms", "notices", "loss")]))
        assert body["loss"] == loss_json(plan.loss)
        if public and name != "empty":  # that has no public rows either
            lengths.add(len(body["rows"]))
    assert len(told) == 1
    assert len(lengths) == (1 if public else 0)


def test_the_price_of_an_answer_is_that_of_its_plan_on_every_database(answers: Asked) -> None:
    """T5 and the charge of T2: one entry for each answer, and their losses, and nothing else."""
    losses = [plan_of(text).loss for text in asked(answered=True)]
    times = len(answers.replies)
    entries, before = answers.after.books.entries, answers.before.books.entries
    assert entries[0] - before[0] == times * len(losses)
    assert int(entries[4]) - int(before[4]) == times * sum(loss.epsilon for loss in losses)
    assert int(entries[5]) - int(before[5]) == times * sum(loss.delta for loss in losses)


def _is_cut(sql: str) -> bool:
    """Whether noise decides how many rows there are."""
    return any(word in sql.lower() for word in ("having", "limit", "offset"))


@pytest.mark.parametrize("text", texts(answered=True))
def test_one_person_changes_no_more_than_is_declared(
    text: Text, clinic_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T2: the people of D, a whale and some poisoned ones, each taken out in turn."""
    plan, (source, people) = plan_of(text), clinic_place
    declared = {draw.label: float(draw.sensitivity.l1 * draw.tick) for draw in plan.draws}
    assert text.l1.items() <= declared.items()
    assert replay(plan, source, people[::2]) == []
    laws = Counter(draw.noise for draw in plan.draws)
    assert _drawn(plan, source.exact(plan), monkeypatch) == laws
    with source.without(fixture.ALICE):
        assert _drawn(plan, source.exact(plan), monkeypatch) == laws


@pytest.mark.slow
@pytest.mark.parametrize("text", texts(answered=True))
def test_nobody_changes_more_than_is_declared(text: Text, clinic_place: Place) -> None:
    plan, (source, people) = plan_of(text), clinic_place
    assert replay(plan, source, people[1::2]) == []


@pytest.mark.slow
@pytest.mark.parametrize("text", [pytest.param(t, id=t.name) for t in asked(answered=True)])
def test_a_person_of_ten_thousand_visits_changes_no_more(text: Text, large_place: Place) -> None:
    """T2 on the catalogue's own sizes, for Alice and the whale."""
    source, people = large_place
    assert replay(plan_of(text), source, people) == []


def _drawn(
    plan: PrivatePlan, rows: Sequence[Rows], monkeypatch: pytest.MonkeyPatch
) -> Counter[Noise]:
    """How often publishing draws from each law."""
    drawn: Counter[Noise] = Counter()

    def record(values: Sequence[int], noise: Noise) -> list[int]:
        drawn[noise] += 1
        return list(values)

    monkeypatch.setattr(releases, "add_noise", record)
    publish(plan, *rows)
    return drawn


_PLANS: dict[str, PrivatePlan] = {}


def plan_of(text: Text) -> PrivatePlan:
    """What the server makes of a text. Planned once: planning is most of the time of many tests."""
    if text.name not in _PLANS:
        _PLANS[text.name] = _planned(text)
    return _PLANS[text.name]


def _planned(text: Text) -> PrivatePlan:
    asked = text.ask
    epsilon, delta = (asked.get(name) for name in ("epsilon", "delta"))
    ask = ask_of(
        CATALOG.default_ask,
        epsilon=None if epsilon is None else Fraction(str(epsilon)),
        delta=None if delta is None else Fraction(str(delta)),
    )
    parameters = [Decimal(str(p)) if isinstance(p, float) else p for p in text.parameters]
    rows, groups = (asked.get(f"max_{name}_contributed") for name in ("rows", "groups"))
    options = QueryOptions(rows, groups)
    return analyze(
        text.sql, CATALOG, ask=ask, parameters=parameters, options=options, now=datetime.now(UTC)
    )
