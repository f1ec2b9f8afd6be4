"""The statements and portals of one session that are ours, and what its client does with them.

The shadow alone knows which there are. The maps here only say which of them are ours; the shadow is
asked before they are believed.
"""

from __future__ import annotations

from dataclasses import replace

from analyzer.refusals import Refusal
from server.errors import AnswerTooLong, Cancelled, NoTransaction
from server.questions import FailedAfterDebit
from server.wire import messages
from server.wire.asker import NO_ROWS
from server.wire.backend import ShadowRefused
from server.wire.binding import Binder, Portal, Surroundings, formatted
from server.wire.messages import BIND_COMPLETE, NO_DATA, Message
from server.wire.own import Act, Own
from server.wire.steps import Steps

_FAILURES = {b"57014": Cancelled, b"53200": AnswerTooLong, b"53400": AnswerTooLong}
"""What it means when the shadow does not take an answer, by its SQLSTATE: cancelled; out of memory;
out of room for temporary files."""
_LONGEST = 40_000_000
"""Characters of an answer that the shadow takes. From 60 million on some kinds of statement run out
of the memory that its session has."""
_RENAMING = (b"DEALLOCATE", b"DISCARD", b"PREPARE")
"""Commands after which a name may stand for another statement, as their tags begin."""


_SETTLED = (b"SELECT", b"FETCH", b"MOVE", b"SHOW", b"COPY", b"DECLARE", b"CLOSE", b"EXPLAIN")
"""Commands that change no setting, unless they call a function that does."""


