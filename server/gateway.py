"""The road of a question, and the only file that knows every station on it.

    plan        = analyze(sql, catalog, ask)        pure; may refuse, free, without the data
    offer       = offer_of(plan, earlier)           what the asker's earlier answers are worth
    reservation = ledger.reserve(...)               durable; may refuse, free, without the data
    ledger.dispatch(reservation.id)                 from here on nothing is given back
    exact       = engine.fetch(plan.blocks)         the only contact with protected data
    noisy       = Publisher(plan).take(exact)       noise, as rows come; exact values end here
    answer      = finished(engine, plan, noisy)     arithmetic, HAVING, ORDER BY on noisy values
    tick.wait(began)                                how long it took is not for the asker
    ledger.settle(reservation.id, reply)            stored before a byte leaves

Whatever goes wrong before ``dispatch`` costs nothing: the reservation is voided. Whatever goes
wrong after it, a cancellation included, stays charged, because that it went wrong, and when, may
depend on the data. The ledger is always told, even when the asker is gone by then.

The tick comes before the ledger is told: an analyst can watch the state of a release, and the place
that it takes up.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import aclosing, contextmanager, nullcontext
from typing import Any, TypeVar
from uuid import UUID

from accountant.errors import WrongState
from accountant.ledger import Ledger, Replay, Request, Reservation
from accountant.losses import ZERO
from accountant.records import Chain
from analyzer.asks import ask_of
from analyzer.lexical import TextLimits
from analyzer.plan import PrivatePlan
from analyzer.refusals import Refusal
from server import observations as seen
from server.engines import Engine, EngineFailed
from server.finishes import Finishes, finished
from server.observations import Name, Observer, Station
from server.plans import Plans
from server.questions import (
    Dataset,
    DataUnavailable,
    FailedAfterDebit,
    Question,
    Reply,
    ServerBusy,
    TooManyQueries,
    UnknownDataset,
)
from server.releases import Publisher
from server.replies import reply_json, request_digest
from server.reuse import Offer, offer_of, put_together
from server.ticks import Tick
from server.turns import Turns

T = TypeVar("T")

_BEFORE_DATA = (Station.RESERVE, Station.READY, Station.DISPATCH)


class Gateway:
    """Answers the questions of all analysts, over all data sets.

    Args:
        datasets: what is served, by name.
        ledger: where every answer is paid for.
        observe: told what happened; never what was asked or answered.
        limits: ceilings on the SQL text.
        per_analyst: how many questions of one analyst may be under way.
        at_once: how many questions of all analysts may be under way.
        plans_kept: how many plans are remembered, of the questions that were asked last.
        tick: when answers leave.
    """

    def __init__(
        self,
        datasets: Mapping[str, Dataset],
        ledger: Ledger,
        observe: Observer,
        *,
        limits: TextLimits | None = None,
        per_analyst: int = 4,
        at_once: int = 32,
        plans_kept: int = 512,
        tick: Tick | None = None,
    ) -> None:
        self.datasets = datasets
        self._ledger = ledger
        self._observe = observe
        self._plans = Plans(limits, size=plans_kept)
        self._per_analyst = per_analyst
        self._at_once = at_once
        self._tick = tick or Tick()
        self._turns = Turns()
        self._finishes = Finishes()
        self._under_way: Counter[UUID] = Counter()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopping = False

    async def query(self, analyst: UUID, question: Question) -> Reply:
        """Answers a question, and debits it.

        Raises:
            Refusal, BudgetExceeded, NoAccount, RequestIdConflict, RequestInProgress, RequestFailed,
            TooManyQueries, ServerBusy: nothing was debited.
            DataUnavailable: the debit was taken back.
            LedgerUnavailable: the data was not asked.
            FailedAfterDebit: the data may have been asked; the charge stays.
            asyncio.CancelledError: as before or after the debit, whichever it was.
        """
        began = time.monotonic()
        with self._place_for(analyst):
            dataset = self.dataset(question.dataset)
            plan = await self._plan(analyst, dataset, question)
            offer, seen = await self._offer(analyst, question, plan)
            if offer.stored or question.request_id is not None:
                found = await self._ledger.look(_request(analyst, question, offer), seen)
                if found is not None:  # Who is told again waits for nobody.
                    return await self._given(analyst, dataset, plan, found, began)
            async with nullcontext() if question.fresh else self._turns.turn(plan.digest) as waited:
                if waited:
                    offer, _ = await self._offer(analyst, question, plan)
                offer, held = await self._hold(analyst, question, plan, offer)
                if isinstance(held, Replay) or held.cells is not None:
                    return await self._given(analyst, dataset, plan, held, began)
                return await self._answer(analyst, dataset, offer, held, began)

    async def quote(self, analyst: UUID, question: Question) -> PrivatePlan:
        """The plan that the question would be answered by, with the noise that the answer would
        have, and with what the analyst would pay. Asks no data and costs nothing.

        Raises:
            Refusal: as :meth:`query` would.
            TooManyQueries, ServerBusy, LedgerUnavailable: ask again later.
        """
        with self._place_for(analyst):
            plan = await self._plan(analyst, self.dataset(question.dataset), question)
            offer, _ = await self._offer(analyst, question, plan)
            return offer.shown

    def dataset(self, name: str | None) -> Dataset:
        """The data set of a name; None is the only one, where there is only one.

        Raises:
            UnknownDataset: there is no such one.
        """
        if name is None and len(self.datasets) == 1:
            return next(iter(self.datasets.values()))
        if name is None:
            raise UnknownDataset("Say which data set the query is for.", hint=self._known())
        if name not in self.datasets:
            raise UnknownDataset("There is no data set of this name.", hint=self._known())
        return self.datasets[name]

    async def stop(self, grace: float = 0.0) -> None:
        """Takes no more questions; cancels those that are under way after ``grace`` seconds.

        Returns when the ledger has been told of every one of them.
        """
        self._stopping = True
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=grace)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    def _known(self) -> str:
        return f"Served here: {', '.join(sorted(self.datasets))}."

    @contextmanager
    def _place_for(self, analyst: UUID) -> Iterator[None]:
        if self._stopping or self._under_way.total() >= self._at_once:
            raise ServerBusy
        if self._under_way[analyst] >= self._per_analyst:
            raise TooManyQueries
        task = asyncio.current_task()
        assert task is not None
        self._under_way[analyst] += 1
        self._tasks.add(task)
        try:
            yield
        finally:
            self._under_way[analyst] -= 1
            self._tasks.discard(task)

    async def _plan(self, analyst: UUID, dataset: Dataset, question: Question) -> PrivatePlan:
        return await self._plans.plan(
            analyst,
            dataset.catalog,
            question.sql,
            question.parameters,
            ask_of(
                dataset.catalog.default_ask,
                epsilon=question.epsilon,
                rho=question.rho,
                error=question.error,
                delta=question.delta,
            ),
            question.options,
        )

    async def _offer(
        self, analyst: UUID, question: Question, plan: PrivatePlan
    ) -> tuple[Offer, Chain | None]:
        """How to answer, by what the analyst was told before; and up to where the ledger was seen,
        if it was."""
        if question.fresh or not plan.draws:
            return Offer(plan, plan), None
        earlier, seen = await self._ledger.earlier(analyst, plan.dataset, plan.question)
        return offer_of(plan, earlier), seen

    async def _hold(
        self, analyst: UUID, question: Question, plan: PrivatePlan, offer: Offer
    ) -> tuple[Offer, Reservation | Replay]:
        """Debits what is missing, or all where what was stored counts no more by then."""
        try:
            held = await self._reserve(analyst, question, offer)
        except WrongState:
            offer = Offer(plan, plan)
            return offer, await self._reserve(analyst, question, offer)
        if offer.stored and isinstance(held, Reservation) and held.cells is None:
            await _to_the_end(self._ledger.void(held.id))
            offer = Offer(plan, plan)
            held = await self._reserve(analyst, question, offer)
        return offer, held

    async def _reserve(
        self, analyst: UUID, question: Question, offer: Offer
    ) -> Reservation | Replay:
        """Debits. If the asker goes away meanwhile, the debit is taken back: no data was asked."""
        debit = asyncio.ensure_future(self._ledger.reserve(_request(analyst, question, offer)))
        try:
            return await _to_the_end(debit)
        except asyncio.CancelledError:
            if not debit.cancelled() and debit.exception() is None:
                held = debit.result()
                if isinstance(held, Reservation) and held.recorded:
                    gone = asyncio.CancelledError()
                    await self._give_up(held, offer.plan, Station.RESERVE, gone)
            raise

    async def _given(
        self,
        analyst: UUID,
        dataset: Dataset,
        plan: PrivatePlan,
        held: Reservation | Replay,
        began: float,
    ) -> Reply:
        """The stored reply, or one from stored cells. No data is touched; but cells that somebody
        else was given are as dear as data from then on, or who gives up would learn for nothing
        that they are there."""
        if isinstance(held, Replay):
            self._observe(seen.Replayed(held.id, Name(plan.dataset), analyst))
            return Reply(held.id, held.answer, replayed=True)
        assert held.cells is not None
        station = Station.READY
        try:
            if held.charge != ZERO:
                await _require_ready(dataset.engine)
                station = Station.FINISH
            told = await self._finishes.answer(dataset.engine, plan, held.cells)
            body = reply_json(held, plan, told)
            await self._tick.wait(began)
            if held.recorded:
                await _to_the_end(self._ledger.settle(held.id, body))
        except BaseException as error:
            if held.recorded:
                await self._end(held, plan, station, error, began)
            if isinstance(error, EngineFailed):
                raise DataUnavailable from None
            raise
        self._observe(seen.Replayed(held.id, Name(plan.dataset), analyst))
        return Reply(held.id, body, replayed=held.charge == ZERO)

    async def _answer(
        self, analyst: UUID, dataset: Dataset, offer: Offer, held: Reservation, began: float
    ) -> Reply:
        """From the debit to the stored answer."""
        ledger, engine, plan = self._ledger, dataset.engine, offer.plan
        station = Station.READY
        try:
            # A database that is away would otherwise eat the budget of everybody who tries.
            await _require_ready(engine)
            station = Station.DISPATCH
            await _to_the_end(ledger.dispatch(held.id))
            station = Station.FETCH
            publisher = Publisher(plan)
            async with aclosing(engine.fetch([block.exact for block in plan.blocks])) as exact:
                async for block, some in exact:
                    await asyncio.to_thread(publisher.take, block, some)
                    del some
            station = Station.PUBLISH
            noisy = await asyncio.to_thread(publisher.release)
            made = await asyncio.to_thread(put_together, offer, noisy)
            shown, cells = made.shown, made.cells
            station = Station.FINISH
            body = reply_json(held, shown, await finished(engine, shown, cells))
            await self._tick.wait(began)
            station = Station.SETTLE
            await _to_the_end(ledger.settle(held.id, body, cells if made.kept else None))
        except BaseException as error:
            await self._end(held, plan, station, error, began)
            raise
        took = round(1000 * (time.monotonic() - began))
        self._observe(seen.Answered(held.id, Name(plan.dataset), analyst, took))
        return Reply(held.id, body, replayed=False)

    async def _end(
        self,
        held: Reservation,
        plan: PrivatePlan,
        station: Station,
        error: BaseException,
        began: float,
    ) -> None:
        """Ends a reservation that has no answer, where ``error`` came up.

        Raises:
            FailedAfterDebit: in its place, where it may not be told.
        """
        if station not in _BEFORE_DATA:
            await self._wait_to_fail(began, gone=not isinstance(error, Exception))
        await self._give_up(held, plan, station, error)
        # A refusal this late is about public rows only, and may say so.
        refused = station in _BEFORE_DATA or isinstance(error, Refusal)
        if isinstance(error, Exception) and not refused:
            raise FailedAfterDebit from None

    async def _wait_to_fail(self, began: float, *, gone: bool) -> None:
        """Until a failure may be seen. A cancellation ends the wait at the next tick, a stop of the
        server at once."""
        while not self._stopping:
            try:
                await self._tick.wait(began, given_up=gone)
            except asyncio.CancelledError:
                gone = True
            else:
                return

    async def _give_up(
        self, held: Reservation, plan: PrivatePlan, station: Station, error: BaseException
    ) -> None:
        """Tells the ledger how a reservation ended that has no answer, and the operator why."""
        dataset = Name(plan.dataset)
        if station in _BEFORE_DATA and await self._tell(
            self._ledger.void(held.id), held, dataset, Station.VOID
        ):
            self._observe(seen.Voided(held.id, dataset))
            return
        if isinstance(error, Exception):
            self._observe(seen.FailedAfterDebit(held.id, dataset, station, Name.of(error)))
        else:
            self._observe(seen.CancelledAfterDebit(held.id, dataset, station))
        await self._tell(self._ledger.fail(held.id), held, dataset, Station.FAIL)

    async def _tell(
        self, word: Coroutine[Any, Any, Any], held: Reservation, dataset: Name, station: Station
    ) -> bool:
        """Whether the ledger took it. If not, the reservation counts as spent: nothing is lost."""
        try:
            await _to_the_end(word, deaf=True)
        except WrongState:
            return False  # It was dispatched, settled or burned already: it is spent either way.
        except Exception as error:  # noqa: BLE001 - whatever it was, the charge is kept
            self._observe(seen.LedgerNotTold(held.id, dataset, station, Name.of(error)))
            return False
        return True


def _request(analyst: UUID, question: Question, offer: Offer) -> Request:
    plan, base = offer.plan, None if offer.stored else offer.base
    return Request(
        analyst_id=analyst,
        dataset=plan.dataset,
        units=plan.units,
        request_id=question.request_id,
        request_digest=request_digest(question, plan.dataset),
        plan_digest=plan.digest,
        question_digest=plan.question,
        sql=question.sql,
        events=plan.events,
        loss=plan.loss,
        replayable=bool(plan.draws) and not question.fresh,
        builds_on=None if base is None else base.id,
    )


async def _require_ready(engine: Engine) -> None:
    if not await engine.ready():
        raise DataUnavailable


async def _to_the_end(work: Coroutine[Any, Any, T] | asyncio.Future[T], *, deaf: bool = False) -> T:
    """Awaits ``work``, which runs to its end even when the waiting task is cancelled.

    A cancellation is raised afterwards, unless ``deaf``: then it was one already that led here, or
    an error that says more.
    """
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            cancelled = True
    if cancelled and not deaf:
        task.cancelled() or task.exception()  # looked at, so that asyncio does not complain
        raise asyncio.CancelledError
    return task.result()
