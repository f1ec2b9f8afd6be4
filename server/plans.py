"""Plans of questions, kept for a while: a plan is a pure function of what it is made from."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from uuid import UUID

from analyzer.analyze import analyze
from analyzer.asks import Ask
from analyzer.catalog import Catalog, Given
from analyzer.lexical import TextLimits
from analyzer.plan import PrivatePlan, QueryOptions


class Plans:
    """Analyzes questions, and remembers the plans of those that were asked last.

    Each analyst has entries of their own: whether a plan is at hand takes a millisecond less, which
    would otherwise tell that somebody else asked the same.

    Args:
        limits: on the texts.
        size: how many are remembered.
        clock: what the time is, in UTC; a query sees whole seconds of it.
    """

    def __init__(
        self,
        limits: TextLimits | None,
        *,
        size: int = 512,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._size = size
        self._known: OrderedDict[Hashable, PrivatePlan] = OrderedDict()

    async def plan(
        self,
        analyst: UUID,
        catalog: Catalog,
        sql: str,
        parameters: tuple[Given, ...],
        ask: Ask,
        options: QueryOptions,
    ) -> PrivatePlan:
        """The plan of a question.

        Raises:
            Refusal: the question is not answered. Refusals are not remembered.
        """
        # Python holds 1, True and Decimal(1) for equal, but writes them differently; so does SQL.
        key = (analyst, catalog.dataset, catalog.version, sql, repr(parameters), ask, options)
        now = self._clock().replace(microsecond=0)
        known = self._known.get(key)
        if known is not None and known.now in (None, now):
            self._known.move_to_end(key)
            return known
        plan = await asyncio.to_thread(
            analyze,
            sql,
            catalog,
            ask=ask,
            parameters=parameters,
            options=options,
            limits=self._limits,
            now=now,
        )
        self._known[key] = plan
        while len(self._known) > self._size:
            self._known.popitem(last=False)
        return plan
