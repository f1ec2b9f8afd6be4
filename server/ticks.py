"""When an answer leaves: at one of a few times, so that how long it took tells next to nothing.

The times are the same for every question: one tick after it came in, then two, four, eight. Between
one tick and the longest that a statement may take there are about ten of them, and an answer, or
the failure in its place, leaves at the first one that it can.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tick:
    """The first of the times, in seconds; 0 lets everything leave at once."""

    seconds: float = 0.0

    def due(self, elapsed: float) -> float:
        """The first time that is not over after ``elapsed`` seconds: the tick, doubled as often as
        it takes."""
        if elapsed <= self.seconds or self.seconds == 0:
            return max(elapsed, self.seconds)
        doubled = math.ceil(math.log2(elapsed / self.seconds))
        due = self.seconds * 2.0**doubled
        return due if due >= elapsed else 2 * due  # the logarithm may have been rounded down

    def soon(self, elapsed: float) -> float:
        """The first multiple of the tick that is not over: for who gave up, and waits no longer."""
        if self.seconds == 0:
            return elapsed
        return self.seconds * max(1, math.ceil(elapsed / self.seconds))

    async def wait(self, began: float, *, given_up: bool = False) -> None:
        """Returns when an answer to what began at ``began``, of the monotonic clock, may leave."""
        elapsed = time.monotonic() - began
        left = (self.soon(elapsed) if given_up else self.due(elapsed)) - elapsed
        if left > 0:
            await asyncio.sleep(left)
