"""One session: every message of its client, in order, to whom it belongs.

What belongs to the shadow is relayed as it came. What touches protected data is answered by us, at
the place in the stream where it stands: first everything before it is settled, then the answer is
bound into the shadow under the client's own portal name, and from there on it is Postgres' own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from analyzer.classify import Kind, Names, Piece
from analyzer.refusals import SyntaxRefused, Unsupported
from server.wire import messages, simple
from server.wire.backend import Backend, Owed, ShadowRefused
from server.wire.binding import Binder
from server.wire.messages import Message, ProtocolViolation
from server.wire.own import PASSED_ON, Act, own, refusal_of, without_tokens
from server.wire.portals import Portals
from server.wire.steps import Desk, Steps
from server.wire.stream import Stream
from server.wire.texts import Texts


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
        self._client = client
        self._backend = backend
        self._desk = desk
        self._steps = Steps(client, backend, desk)
        self._binder = Binder(backend)
        self.portals = Portals(self._steps, self._binder)
        backend.on_setting, backend.on_tag = self.on_setting, self.portals.on_tag
        backend.on_trip = desk.tripped
        self._texts = Texts(names)
        self._most = most
        self._search_path_changed = True
        self._hears_of_search_path = hears_of_search_path
        self._handlers: Mapping[bytes, Callable[[Message], Awaitable[None]]] = {
            b"P": self._parse,
            b"B": self.portals.bind,
            b"D": self.portals.describe,
            b"E": self.portals.execute,
            b"C": self.portals.close,
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
            if self._client.has_message():
                await asyncio.sleep(0)  # What one client sends at once keeps no other waiting.
            else:
                self._backend.pass_on()
            message = await self._client.message(self._most)
            if message.kind == b"X":
                return
            if message.kind in {b"d", b"c", b"f"}:
                continue  # Of a COPY that an error ended before the client knew.
            if message.kind not in self._handlers:
                raise ProtocolViolation("invalid frontend message type")
            await self._handlers[message.kind](message)
            await self._backend.drain()
            await self._client.drain()

    def on_setting(self, name: str) -> None:
        """The shadow reports a setting anew."""
        if name == "search_path":
            self._search_path_changed = True

    async def _parse(self, message: Message) -> None:
        parse = messages.read_parse(message.body)
        try:
            text, pieces = await self._pieces(parse.sql)
        except ShadowRefused as error:
            await self._steps.refuse(error)
            return
        if len(pieces) > 1 and any(s.name == PASSED_ON for p in pieces for s in p.settings):
            if await self._steps.is_next():
                await self._steps.refuse(SyntaxRefused("A token is set by a statement of its own."))
            return
        # Several: the shadow says that it is wrong.
        piece = pieces[0] if len(pieces) == 1 else None
        ours = None if piece is None else own(text, piece)
        if piece is not None and piece.books and await self._steps.is_next():
            self.portals.keep_books(parse.name)
        if piece is not None and (refusal := refusal_of(piece)):
            if await self._steps.is_next():
                await self._steps.refuse(refusal)
        elif ours is None:
            await self._desk.look(books=False)
            self._backend.relay(message, lambda _: self.portals.forget(parse.name))
        else:
            if ours.act is Act.PERSON:  # The shadow shows texts to all sessions of a login.
                message = replace(parse, sql=ours.text.encode()).message
            self._backend.relay(message, lambda _: self.portals.keep(parse.name, ours))
            await self._backend.settle()

    async def _sync(self, _: Message) -> None:
        self._backend.send(messages.SYNC, Owed(b"Z", done=self.portals.ready, is_sync=True))

    async def _flush(self, _: Message) -> None:
        self._backend.flush()

    async def _query(self, message: Message) -> None:
        try:
            text, pieces = await self._pieces(messages.read_query(message.body))
        except ShadowRefused as error:
            await self._steps.refuse(error)
            self._end_of_query()
            return
        answered = any(own(text, piece) for piece in pieces)
        books = any(piece.books for piece in pieces)
        if books or not answered:  # else the answer's own look is enough
            await self._desk.look(books=books)
        plain = {Kind.NOTHING, Kind.SHADOW}
        if not answered and all(p.kind in plain and not refusal_of(p) for p in pieces):
            self._backend.send(message, Owed(b"Z", done=self._queried))
        elif await self._steps.is_next():
            self.portals.forget_unnamed()
            await simple.run(self._steps, self._binder, self.portals, text, pieces)

    def _queried(self, message: Message) -> None:
        self.portals.forget_unnamed()
        self.portals.ready(message)

    async def _call(self, _: Message) -> None:
        if await self._steps.is_next():
            await self._steps.refuse(
                Unsupported("Function calls by message are not supported.", hint="Use SELECT.")
            )
            self._end_of_query()

    def _end_of_query(self) -> None:
        """The shadow says that it is ready, as after a simple query."""
        self._backend.send(messages.SYNC, Owed(b"Z", done=self.portals.ready, is_sync=True))

    async def _pieces(self, sql: bytes) -> tuple[str, tuple[Piece, ...]]:
        """What a text holds."""
        text = sql.decode(self._backend.codec, "surrogateescape")
        await self._look_at_search_path()
        pieces = without_tokens(text, await self._texts.read(text))
        if any(piece.sets_by_call for piece in pieces):
            self.portals.watch_settings()
        return text, pieces

    async def _look_at_search_path(self) -> None:
        changed = self._search_path_changed or not self._hears_of_search_path
        if changed and await self._steps.is_next() and self._backend.status != b"E":
            self._texts.search_path = await self._steps.aside(self._binder.search_path())
            self._search_path_changed = False
