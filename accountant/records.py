"""The journal's lines: canonical JSON, each with the hash of all that came before it.

A record is a JSON object of strings, integers, booleans, nulls, lists and objects: no floats, so
there is one text for it. ``hash = sha256(hash of the entry before || text)``; the first entry comes
after 32 zero bytes. Whoever changes, drops or inserts a line changes every later hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)

GENESIS = bytes(32)
"""What the first entry is chained to."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Names one entry, and with it all entries before it."""

    number: int
    hash: str
    """64 hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. The texts of answers and cells lie beside it; their digests are in the record."""

    number: int
    record: str
    hash: bytes
    answer: str | None = None
    cells: str | None = None

    @property
    def receipt(self) -> Receipt:
        return Receipt(self.number, self.hash.hex())


@dataclass(slots=True)
class Chain:
    """The end of the journal, and what is about to be appended to it."""

    number: int
    hash: bytes
    at: datetime
    """The ledger's clock: not before the time of any entry."""
    entries: list[Entry] = field(default_factory=list)
    stamp: str = field(init=False)
    """The time as records have it."""

    def __post_init__(self) -> None:
        self.stamp = time_text(self.at)

    def append(
        self,
        kind: str,
        facts: Mapping[str, Any],
        *,
        answer: str | None = None,
        cells: str | None = None,
    ) -> Entry:
        """Adds a line; ``answer`` and ``cells`` are stored beside it and hashed into it."""
        number = self.number + 1
        record = {**facts, "kind": kind, "number": number, "at": self.stamp}
        if answer is not None:
            record["answer"] = digest(answer)
        if cells is not None:
            record["cells"] = digest(cells)
        text = canonical(record)
        entry = Entry(number, text, link(self.hash, text), answer, cells)
        self.number, self.hash = number, entry.hash
        self.entries.append(entry)
        return entry


def canonical(record: Mapping[str, Any]) -> str:
    """The one text of a record: sorted keys, no spaces, ASCII."""
    return _ENCODER.encode(record)


def link(previous: bytes, record: str) -> bytes:
    """The hash of a record's text after the entry with the hash ``previous``."""
    return hashlib.sha256(previous + record.encode("ascii")).digest()


def digest(text: str) -> str:
    """The sha256 of a text in UTF-8, as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def time_text(at: datetime) -> str:
    """A time in UTC to the microsecond; such texts sort as the times do."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def time_of(text: str) -> datetime:
    """The inverse of :func:`time_text`."""
    return datetime.fromisoformat(text)