class Portals:
    """What is ours of a session's statements and portals.

    Args:
        steps: the session's place.
        binder: asks the shadow.
    """

    def __init__(self, steps: Steps, binder: Binder) -> None:
        self._steps = steps
        self._client = steps.client
        self._backend = steps.backend
        self._binder = binder
        self._statements: dict[bytes, Own] = {}
        self._portals: dict[bytes, Portal] = {}
        self._books: set[bytes] = set()
        """Statements that have read the schema ``epsql``; it is brought up to date for each."""
        self._renamed = False
        self._around: Surroundings | None = None
        """As they were read last, while nothing can have changed them."""
        self._changing = False
        """Whether a transaction is under way whose end can change settings."""
        self._watched = False

    def keep(self, statement: bytes, ours: Own) -> None:
        """The shadow has prepared a statement that is ours."""
        self._statements[statement] = ours

    def keep_books(self, statement: bytes) -> None:
        """A statement reads the schema ``epsql``."""
        self._books.add(statement)

    def forget(self, statement: bytes) -> None:
        """A name stands for a statement that is not ours."""
        self._statements.pop(statement, None)

    def forget_unnamed(self) -> None:
        """A simple Query drops the unnamed statement and portal."""
        self._statements.pop(b"", None)
        self._portals.pop(b"", None)

    def on_tag(self, tag: bytes) -> None:
        """The shadow completed a command."""
        if tag.startswith(_RENAMING):
            self._renamed = True
        if not tag.startswith(_SETTLED):
            self._around, self._changing = None, True

    def watch_settings(self) -> None:
        """From now on any statement may change a setting: they are read for each question."""
        self._around, self._watched = None, True

    def ready(self, message: Message) -> None:
        """The shadow is ready for the next query: without a transaction, no portal is left."""
        if message.body == b"I":
            self._portals.clear()
            self._changing = False

    async def bind(self, message: Message) -> None:
        bind = messages.read_bind(message.body)
        if bind.statement in self._books:
            await self._steps.desk.look(books=True)
        if self._has_own() and not await self._steps.is_next():
            return
        try:
            ours = await self._statement(bind.statement)
            # In a failed transaction it fails, and the shadow knows best with what.
            failed = self._backend.status == b"E" and not self._backend.executed
            if ours is None or failed:
                self._backend.relay(message, lambda _: self._drop(bind.portal))
                return
            described = await self._binder.statement(bind.statement)
            parameters = await self._binder.parameters(bind, described)
        except Exception as error:  # noqa: BLE001 - the client hears of every error
            await self._steps.refuse(error)
            return
        self._portals[bind.portal] = Portal(ours, bind, described, parameters)
        self._client.write(BIND_COMPLETE.frame)

    async def describe(self, message: Message) -> None:
        named = messages.read_named(message)
        if self._has_own() and not await self._steps.is_next():
            return
        portal = self._portals.get(named.name) if named.what == b"P" else None
        if portal is None:
            self._backend.relay(message)
            return
        try:
            stands = await self._binder.stands(portal)
        except ShadowRefused as error:
            await self._steps.refuse(error)
            return
        if not stands:
            self._backend.relay(message)
            return
        # As the statement has it: the real portal would not know the tables of its columns.
        fields = portal.described.fields
        told = NO_DATA
        if fields is not None:
            told = messages.row_description(formatted(fields, portal.bind.result_formats))
        self._client.write(told.frame)

    async def execute(self, message: Message) -> None:
        execute = messages.read_execute(message.body)
        if self._has_own() and not await self._steps.is_next():
            return
        portal = self._portals.get(execute.portal)
        if portal is None or portal.executed:
            self._backend.relay(message)
            return
        try:
            if await self._binder.stands(portal):
                await self.fill(portal)
                self._portals[execute.portal] = replace(portal, executed=True)
            else:
                self._drop(execute.portal)
        except Exception as error:  # noqa: BLE001 - the client hears of every error
            await self._steps.refuse(error)
            return
        self._backend.relay(message)

    async def close(self, message: Message) -> None:
        named = messages.read_named(message)
        forget = self._closed if named.what == b"S" else self._drop
        self._backend.relay(message, lambda _: forget(named.name))

    async def fill(self, portal: Portal) -> None:
        """Puts the answer into a portal: an Execute then gives its rows.

        Raises:
            Exception: see :meth:`server.wire.steps.Steps.refuse`.
        """
        one, fields = portal.own, portal.described.fields
        if one.needs_transaction and self._backend.status == b"I" and not self._backend.executed:
            raise NoTransaction("DECLARE CURSOR can only be used in transaction blocks")
        around = await self._surroundings()
        if one.act in {Act.CURSOR, Act.COPY}:
            fields = (await self._binder.inner(one, portal.described.types)).fields
        try:
            answered = NO_ROWS
            if not one.empty or one.act is Act.EXPLAIN:
                answered = await self._steps.desk.answer(one, portal.parameters, around)
        except Refusal as refusal:
            if refusal.position is not None:
                refusal.position += one.start + one.inner.start
            raise
        if answered.notice is not None and not around.quiet:
            said = messages.notice(*answered.notice, codec=self._backend.codec)
            self._client.write(said.frame)
        if sum(map(len, answered.rows)) > _LONGEST:
            raise AnswerTooLong
        try:
            await self._binder.materialise(one, answered.rows, fields or (), portal.bind)
        except ShadowRefused as error:
            # Its words are about the answer; and what was paid for is in the ledger.
            raise _FAILURES.get(error.fields.get(b"C", b""), FailedAfterDebit) from None

    async def _surroundings(self) -> Surroundings:
        if self._around is not None:
            return self._around
        around = await self._binder.surroundings()
        if not self._changing and not self._watched:
            self._around = around
        return around

    def _has_own(self) -> bool:
        return bool(self._statements or self._portals)

    def _drop(self, portal: bytes) -> None:
        self._portals.pop(portal, None)

    def _closed(self, statement: bytes) -> None:
        self.forget(statement)
        self._books.discard(statement)

    async def _statement(self, name: bytes) -> Own | None:
        """What of ours a name stands for. SQL can give it to another statement meanwhile."""
        if self._renamed and name in self._statements:
            # The unnamed statement is not listed, and SQL cannot touch it.
            theirs = await self._steps.aside(self._binder.statements()) | {b""}
            self._statements = {n: one for n, one in self._statements.items() if n in theirs}
            self._renamed = False
        return self._statements.get(name)
