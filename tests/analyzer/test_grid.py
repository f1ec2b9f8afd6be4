"""Clamped floats on their grid, as the emitted SQL computes them on a live PostgreSQL."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import psycopg

from analyzer.emit_bounds import grid_point
from analyzer.expressions import Facts, Ref
from analyzer.measures import Axis
from analyzer.types import Type
from tests.postgres import Postgres

_FLOAT = Ref("t", "x", Type.FLOAT8, True, Facts(Type.FLOAT8))
_STRANGE = (math.nan, math.inf, -math.inf, 5e-324, -5e-324, 1e308, -1e308, 0.0, -0.0)


def test_no_float_is_rounded_past_its_bounds(postgres: Postgres) -> None:
    """Bounds up to 2^30 steps, values at them, one float beside them, and halfway between steps."""
    chance = random.Random(5)
    with psycopg.connect(postgres.fresh()) as connection:
        for _ in range(300):
            most = chance.choice((1, 10, 1000, 2**30 - 1))
            low, high = sorted(chance.randint(-most, most) for _ in range(2))
            tick = Fraction(1, chance.choice((1, 2, 3, 7, 10, 1000, 10**6, 10**15)))
            ends = [float(end * tick) for end in (low, high)]
            values = [
                *ends,
                *_STRANGE,
                *(math.nextafter(e, w) for e in ends for w in _STRANGE[1:3]),
            ]
            values += [float((chance.randint(low, high) + Fraction(1, 2)) * tick) for _ in range(5)]
            text = grid_point(Axis(_FLOAT, low, high, tick), "v.x")
            rows = connection.execute(
                f"SELECT v.x, {text} FROM unnest(%s::float8[]) AS v (x)".encode(), [values]
            ).fetchall()
            assert all(low <= point <= high for _, point in rows)
            for value, point in rows:
                kept = ends[1] if math.isnan(value) else min(max(value, ends[0]), ends[1])
                assert abs(point - kept * float(1 / tick)) <= 0.5
