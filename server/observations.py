"""Everything that may be observed, one frozen class each, and the one logger that writes them.

A log is read by more people than a database is. So a log line is not free text: it is one of the
classes below, and their fields can only hold numbers, truth values, identifiers and the members of
closed enumerations. SQL, parameters, rows, tokens and the messages of other programs have no type
here that could carry them; whoever tries gets a :class:`TypeError` in the first test that runs.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import Enum
from typing import Self, TextIO
from uuid import UUID

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}")
_STATE = re.compile(r"[A-Z0-9]{5}")


class Name(str):
    """An identifier: a data set, an error code, the class of an exception. Never a sentence."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if not _NAME.fullmatch(text):
            raise ValueError("not an identifier")
        return super().__new__(cls, text)

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """The name of an exception's class, with its SQLSTATE if it has one. Never its text."""
        name = type(error).__name__
        state = getattr(error, "sqlstate", None)
        return cls(f"{name}.{state}" if _STATE.fullmatch(str(state)) else name)


class Level(Enum):
    """How much an operator should care; the values are those of :mod:`logging`."""

    DEBUG = logging.DEBUG
    INFO = logging.INFO
    WARNING = logging.WARNING
    ERROR = logging.ERROR


class Station(Enum):
    """Where on the road of ``server.gateway`` something happened."""

    RESERVE = "reserve"
    READY = "ready"
    DISPATCH = "dispatch"
    FETCH = "fetch"
    PUBLISH = "publish"
    FINISH = "finish"
    SETTLE = "settle"
    VOID = "void"
    FAIL = "fail"


_SAFE = (bool, int, UUID, Name, Enum, type(None))


@dataclass(frozen=True, slots=True)
class Observation:
    """The base of all; ``level`` belongs to the class, not to the occurrence."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if not isinstance(getattr(self, field.name), _SAFE):
                raise TypeError(f"{type(self).__name__}.{field.name} cannot be observed")

    @property
    def level(self) -> Level:
        return Level.INFO


@dataclass(frozen=True, slots=True)
class Started(Observation):
    """The server listens: for HTTP, and on another port for Postgres clients."""

    port: int
    wire_port: int | None
    datasets: int


@dataclass(frozen=True, slots=True)
class Stopped(Observation):
    """The server has closed its connections."""


@dataclass(frozen=True, slots=True)
class Answered(Observation):
    """A query was debited and answered. Times are in milliseconds."""

    release: UUID
    dataset: Name
    analyst: UUID
    milliseconds: int


@dataclass(frozen=True, slots=True)
class Replayed(Observation):
    """A stored answer was given again; nothing was debited."""

    release: UUID
    dataset: Name
    analyst: UUID


@dataclass(frozen=True, slots=True)
class Voided(Observation):
    """A reservation was taken back, because the data was never asked."""

    release: UUID
    dataset: Name


@dataclass(frozen=True, slots=True)
class FailedAfterDebit(Observation):
    """The data may have been touched and no answer left. The charge stays. Look into it."""

    release: UUID
    dataset: Name
    station: Station
    error: Name

    @property
    def level(self) -> Level:
        return Level.ERROR


@dataclass(frozen=True, slots=True)
class CancelledAfterDebit(Observation):
    """The analyst went away, or the server stopped, in the middle of a query. It stays charged."""

    release: UUID
    dataset: Name
    station: Station

    @property
    def level(self) -> Level:
        return Level.WARNING


@dataclass(frozen=True, slots=True)
class LedgerNotTold(Observation):
    """The ledger could not be told how a reservation ended. It counts as spent until it is."""

    release: UUID
    dataset: Name
    station: Station
    error: Name

    @property
    def level(self) -> Level:
        return Level.ERROR


@dataclass(frozen=True, slots=True)
class Replied(Observation):
    """One HTTP exchange: the route's own name, never the path or what it was asked."""

    route: Name
    status: int
    code: Name | None
    milliseconds: int


@dataclass(frozen=True, slots=True)
class Broke(Observation):
    """A fault of epsql outside of a query: a bug, or a database that is away."""

    route: Name
    error: Name

    @property
    def level(self) -> Level:
        return Level.ERROR


@dataclass(frozen=True, slots=True)
class Tripped(Observation):
    """The shadow stopped a statement at a protected table. No row is there; it had better gone to
    the gateway, or somebody looks for a way around it."""

    dataset: Name
    analyst: UUID

    @property
    def level(self) -> Level:
        return Level.WARNING


@dataclass(frozen=True, slots=True)
class DatabaseFailed(Observation):
    """The ledger's database, or the data's, did not do what it was asked, or was not reached."""

    database: Name
    error: Name

    @property
    def level(self) -> Level:
        return Level.ERROR


@dataclass(frozen=True, slots=True)
class LibraryWarned(Observation):
    """A library logged something. Its words may quote a connection string, so they are dropped."""

    library: Name
    severity: int

    @property
    def level(self) -> Level:
        return Level.WARNING


Observer = Callable[[Observation], None]


def json_lines(stream: TextIO | None = None, lowest: Level = Level.INFO) -> Observer:
    """An observer that writes one JSON object a line, to standard error unless told otherwise."""
    out = stream or sys.stderr

    def write(observation: Observation) -> None:
        if observation.level.value >= lowest.value:
            print(json.dumps(_plain(observation)), file=out, flush=True)

    return write


def _plain(observation: Observation) -> dict[str, object]:
    line: dict[str, object] = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "level": observation.level.name.lower(),
        "what": type(observation).__name__,
    }
    for field in fields(observation):
        value = getattr(observation, field.name)
        if isinstance(value, Enum):
            value = value.value
        line[field.name] = str(value) if isinstance(value, (UUID, Name)) else value
    return line


class LibraryHandler(logging.Handler):
    """Stands in for every library's log: says that there was something, not what it was."""

    def __init__(self, observe: Observer) -> None:
        super().__init__(logging.WARNING)
        self._observe = observe

    def emit(self, record: logging.LogRecord) -> None:
        failure = getattr(record, "failure", None)
        if isinstance(failure, Exception):  # Our own rooms say more, as attributes of the record.
            database = Name(getattr(record, "database", "unknown"))
            self._observe(DatabaseFailed(database, Name.of(failure)))
            return
        library = record.name.partition(".")[0]
        name = Name(library) if _NAME.fullmatch(library) else Name("unknown")
        self._observe(LibraryWarned(name, record.levelno))


def silence_libraries(observe: Observer) -> None:
    """Makes :class:`LibraryHandler` the only handler of the process."""
    root = logging.getLogger()
    root.handlers[:] = [LibraryHandler(observe)]
    root.setLevel(logging.WARNING)
