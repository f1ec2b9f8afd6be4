"""Exact rows to noisy JSON, and noisy outputs to an answer: with noise that is known.

The noise is a stand-in here, so that every number can be foretold. The noise itself is tested in
``tests/mechanisms``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

import server.releases
from analyzer.analyze import analyze
from analyzer.plan import OutputColumn, PrivatePlan
from analyzer.types import Type
from mechanisms.calibration import Noise
from server.releases import Publisher, TooManyGroups, TooManyPublicRows, answer
from tests.fixture import catalog
from tests.released import noisy_groups, publish


class Stub:
    """In place of ``add_noise``: adds these numbers over and over, and remembers its calls."""

    def __init__(self, *noise: int) -> None:
        self.noise = noise or (0,)
        self.calls: list[tuple[list[int], Noise]] = []

    def __call__(self, values: Sequence[int], noise: Noise) -> list[int]:
        self.calls.append((list(values), noise))
        return [v + self.noise[i % len(self.noise)] for i, v in enumerate(values)]


@pytest.fixture
def stub(monkeypatch):
    def use(*noise: int) -> Stub:
        made = Stub(*noise)
        monkeypatch.setattr(server.releases, "add_noise", made)
        return made

    return use


def _plan(sql: str) -> PrivatePlan:
    return analyze(sql, catalog())


class TestPublish:
    def test_every_cell_of_every_group_gets_noise_of_its_own(self, stub):
        noise = stub(1, 20, 300)
        plan = _plan("SELECT sex, count(*) FROM patients GROUP BY sex")
        noisy = noisy_groups(plan, [("female", 5), ("male", 7), ("other", 0)])
        assert noisy == [
            {"r": 0, "k0": "female", "c0": 6},
            {"r": 1, "k0": "male", "c0": 27},
            {"r": 2, "k0": "other", "c0": 300},
        ]
        assert noise.calls == [([5, 7, 0], plan.draws[0].noise)]

    def test_each_draw_is_one_call_with_its_own_noise(self, stub):
        noise = stub()
        plan = _plan("SELECT count(*), sum(age), avg(bmi) FROM patients")
        cells = sum(len(draw.cells) for draw in plan.draws)
        publish(plan, [tuple(range(cells))])
        assert noise.calls == [(list(draw.cells), draw.noise) for draw in plan.draws]

    def test_nothing_exact_is_left(self, monkeypatch):
        """With noise that hides everything, the same comes of any data."""
        monkeypatch.setattr(server.releases, "add_noise", lambda values, _: [7] * len(values))
        plan = _plan("SELECT sex, count(*), sum(age) FROM patients GROUP BY sex")
        keys = ("female", "male", "other")
        one = publish(plan, [(key, 1, 2) for key in keys])
        assert one == publish(plan, [(key, 10**6, 10**9) for key in keys])

    def test_groups_of_few_people_are_left_out_and_the_others_numbered_anew(self, stub):
        stub()
        plan = _plan("SELECT diagnosis, count(*) FROM visits GROUP BY diagnosis")
        assert plan.blocks[0].selection is not None
        assert plan.blocks[0].threshold is not None
        (units,) = plan.draws[plan.blocks[0].selection].cells

        def row(key: str | None, people: int) -> tuple[Any, ...]:
            cells = [0] * sum(len(draw.cells) for draw in plan.draws)
            cells[units] = people
            return (key, *cells)

        at = plan.blocks[0].threshold
        exact = [row("a", at - 1), row("b", at), row("c", at + 1), row(None, 10 * at), row("d", 0)]
        noisy = noisy_groups(plan, exact)
        assert [(group["r"], group["k0"]) for group in noisy] == [(0, "b"), (1, "c"), (2, None)]

    def test_it_is_the_noisy_number_that_meets_the_threshold(self, stub):
        plan = _plan("SELECT zip, count(DISTINCT id) FROM patients GROUP BY zip")
        at = plan.blocks[0].threshold
        assert at is not None
        stub(1, -1)
        noisy = noisy_groups(plan, [("a", at - 1), ("b", at)])
        assert [group["k0"] for group in noisy] == ["a"]

    def test_no_group_at_all_is_an_empty_list(self, stub):
        stub()
        plan = _plan("SELECT diagnosis, count(*) FROM visits GROUP BY diagnosis")
        assert noisy_groups(plan, []) == []

    def test_the_limit_on_groups_is_on_those_that_are_shown(self, stub):
        """Hidden ones are as many as the data has, which nobody may find out."""
        stub()
        plan = _plan("SELECT zip, count(DISTINCT id) FROM patients GROUP BY zip")
        at = plan.blocks[0].threshold
        assert at is not None
        publisher = Publisher(plan, most=2)
        publisher.take(0, [(f"few {i}", at - 1) for i in range(50)])
        publisher.take(0, [("a", at), ("b", at)])
        publisher.take(0, [("few", at - 1)])
        with pytest.raises(TooManyGroups):
            publisher.take(0, [("c", at)])

    def test_too_many_public_rows_are_said_to_be(self):
        plan = _plan("SELECT name FROM cities ORDER BY name")
        publisher = Publisher(plan)
        rows = [("same name", "region", number) for number in range(1, 10_001)]
        publisher.take(0, rows)
        ((first, *_, last),) = json.loads(publisher.release())
        assert (first, last) == (
            [["same name", "region", 1], []],
            [["same name", "region", 10_000], []],
        )
        with pytest.raises(TooManyPublicRows, match="more than 10000 rows of public tables"):
            publisher.take(0, [("one more", "region", 10_001)])

    def test_rows_come_in_pieces_and_parts(self, stub):
        """Cells beside the first part have noise too, also where a group has no row there."""
        stub(1, 20, 300, 4_000)
        plan = _plan("SELECT sex, count(DISTINCT city), count(*) FROM patients GROUP BY sex")
        publisher = Publisher(plan)
        publisher.take(0, [(0, None, "female", 5)])
        publisher.take(0, [(0, None, "male", 7), (1, None, "male", 2), (1, None, "hidden", 9)])
        (((_, female), (_, male)),) = json.loads(publisher.release())
        (count,) = (d.cells[0] for d in plan.draws if d.label == "count(*)")
        (distinct,) = (d.cells[0] for d in plan.draws if d.label != "count(*)")
        assert (female[count], male[count]) == (6, 8)
        assert (female[distinct], male[distinct]) == (1, 22)

    def test_each_block_has_groups_of_its_own(self, stub):
        stub()
        plan = _plan("SELECT count(*) FROM patients UNION ALL SELECT count(*) FROM visits")
        *blocks, bars = json.loads(publish(plan, [(5,)], [(7,)]))
        assert blocks == [[{"r": 0, "c0": 5}], [{"r": 0, "c0": 7}]]
        assert bars == [draw.error_bar for draw in plan.draws]

    def test_public_keys_are_shown_whatever_their_number(self, stub):
        stub(-5)
        plan = _plan("SELECT sex, count(*) FROM patients GROUP BY sex")
        noisy = noisy_groups(plan, [("female", 0), ("male", 0), ("other", 0)])
        assert [group["c0"] for group in noisy] == [-5, -5, -5]

    @pytest.mark.parametrize(
        "key, shown",
        [
            (None, None),
            (True, True),
            (2**62, 2**62),
            ('quo"te \\ \u2028', 'quo"te \\ \u2028'),
            (Decimal("1.50"), "1.50"),
            (Decimal("NaN"), "NaN"),
            (date(2020, 2, 29), "2020-02-29"),
            ("infinity", "infinity"),
        ],
    )
    def test_keys_as_json_has_them(self, stub, key, shown):
        stub()
        plan = _plan("SELECT sex, count(*) FROM patients GROUP BY sex")
        (group,) = noisy_groups(plan, [(key, 1)])
        assert group == {"r": 0, "k0": shown, "c0": 1}
        assert type(group["k0"]) is type(shown)

    def test_sums_of_sql_are_decimals_and_leave_as_whole_numbers(self, stub):
        stub()
        noisy = noisy_groups(_plan("SELECT sum(age) FROM patients"), [(Decimal(2**60 + 1),)])
        assert noisy == [{"r": 0, "c0": 2**60 + 1}]


NUMBER = OutputColumn("n", Type.NUMERIC, noisy=True, draws=(0,))
WHOLE = replace(NUMBER, type=Type.INT8)
KEY = OutputColumn("k", Type.TEXT, noisy=False, draws=())


def _answered(columns: Sequence[OutputColumn], *rows: tuple[Sequence[Any], Sequence[Any]]) -> Any:
    """The answer of rows, each its outputs and its error bars as PostgreSQL gives them."""
    plan = replace(_plan("SELECT count(*) FROM patients"), columns=tuple(columns))
    finished = [(place, *outputs, *bars) for place, (outputs, bars) in enumerate(rows, start=1)]
    return answer(plan, finished)


class TestAnswer:
    """What the numbers are is tested in ``tests/analyzer/test_finish.py``; here, how they leave."""

    def test_outputs_come_before_their_error_bars(self):
        told = _answered(
            [KEY, WHOLE], (("a", 10), (None, Decimal(3))), (("b", -2), (None, Decimal(4)))
        )
        assert told.rows == (("a", 10), ("b", -2))
        assert told.error_bars == ((None, 3), (None, 4))

    def test_whole_numbers_stay_whole(self):
        told = _answered([WHOLE, NUMBER], ((Decimal(10), Decimal(10)), (Decimal(3), Decimal(3))))
        assert [type(cell) for cell in told.rows[0]] == [int, float]
        assert [type(cell) for cell in told.error_bars[0]] == [int, float]

    def test_a_number_that_is_none_has_no_bar(self):
        """A key that is NaN takes what is computed with it along."""
        told = _answered([NUMBER], ((Decimal("NaN"),), (Decimal("NaN"),)))
        assert told.rows == (("NaN",),)
        assert told.error_bars == ((None,),)

    def test_rows_keep_their_order(self):
        bars = (None, Decimal(1))
        told = _answered([KEY, WHOLE], (("z", 1), bars), (("a", 5), bars), (("m", 3), bars))
        assert [row[0] for row in told.rows] == ["z", "a", "m"]

    def test_no_row_is_an_answer_too(self):
        told = _answered([KEY, WHOLE])
        assert told.rows == ()
        assert json.dumps(told.to_json())

    @pytest.mark.parametrize(
        "value, kind, shown",
        [
            (Decimal("1.50"), Type.NUMERIC, 1.5),
            (Decimal("Infinity"), Type.NUMERIC, "Infinity"),
            (Decimal("1e4000"), Type.NUMERIC, "1E+4000"),
            (Decimal("1e-4000"), Type.NUMERIC, 0.0),
            (date(2020, 2, 29), Type.DATE, "2020-02-29"),
            ("2020-02-29 00:00:00", Type.TIMESTAMP, "2020-02-29 00:00:00"),
            (False, Type.BOOL, False),
            (None, Type.INT8, None),
        ],
    )
    def test_cells_as_json_has_them(self, value, kind, shown):
        told = _answered([replace(KEY, type=kind)], ((value,), (None,)))
        assert told.rows == ((shown,),)
        assert type(told.rows[0][0]) is type(shown)
        assert json.loads(json.dumps(told.to_json(), allow_nan=False))["rows"] == [[shown]]

    def test_mechanisms_are_told_in_the_units_of_the_data(self):
        plan = _plan("SELECT sum(cost) AS total, count(*) FROM visits")
        rows, sums = answer(plan, []).mechanisms
        assert sums["columns"] == ["total"]
        assert sums["grid"] == 0.01
        assert sums["l1_sensitivity"] == 20 * 10_000
        assert sums["error_bar"] == pytest.approx(plan.draws[1].error_bar / 100)
        assert rows["l1_sensitivity"] == 20
        assert rows["threshold"] is None

    def test_the_threshold_is_told_with_the_draw_that_it_is_about(self):
        plan = _plan("SELECT diagnosis, count(*) FROM visits GROUP BY diagnosis")
        told = [one["threshold"] for one in answer(plan, []).mechanisms]
        assert plan.blocks[0].selection is not None
        assert told.pop(plan.blocks[0].selection) == plan.blocks[0].threshold
        assert set(told) == {None}
