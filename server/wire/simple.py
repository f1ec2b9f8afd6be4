"""A simple Query that holds statements of ours: one after the other, in one implicit transaction.

The shadow gets them as messages of the extended protocol without a Sync in between, which is the
same to it. The client sees what a simple Query gives: no ParseComplete, and one ReadyForQuery.
"""

from __future__ import annotations

from collections.abc import Sequence

from analyzer.classify import Kind, Piece, Span
from server.errors import UnknownParameter
from server.wire import messages
from server.wire.backend import Backend, Owed
from server.wire.binding import Binder, Portal
from server.wire.messages import Bind, Execute, Named, Parse
from server.wire.own import Own, own, refusal_of
from server.wire.portals import Portals
from server.wire.steps import Steps

_BIND = Bind(b"", b"")


async def run(
    steps: Steps, binder: Binder, portals: Portals, text: str, pieces: Sequence[Piece]
) -> None:
    """Everything that the pieces of a text give, up to and with ReadyForQuery.

    Raises:
        Gone, ProtocolViolation, SessionEnds: as for ``Session.run``.
    """
    backend = steps.backend
    statements = [piece for piece in pieces if piece.kind is not Kind.NOTHING]
    # Several statements are a transaction block, and to that end as good as one that is open.
    backend.executed = len(statements) > 1
    if len(statements) > 1 and backend.status != b"E":
        await binder.block()
    dropped = [b"S", b"P"]
    for piece in statements:
        try:
            if refusal := refusal_of(piece):
                raise refusal  # noqa: TRY301 - told as all others are
            ours = own(text, piece)
            if ours is not None:
                await _ours(steps, binder, portals, ours)
            else:
                await _shadows(backend, text, piece.span)
        except Exception as error:  # noqa: BLE001 - the client hears of every error
            await steps.refuse(error, piece.span.start)
        if backend.skipping:
            backend.sync(show=b"")
            dropped = [b"S"]  # In a failed block Postgres keeps the portal that was there.
            break
    for what in dropped:
        backend.send(Named(b"C", what, b"").message, Owed(b"3", show=b""))
    backend.send(messages.SYNC, Owed(b"Z", done=portals.ready, is_sync=True))


async def _shadows(backend: Backend, text: str, at: Span) -> None:
    """A statement of the shadow's, between those of ours."""
    sql, offset = text[at.start : at.end].encode(backend.codec), at.start
    backend.send(Parse(b"", sql).message, Owed(b"1", show=b"", offset=offset))
    backend.send(_BIND.message, Owed(b"2", show=b"", offset=offset))
    backend.send(Named(b"D", b"P", b"").message, Owed(b"Tn", show=b"T"))
    backend.send(Execute(b"").message, Owed(b"CIs", offset=offset))
    await backend.settle()


async def _ours(steps: Steps, binder: Binder, portals: Portals, ours: Own) -> None:
    text = ours.text.encode(steps.backend.codec)
    described = await binder.text(Parse(b"", text), keep=True)
    if described.types:
        raise UnknownParameter("there is no parameter $1")
    await portals.fill(Portal(ours, _BIND, described))
    if described.fields is not None:
        steps.client.write(messages.row_description(described.fields).frame)
    steps.backend.relay(Execute(b"").message)
    await steps.backend.settle()
