"""A session's place in its client's stream, and what is said there when a step fails."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol, TypeVar

from analyzer.catalog import Given
from server.errors import ErrorBody, body_of
from server.wire import messages
from server.wire.asker import Answered
from server.wire.backend import Backend, ShadowRefused
from server.wire.binding import Surroundings
from server.wire.messages import ProtocolViolation
from server.wire.own import Own
from server.wire.stream import Gone, Stream

T = TypeVar("T")


class SessionEnds(Exception):
    """The session is over, with one FATAL error."""

    def __init__(self, sqlstate: str, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.body = ErrorBody("session_ended", sqlstate, message, hint=hint)


ENDS = (Gone, ProtocolViolation, SessionEnds)
"""What a session does not survive."""


class Desk(Protocol):
    """Who knows what is answered to a statement of ours."""

    async def answer(
        self, own: Own, parameters: tuple[Given, ...], around: Surroundings
    ) -> Answered:
        """The rows.

        Raises:
            SessionEnds: the session's credential does not hold any more.
            Exception: anything; ``server.errors`` says what the client hears of it.
        """
        ...

    async def look(self, *, books: bool) -> None:
        """Comes by with every statement of the shadow's; ``books``: it reads the schema ``epsql``.

        Raises:
            SessionEnds: as for :meth:`answer`.
        """
        ...

    def broke(self, error: Exception) -> None:
        """Hears of every exception that was turned into an error."""
        ...

    def tripped(self) -> None:
        """Hears of every statement of the shadow's that reached a protected table there."""
        ...


class Steps:
    """A client, the shadow behind it, and where the two are.

    Args:
        client: logged in.
        backend: logged in as the same analyst.
        desk: answers what is ours.
    """

    def __init__(self, client: Stream, backend: Backend, desk: Desk) -> None:
        self.client = client
        self.backend = backend
        self.desk = desk

    async def is_next(self) -> bool:
        """Settles; whether the shadow would do what comes now, and not skip it."""
        await self.backend.settle()
        return not self.backend.skipping

    async def aside(self, question: Awaitable[T]) -> T:
        """What the shadow answers to a question of ours that stands before what the client sends.

        It is not in one transaction with it, unless the client had begun one: then its own Sync
        will end it.
        """
        begun = self.backend.begun
        answer = await question
        if not begun:
            self.backend.sync(show=b"")
        return answer

    async def refuse(self, error: Exception, offset: int = 0) -> None:
        """Tells the client of an error at the step that it is at. Everything up to Sync is skipped.

        Args:
            error: the shadow's own, which skips already; or any other.
            offset: where the shadow's text begins in the client's, in characters.
        """
        if isinstance(error, ENDS):
            raise error
        if isinstance(error, ShadowRefused):
            self.client.write(messages.report(b"E", error.moved(offset)).frame)
            return
        self.desk.broke(error)
        await self.backend.fail()
        self.client.write(messages.error(body_of(error), codec=self.backend.codec).frame)
