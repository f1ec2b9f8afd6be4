"""Asks the gateway for a session, and stops when the asker wants it to, or is gone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from server.gateway import Gateway
from server.questions import Question
from server.replies import quote_json
from server.wanted import while_wanted
from server.wire import answers
from server.wire.stream import Stream

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answered:
    """Rows for the client, as :func:`server.wire.answers.rows_json` has them."""

    rows: tuple[str, ...]
    notice: tuple[str, str] | None = None
    """What is said beside them, and its detail."""


NO_ROWS = Answered(("[]",))


class Asker:
    """One analyst's way to the gateway, for one session."""

    def __init__(self, gateway: Gateway, client: Stream) -> None:
        self._gateway = gateway
        self._client = client
        self._running: asyncio.Task[Any] | None = None

    async def answer(
        self,
        analyst: UUID,
        question: Question,
        seconds: float | None = None,
        notes: tuple[str, ...] = (),
    ) -> Answered:
        """The noisy rows, debited.

        Args:
            analyst: who is charged.
            question: what is asked.
            seconds: after how many it is cancelled, if at all.
            notes: what else to say with the answer.

        Raises:
            Cancelled: by a CancelRequest, the time limit, or because the client is gone.
            Exception: what the gateway raises.
        """
        reply = await self._run(self._gateway.query(analyst, question), seconds)
        again = reply.replayed or reply.body["replayed"]
        return Answered(
            await _json_of(reply.body["rows"]), answers.cost(reply.body, notes, again=again)
        )

    async def quote(self, analyst: UUID, question: Question, *, as_json: bool) -> Answered:
        """What the question would cost, as the rows of an EXPLAIN. Costs nothing.

        Raises:
            Cancelled, Exception: as for :meth:`answer`.
        """
        quote = quote_json(await self._run(self._gateway.quote(analyst, question), None))
        if as_json:
            return Answered(answers.rows_json([[[quote]]]))
        return Answered(answers.rows_json([[line] for line in _lines(quote)]))

    def cancel(self) -> bool:
        """Cancels what runs; whether anything did."""
        if self._running is None:
            return False
        self._running.cancel()
        return True

    async def _run(self, work: Coroutine[Any, Any, T], seconds: float | None) -> T:
        self._running = asyncio.create_task(work)
        try:
            return await while_wanted(self._running, self._client.gone.wait(), seconds)
        finally:
            self._running = None


async def _json_of(rows: Sequence[Sequence[Any]]) -> tuple[str, ...]:
    """A hundred thousand rows take half a second, during which nobody else shall wait."""
    if len(rows) <= answers.ROWS:
        return answers.rows_json(rows)
    return await asyncio.to_thread(answers.rows_json, rows)


def _lines(quote: dict[str, Any]) -> list[str]:
    """A quote as lines of text, the way EXPLAIN has them."""
    loss = quote["loss"]
    lines = [f"Noisy answer (epsilon={loss['epsilon']} delta={loss['delta']} rho={loss['rho']})"]
    lines += [
        f"  -> {draw['label']}: {draw['mechanism'].replace('_', ' ')}, scale {draw['scale']},"
        f" error bar {draw['error_bar']} at 95 %"
        for draw in quote["draws"]
    ]
    lines += [f"  Note: {notice}" for notice in quote["notices"]]
    for block in quote["blocks"]:
        if block["keys"]["threshold"] is not None:
            lines.append(f"  Groups: shown from a noisy {block['keys']['threshold']} people on")
        statement = block["statement"]
        lines += ["  Statement:", *(f"    {line}" for line in statement["sql"].splitlines())]
        if statement["parameters"]:
            lines.append(f"  Parameters: {json.dumps(statement['parameters'])}")
    return lines
