"""Whoever averages pays for each independent draw: information never grows faster than charges.

A draw of Gaussian noise tells ``1 / sigma^2`` of Fisher information of its number, and costs rho
``l2^2 / (2 sigma^2)``; the information of independent draws adds up, and that of a number that was
seen before is nothing. So what an attacker can make of all answers together, however they are
weighted, is bounded by twice the rho that was charged, if that holds for each step.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import pytest

from tests.guarantee.attacks.world import World

COUNT = "SELECT count(*) FROM visits v JOIN patients p ON p.id = v.patient_id WHERE p.age > {}"
SAME = (
    "SELECT count(*) FROM patients p JOIN visits v ON v.patient_id = p.id WHERE {} < p.age",
    "SELECT count(*) FROM visits w, patients q WHERE q.id = w.patient_id AND q.age > {}",
    "SELECT count(*) AS n FROM patients, visits WHERE patients.id = patient_id AND NOT age <= {}",
    "SELECT count(*) + 0 FROM visits v JOIN patients p ON p.id = v.patient_id WHERE p.age > {}.0",
    "SELECT count(*) FROM visits v JOIN patients p ON p.id = v.patient_id WHERE p.age > {} LIMIT 1",
    "SELECT count(*) FROM visits v JOIN patients p ON p.id = v.patient_id WHERE p.age > {} HAVING count(*) > -1000000 ORDER BY 1 DESC",
    "WITH q AS (SELECT count(*) AS n FROM patients p, visits v WHERE p.id = v.patient_id AND p.age > {}) SELECT n FROM q",
)
"""What has to be known again."""
OTHER = (
    "SELECT count(*) FROM visits v JOIN patients p ON p.id = v.patient_id WHERE p.age + 0 > {}",
    "SELECT count(*) FROM visits v JOIN patients p ON p.id = v.patient_id WHERE p.age * 1 > {}",
    "SELECT count(*) FROM (SELECT v.id, p.age FROM visits v JOIN patients p ON p.id = v.patient_id) q WHERE q.age > {}",
    "SELECT count(*) FROM visits v JOIN patients p ON p.id = v.patient_id WHERE p.age > {} AND (p.active OR NOT p.active)",
)
"""What means the same and is not known again: it is paid for."""
_HAIR = Fraction(1, 10**9)
"""Rounding of sigma, and of charges to the ledger's steps, beside a draw's rho."""
_numbers = itertools.count(200)


@dataclass
class Attack:
    """Asks one count, whose true value is nobody's business, and keeps the account of it."""

    world: World
    who: tuple[str, ...]
    limit: int = field(default_factory=lambda: next(_numbers))
    seen: dict[str, dict[int, Fraction]] = field(default_factory=lambda: defaultdict(dict))
    """Of each analyst, the numbers that were told, with the precision (1 / sigma^2) of each."""
    builds: bool = False
    """Whether askers build on their earlier answers; else each draw is independent of all others."""

    def ask(self, who: str, sql: str = COUNT, **fields: Any) -> Fraction:
        """Asks, and holds what was learnt against what was charged; returns the charge in rho."""
        own, shared, fetched = self.rho(who), self.rho(None), self.fetched()
        asked = {"delta": "1e-6", "fresh": False, **({} if "error" in fields else {"rho": "0.001"})}
        with self.world.on("empty"):
            reply = self.world.ask(sql.format(self.limit), who=who, **{**asked, **fields})
        assert reply.status_code == 200, reply.text
        body = reply.json()
        (mechanism,) = body["mechanisms"]
        assert mechanism["name"] == "discrete_gaussian"
        own, shared = self.rho(who) - own, self.rho(None) - shared
        number, precision = body["rows"][0][0], 1 / Fraction(mechanism["sigma"]) ** 2
        learnt = self._learnt(who, number, precision, drawn=self.fetched() > fetched)
        l2 = Fraction(mechanism["l2_sensitivity"]) ** 2
        assert own >= l2 * learnt / 2 * (1 - _HAIR), (sql, fields)
        if self.fetched() > fetched:
            assert shared >= l2 * learnt / 2 * (1 - _HAIR), (sql, fields)
        else:
            assert shared == 0
            assert any(number in numbers for numbers in self.seen.values())
        self.seen[who][number] = precision
        return own

    def quoted(self, who: str, **fields: Any) -> Fraction:
        """What the same question would cost."""
        asked = {"delta": "1e-6", "fresh": False, **fields}
        reply = self.world.ask(COUNT.format(self.limit), who=who, path="/v1/quote", **asked)
        return Fraction(reply.json()["loss"]["rho"])

    def _learnt(self, who: str, number: int, precision: Fraction, *, drawn: bool) -> Fraction:
        """The precision that a number adds to what its asker has seen: all of it, unless it was
        told before or is built on what was told with less of it."""
        told = self.seen[who]
        if number in told and not drawn:
            return Fraction(0)
        below = [p for p in told.values() if p < precision]
        return precision - max(below) if drawn and self.builds and below else precision

    def rho(self, who: str | None) -> Fraction:
        row = self.world._books.execute(
            "SELECT rho_spent FROM accounts a LEFT JOIN analysts n ON n.id::text = a.holder"
            " WHERE n.name IS NOT DISTINCT FROM %s AND dataset = 'clinic'",
            [who],
        ).fetchone()
        assert row
        return Fraction(row[0], 10**12)

    def fetched(self) -> int:
        return self.world.spy.calls.count("fetch")


