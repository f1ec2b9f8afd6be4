"""One client and the others: what it sends does not keep them waiting, nor fill the memory."""

from __future__ import annotations

import threading

from analyzer.classify import classify
from server.wire.messages import SYNC, Named, Parse
from server.wire.session import Session
from tests.wire.raw import logged_in


def test_a_long_text_is_not_read_where_all_sessions_are_served(door, name, monkeypatch):
    where = []

    def noted(text, *rest):
        where.append((len(text), threading.current_thread()))
        return classify(text, *rest)

    monkeypatch.setattr("server.wire.texts.classify", noted)
    with door.connect(name) as connection:
        connection.execute(f"SELECT length('{'x' * 60_000}')")
        connection.execute("SELECT 1")
    loop = door.run(_thread())
    assert [thread is loop for size, thread in where if size > 50_000] == [False]
    assert [thread is loop for size, thread in where if size < 50_000] == [True]


async def _thread() -> threading.Thread:
    return threading.current_thread()


def test_names_that_nothing_came_of_are_not_kept(door, name, monkeypatch):
    """After an error the shadow skips what comes, and so do we."""
    kept = []

    class Watched(Session):
        def __init__(self, *given, **more):
            super().__init__(*given, **more)
            kept.append(self)

    monkeypatch.setattr("server.wire.server.Session", Watched)
    raw = logged_in(door.where(name))
    books = b"SELECT * FROM epsql.budget"
    raw.send(Parse(b"", b"SELECT nonsense FROM").message)
    raw.send(*(Parse(b"s%d" % i, books).message for i in range(50)), SYNC)
    raw.until(b"Z")
    raw.send(Parse(b"one", books).message, SYNC)
    raw.until(b"Z")
    (session,) = kept
    assert session.portals._books == {b"one"}
    raw.send(Named(b"C", b"S", b"one").message, SYNC)
    raw.until(b"Z")
    assert session.portals._books == set()
    raw.socket.close()
    raw.owner.close()
