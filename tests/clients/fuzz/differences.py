"""One sequence, two servers: what each sends, and where that differs.

What must differ is taken out, and nothing else: notices, which say what an answer cost; which table
a column is of, since tables have other numbers in another cluster, and FETCH of a noisy answer does
not know them; the place in Postgres' source that an error names.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.clients.fuzz import messages
from tests.clients.fuzz.connection import Connection, Hangs
from tests.clients.fuzz.messages import Cancel, Message, Received
from tests.clients.fuzz.sequences import sequence
from tests.clients.place import Place

Stream = list[tuple[str, str]]
_IN_SOURCE = frozenset("FLR")


@dataclass(frozen=True, slots=True)
class Difference:
    """A sequence to which two servers do not answer the same."""

    seed: int
    sent: Sequence[Message | Cancel]
    wanted: Stream
    got: Stream

    def __str__(self) -> str:
        at = _common(self.wanted, self.got)
        return "\n".join(
            [
                f"seed {self.seed}: the streams differ at message {at}",
                *(f"  > {message}" for message in self.sent),
                *(f"    {kind} {text}" for kind, text in self.wanted[max(0, at - 3) : at]),
                *(f"  wanted {kind} {text}" for kind, text in self.wanted[at : at + 4]),
                *(f"  got    {kind} {text}" for kind, text in self.got[at : at + 4]),
            ]
        )


def compare(seed: int, wanted: Place, got: Place) -> Difference | None:
    """Plays the seed's sequence at both places; what differs is made as short as it will go."""
    sent: Sequence[Message | Cancel] = sequence(seed)
    first = _played(seed, sent, wanted, got)
    if first is None:
        return None
    # From the end, then one message after the other: no more than some dozens of rounds.
    shortest = first
    for end in range(1, len(sent)):
        if found := _played(seed, sent[:end], wanted, got):
            shortest, sent = found, sent[:end]
            break
    for gone in reversed(range(len(sent))):
        fewer = [*sent[:gone], *sent[gone + 1 :]]
        if found := _played(seed, fewer, wanted, got):
            shortest, sent = found, fewer
    return shortest


def _common(wanted: Stream, got: Stream) -> int:
    at = 0
    while at < min(len(wanted), len(got)) and wanted[at] == got[at]:
        at += 1
    return at


def _played(
    seed: int, sent: Sequence[Message | Cancel], wanted: Place, got: Place
) -> Difference | None:
    streams = [played(seed, sent, place) for place in (wanted, got)]
    return None if streams[0] == streams[1] else Difference(seed, sent, *streams)


def played(seed: int, sent: Sequence[Message | Cancel], place: Place) -> Stream:
    """Everything that the place answers, what must differ taken out.

    How the bytes are cut, and when they are sent, is drawn too: an answer must not depend on it.
    """
    chance = random.Random(-1 - seed)
    stream: Stream = []
    with Connection(place) as connection:
        try:
            for message in _said(chance, connection, sent):
                stream += _shown(message)
        except (Hangs, EOFError, OSError) as error:
            stream.append(("-", type(error).__name__))
    return stream


def _said(
    chance: random.Random, connection: Connection, sent: Sequence[Message | Cancel]
) -> Iterator[Received]:
    """Sends all of it; everything that is answered up to the end."""
    send = chance.choice((_at_once, _one_by_one, _in_pieces))
    together: list[Message] = []
    for one in sent:
        if isinstance(one, Message):
            together.append(one)
            continue
        send(chance, connection, together)
        together = []
        yield from connection.until_mark("a cancel")
        send(chance, connection, one.before)
        yield from connection.until("Z", len(one.before))
        if one.running is not None:
            send(chance, connection, [one.running])
            yield from connection.until("D")
        connection.cancel()
    send(chance, connection, together)
    yield from connection.until_mark("the end")


def _at_once(chance: random.Random, connection: Connection, sent: Sequence[Message]) -> None:
    connection.send(b"".join(message.data for message in sent))


def _one_by_one(chance: random.Random, connection: Connection, sent: Sequence[Message]) -> None:
    for message in sent:
        connection.send(message.data)
        if chance.random() < 0.3:
            time.sleep(0.003)


def _in_pieces(chance: random.Random, connection: Connection, sent: Sequence[Message]) -> None:
    data = b"".join(message.data for message in sent)
    while data:
        cut = chance.choice((1, 3, 5, 8, 40, 200))
        connection.send(data[:cut])
        data = data[cut:]


def _shown(message: Received) -> Stream:
    kind, payload = message.kind, message.payload
    if kind in "EN":
        found = messages.fields(payload)
        if found.get("S") == "NOTICE":
            return []
        return [(kind, repr({key: value for key, value in found.items() if key not in _IN_SOURCE}))]
    if kind == "T":
        return [(kind, repr([(name, *rest) for name, _, _, *rest in messages.described(payload)]))]
    return [(kind, repr(payload))]
