"""A simple Query that holds statements of ours: one after the other, in one implicit transaction.

The shadow gets them as messages of the extended protocol without a Sync in between, which is the
same to it. The client sees what a simple Query gives: no ParseComplete, and one ReadyForQuery.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analyzer.classify import Kind, Piece
from server.errors import UnknownParameter
from server.wire import messages
from server.wire.backend import Owed
from server.wire.binding import Portal
from server.wire.messages import Bind, Execute, Named, Parse
from server.wire.own import Own, own

if TYPE_CHECKING:
    from server.wire.session import Session

_BIND = Bind(b"", b"")


async def run(session: Session, text: str, pieces: Sequence[Piece]) -> None:
    """Everything that the pieces of a text give, up to and with ReadyForQuery.

    Raises:
        Gone, ProtocolViolation, SessionEnds: as for ``Session.run``.
    """
    backend = session.backend
    statements = [piece for piece in pieces if piece.kind is not Kind.NOTHING]
    # Several statements are a transaction block, and to that end as good as one that is open.
    backend.executed = len(statements) > 1
    if len(statements) > 1 and backend.status != b"E":
        await session.binder.block()
    for piece in statements:
        try:
            await _piece(session, text, piece)
        except Exception as error:  # noqa: BLE001 - the client hears of every error
            await session.refuse(error, piece.span.start)
        if backend.skipping:
            backend.sync(show=b"")
            break
    for what in (b"S", b"P"):
        backend.send(Named(b"C", what, b"").message, Owed(b"3", show=b""))
    backend.send(messages.SYNC, Owed(b"Z", done=session.ready, is_sync=True))


async def _piece(session: Session, text: str, piece: Piece) -> None:
    if refusal := session.refusal(piece):
        raise refusal
    ours = own(text, piece)
    if ours is not None:
        await _ours(session, ours)
    else:
        await _shadows(session, text[piece.span.start : piece.span.end], piece.span.start)


async def _shadows(session: Session, sql: str, offset: int) -> None:
    """A statement of the shadow's, between those of ours."""
    backend = session.backend
    backend.send(Parse(b"", sql.encode(backend.codec)).message, Owed(b"1", show=b"", offset=offset))
    backend.send(_BIND.message, Owed(b"2", show=b"", offset=offset))
    backend.send(Named(b"D", b"P", b"").message, Owed(b"Tn", show=b"T"))
    backend.send(Execute(b"").message, Owed(b"CIs", offset=offset))
    await backend.settle()


async def _ours(session: Session, ours: Own) -> None:
    text = ours.text.encode(session.backend.codec)
    described = await session.binder.text(Parse(b"", text), keep=True)
    if described.types:
        raise UnknownParameter("there is no parameter $1")
    await session.fill(Portal(ours, _BIND, described))
    if described.fields is not None:
        session.client.write(messages.row_description(described.fields).frame)
    session.backend.relay(Execute(b"").message)
    await session.backend.settle()
