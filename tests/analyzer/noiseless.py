"""Answers with nothing in place of noise, beside those of a plain PostgreSQL."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tests.guarantee.replay import Replay

Asker = Callable[..., Any]
"""Answers a text; the fixture ``ask``."""


def plainly(place: Replay, sql: str) -> list[tuple[Any, ...]]:
    place.connection.execute("SET search_path = public")
    try:
        return place.execute(sql)
    finally:
        place.connection.execute("RESET search_path")


def same(shown: Any, plain: Any) -> bool:
    if isinstance(plain, Decimal | float) and not isinstance(shown, str):
        return math.isclose(float(shown), float(plain), rel_tol=1e-4, abs_tol=1e-4)
    return bool(shown == plain)
