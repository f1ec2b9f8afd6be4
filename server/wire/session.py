"""One session: every message of its client, in order, to whom it belongs.

What belongs to the shadow is relayed as it came. What touches protected data is answered by us, at
the place in the stream where it stands: first everything before it is settled, then the answer is
bound into the shadow under the client's own portal name, and from there on it is Postgres' own.

The shadow alone knows which statements and portals there are. The maps here only say which of them
are ours; the shadow is asked before they are believed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Protocol, TypeVar

from analyzer.catalog import Scalar
from analyzer.classify import Kind, Names, Piece
from analyzer.refusals import BadArgument, Refusal, SyntaxRefused, Unsupported
from server.errors import Cancelled, ErrorBody, NoTransaction, body_of
from server.questions import FailedAfterDebit
from server.wire import asks, messages, simple
from server.wire.asker import NO_ROWS, Answered
from server.wire.backend import Backend, Owed, ShadowRefused
from server.wire.binding import Binder, Portal, Surroundings, formatted
from server.wire.messages import BIND_COMPLETE, NO_DATA, Message, ProtocolViolation
from server.wire.own import PASSED_ON, Act, Own, own
from server.wire.stream import Gone, Stream
from server.wire.texts import Texts

T = TypeVar("T")

_CANCELLED = b"57014"
_RENAMING = (b"DEALLOCATE", b"DISCARD", b"PREPARE")
"""Commands after which a name may stand for another statement, as their tags begin."""


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
        self, own: Own, parameters: tuple[Scalar | None, ...], around: Surroundings
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


class Session:
    """A client behind its login, and the shadow before it.

    Args:
        client: logged in.
        backend: logged in as the same analyst.
        names: gives those of the session's data set; copying public tables can change them.
        desk: answers what is ours.
        most: the longest message of a client, in bytes.
        hears_of_search_path: the shadow reports when it changes, as Postgres does from 18 on.
    """

    def __init__(
        self,
        client: Stream,
        backend: Backend,
        names: Callable[[], Names],
        desk: Desk,
        most: int,
        *,
        hears_of_search_path: bool,
    ) -> None:
        self.client = client
        self.backend = backend
        self.binder = Binder(backend)
        self._desk = desk
        backend.on_setting, backend.on_tag = self.on_setting, self.on_tag
        backend.on_trip = desk.tripped
        self._texts = Texts(names)
        self._most = most
        self._statements: dict[bytes, Own] = {}
        self._portals: dict[bytes, Portal] = {}
        self._books: set[bytes] = set()
        """Statements that have read the schema ``epsql``; it is brought up to date for each."""
        self._search_path_changed = True
        self._hears_of_search_path = hears_of_search_path
        self._renamed = False
        self._handlers: Mapping[bytes, Callable[[Message], Awaitable[None]]] = {
            b"P": self._parse,
            b"B": self._bind,
            b"D": self._describe,
            b"E": self._execute,
            b"C": self._close,
            b"S": self._sync,
            b"H": self._flush,
            b"Q": self._query,
            b"F": self._call,
        }

    async def run(self) -> None:
        """Until the client leaves.

        Raises:
            Gone, ProtocolViolation, SessionEnds: it cannot go on.
        """
        await self._look_at_search_path()  # Now, so as not to do it amid what the client begins.
        while True:
            message = await self.client.message(self._most)
            if message.kind == b"X":
                return
            if message.kind in {b"d", b"c", b"f"}:
                continue  # Of a COPY that an error ended before the client knew.
            if message.kind not in self._handlers:
                raise ProtocolViolation("invalid frontend message type")
            await self._handlers[message.kind](message)
            await self.backend.drain()
            await self.client.drain()
            await asyncio.sleep(0)  # What one client sent at once does not keep the others waiting.

    def on_setting(self, name: str) -> None:
        """The shadow reports a setting anew."""
        if name == "search_path":
            self._search_path_changed = True

    def on_tag(self, tag: bytes) -> None:
        """The shadow completed a command."""
        if tag.startswith(_RENAMING):
            self._renamed = True

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
        self._desk.broke(error)
        await self.backend.fail()
        self.client.write(messages.error(body_of(error), codec=self.backend.codec).frame)

    def refusal(self, piece: Piece) -> Refusal | None:
        """Why a statement is refused: by the classifier, or for an ``epsql.`` setting."""
        try:
            for setting in piece.settings:
                asks.read(setting.name, setting.value)
                if setting.name == PASSED_ON and setting.value and piece.verb != "SET":
                    raise BadArgument("A token is set by SET.")
        except Refusal as refusal:
            return refusal
        return piece.refusal

    async def fill(self, portal: Portal) -> None:
        """Puts the answer into a portal: an Execute then gives its rows.

        Raises:
            Exception: see :meth:`refuse`.
        """
        one, fields = portal.own, portal.described.fields
        if one.needs_transaction and self.backend.status == b"I" and not self.backend.executed:
            raise NoTransaction("DECLARE CURSOR can only be used in transaction blocks")
        around = await self.binder.surroundings()
        if one.act in {Act.CURSOR, Act.COPY}:
            fields = (await self.binder.inner(one, portal.described.types)).fields
        try:
            answered = NO_ROWS
            if not one.empty or one.act is Act.EXPLAIN:
                answered = await self._desk.answer(one, portal.parameters, around)
        except Refusal as refusal:
            if refusal.position is not None:
                refusal.position += one.start + one.inner.start
            raise
        if answered.notice is not None and not around.quiet:
            said = messages.notice(*answered.notice, codec=self.backend.codec)
            self.client.write(said.frame)
        try:
            await self.binder.materialise(one, answered.rows, fields or (), portal.bind)
        except ShadowRefused as error:
            # Its words are about the answer; and what was paid for is in the ledger.
            failed = Cancelled if error.fields.get(b"C") == _CANCELLED else FailedAfterDebit
            raise failed from None

    def forget_unnamed(self) -> None:
        """A simple Query drops the unnamed statement and portal."""
        self._statements.pop(b"", None)
        self._portals.pop(b"", None)

    def ready(self, message: Message) -> None:
        """The shadow is ready for the next query: without a transaction, no portal is left."""
        if message.body == b"I":
            self._portals.clear()

    async def _parse(self, message: Message) -> None:
        parse = messages.read_parse(message.body)
        try:
            text, pieces = await self._pieces(parse.sql)
        except ShadowRefused as error:
            await self.refuse(error)
            return
        if len(pieces) > 1 and any(s.name == PASSED_ON for p in pieces for s in p.settings):
            if await self._is_next():
                await self.refuse(SyntaxRefused("A token is set by a statement of its own."))
            return
        # Several: the shadow says that it is wrong.
        piece = pieces[0] if len(pieces) == 1 else None
        ours = None if piece is None else own(text, piece)
        if piece is not None and piece.books and await self._is_next():
            self._books.add(parse.name)
        if piece is not None and (refusal := self.refusal(piece)):
            if await self._is_next():
                await self.refuse(refusal)
        elif ours is None:
            await self._desk.look(books=False)
            self.backend.relay(message, lambda _: self._forget(parse.name))
        else:
            if ours.act is Act.PERSON:  # The shadow shows texts to all sessions of a login.
                message = replace(parse, sql=ours.text.encode()).message
            self.backend.relay(message, lambda _: self._keep(parse.name, ours))
            await self.backend.settle()

    def _keep(self, statement: bytes, ours: Own) -> None:
        self._statements[statement] = ours

    def _forget(self, statement: bytes) -> None:
        self._statements.pop(statement, None)

    def _closed(self, statement: bytes) -> None:
        self._forget(statement)
        self._books.discard(statement)

    async def _bind(self, message: Message) -> None:
        bind = messages.read_bind(message.body)
        if bind.statement in self._books:
            await self._desk.look(books=True)
        if self._has_own() and not await self._is_next():
            return
        try:
            ours = await self._statement(bind.statement)
            # In a failed transaction it fails, and the shadow knows best with what.
            failed = self.backend.status == b"E" and not self.backend.executed
            if ours is None or failed:
                self.backend.relay(message, lambda _: self._drop(bind.portal))
                return
            described = await self.binder.statement(bind.statement)
            parameters = await self.binder.parameters(bind, described)
        except Exception as error:  # noqa: BLE001 - the client hears of every error
            await self.refuse(error)
            return
        self._portals[bind.portal] = Portal(ours, bind, described, parameters)
        self.client.write(BIND_COMPLETE.frame)

    def _drop(self, portal: bytes) -> None:
        self._portals.pop(portal, None)

    async def _describe(self, message: Message) -> None:
        named = messages.read_named(message)
        if self._has_own() and not await self._is_next():
            return
        portal = self._portals.get(named.name) if named.what == b"P" else None
        if portal is None:
            self.backend.relay(message)
            return
        try:
            stands = await self.binder.stands(portal)
        except ShadowRefused as error:
            await self.refuse(error)
            return
        if not stands:
            self.backend.relay(message)
            return
        # As the statement has it: the real portal would not know the tables of its columns.
        fields = portal.described.fields
        told = NO_DATA
        if fields is not None:
            told = messages.row_description(formatted(fields, portal.bind.result_formats))
        self.client.write(told.frame)

    async def _execute(self, message: Message) -> None:
        execute = messages.read_execute(message.body)
        if self._has_own() and not await self._is_next():
            return
        portal = self._portals.get(execute.portal)
        if portal is None or portal.executed:
            self.backend.relay(message)
            return
        try:
            if await self.binder.stands(portal):
                await self.fill(portal)
                self._portals[execute.portal] = replace(portal, executed=True)
            else:
                self._drop(execute.portal)
        except Exception as error:  # noqa: BLE001 - the client hears of every error
            await self.refuse(error)
            return
        self.backend.relay(message)

    async def _close(self, message: Message) -> None:
        named = messages.read_named(message)
        forget = self._closed if named.what == b"S" else self._drop
        self.backend.relay(message, lambda _: forget(named.name))

    async def _sync(self, _: Message) -> None:
        self.backend.send(messages.SYNC, Owed(b"Z", done=self.ready, is_sync=True))

    async def _flush(self, _: Message) -> None:
        self.backend.flush()

    async def _query(self, message: Message) -> None:
        try:
            text, pieces = await self._pieces(messages.read_query(message.body))
        except ShadowRefused as error:
            await self.refuse(error)
            self._end_of_query()
            return
        await self._desk.look(books=any(piece.books for piece in pieces))
        plain = {Kind.NOTHING, Kind.SHADOW}
        if all(p.kind in plain and not self.refusal(p) and own(text, p) is None for p in pieces):
            self.backend.send(message, Owed(b"Z", done=self._queried))
        elif await self._is_next():
            self.forget_unnamed()
            await simple.run(self, text, pieces)

    def _queried(self, message: Message) -> None:
        self.forget_unnamed()
        self.ready(message)

    async def _call(self, _: Message) -> None:
        if await self._is_next():
            await self.refuse(
                Unsupported("Function calls by message are not supported.", hint="Use SELECT.")
            )
            self._end_of_query()

    def _end_of_query(self) -> None:
        """The shadow says that it is ready, as after a simple query."""
        self.backend.send(messages.SYNC, Owed(b"Z", done=self.ready, is_sync=True))

    def _has_own(self) -> bool:
        return bool(self._statements or self._portals)

    async def _is_next(self) -> bool:
        """Settles; whether the shadow would do what comes now, and not skip it."""
        await self.backend.settle()
        return not self.backend.skipping

    async def _pieces(self, sql: bytes) -> tuple[str, tuple[Piece, ...]]:
        """What a text holds."""
        text = sql.decode(self.backend.codec, "surrogateescape")
        await self._look_at_search_path()
        return text, await self._texts.read(text)

    async def _look_at_search_path(self) -> None:
        changed = self._search_path_changed or not self._hears_of_search_path
        if changed and await self._is_next() and self.backend.status != b"E":
            self._texts.search_path = await self._aside(self.binder.search_path())
            self._search_path_changed = False

    async def _aside(self, question: Awaitable[T]) -> T:
        """What the shadow answers to a question of ours that stands before what the client sends.

        It is not in one transaction with it, unless the client had begun one: then its own Sync
        will end it.
        """
        begun = self.backend.begun
        answer = await question
        if not begun:
            self.backend.sync(show=b"")
        return answer

    async def _statement(self, name: bytes) -> Own | None:
        """What of ours a name stands for. SQL can give it to another statement meanwhile."""
        if self._renamed and name in self._statements:
            # The unnamed statement is not listed, and SQL cannot touch it.
            theirs = await self._aside(self.binder.statements()) | {b""}
            self._statements = {n: one for n, one in self._statements.items() if n in theirs}
            self._renamed = False
        return self._statements.get(name)