@pytest.fixture
def attack(world: World, request: pytest.FixtureRequest) -> Iterator[Attack]:
    world.run(world.ledger.advance_epoch("clinic"))
    name = f"a{abs(hash(request.node.name)) % 10**9}"
    yield Attack(world, (world.analyst(f"{name}a"), world.analyst(f"{name}b")))
    world.run(world.ledger.advance_epoch("clinic"))


def test_disguises_of_one_question_are_one_draw(attack: Attack) -> None:
    ada, bob = attack.who
    assert attack.ask(ada) == Fraction(1, 1000)
    for i, sql in enumerate((*SAME, COUNT)):
        assert attack.ask(ada, sql) == 0
        assert attack.ask(ada, sql, request_id=f"again{i}") == 0
        assert attack.ask(bob, sql) == (0 if i else Fraction(1, 1000))
    assert len(set(attack.seen[ada]) | set(attack.seen[bob])) == 1


def test_what_is_not_known_again_is_paid_for(attack: Attack) -> None:
    ada, _ = attack.who
    for sql in (COUNT, *OTHER):
        assert attack.ask(ada, sql) == Fraction(1, 1000)
    for _ in range(3):
        assert attack.ask(ada, fresh=True) == Fraction(1, 1000)


def test_less_and_more_in_turns_is_paid_step_by_step(attack: Attack) -> None:
    """Each builds on own answers and pays the difference, though the other has been told as much
    already: to be told the same as that one would cost the whole."""
    attack.builds = True
    ada, bob = attack.who
    for who, rho in ((ada, "0.001"), (bob, "0.002"), (ada, "0.004"), (ada, "0.002"), (bob, "0.01")):
        attack.ask(who, SAME[0] if who == ada else COUNT, rho=rho)
    quote = attack.quoted(ada, rho="0.01")
    assert attack.ask(ada, rho="0.01") == quote == pytest.approx(Fraction(6, 1000), rel=1e-9)
    assert attack.ask(ada, rho="0.001") == 0
    for who in (ada, bob):
        assert attack.rho(who) == pytest.approx(Fraction(1, 100), rel=1e-9)


def test_two_who_build_on_one_release_pay_for_each_of_their_draws(attack: Attack) -> None:
    """What Ada was told is told to Bob for a charge, and so is what she made more exact of it: he
    pays the whole each time, and the data set, which paid for both draws, nothing more."""
    attack.builds = True
    ada, bob = attack.who
    before = attack.rho(None)
    assert attack.ask(ada, rho="0.004") == attack.ask(bob, rho="0.004") == Fraction(4, 1000)
    assert attack.ask(ada, rho="0.01") == pytest.approx(Fraction(6, 1000), rel=1e-9)
    assert attack.ask(bob, rho="0.01") == pytest.approx(Fraction(10, 1000), rel=1e-9)
    assert attack.seen[ada] == attack.seen[bob]
    assert attack.rho(None) - before == pytest.approx(Fraction(10, 1000), rel=1e-9)


def test_an_earlier_epoch_is_no_base_and_what_was_drawn_afresh_is_one(attack: Attack) -> None:
    ada, _ = attack.who
    attack.ask(ada, rho="0.004")
    attack.world.run(attack.world.ledger.advance_epoch("clinic"))
    assert attack.ask(ada, rho="0.01") == Fraction(1, 100)
    attack.limit = next(_numbers)
    attack.builds = True
    attack.ask(ada, rho="0.004", fresh=True)
    assert attack.ask(ada, rho="0.01") == pytest.approx(Fraction(6, 1000), rel=1e-9)


def test_the_best_of_several_bases_is_built_on_and_only_it(attack: Attack) -> None:
    """Two independent answers, one of them drawn afresh; more exact than either is one step from
    one of them. The other stays what it was: paid for by itself."""
    attack.builds = True
    ada, bob = attack.who
    attack.ask(ada, rho="0.001")
    attack.ask(bob, rho="0.003")
    assert attack.ask(ada, rho="0.004") == pytest.approx(Fraction(3, 1000), rel=1e-9)
    attack.builds = False
    assert attack.ask(ada, rho="0.002", fresh=True) == Fraction(2, 1000)
