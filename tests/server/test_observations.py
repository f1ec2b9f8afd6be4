"""A log line can only hold what may be known."""

from __future__ import annotations

import io
import json
import logging
from dataclasses import fields
from uuid import UUID

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from accountant.errors import LedgerUnavailable
from accountant.transactions import no_driver_errors
from server.engines import EngineFailed
from server.observations import (
    Answered,
    DatabaseFailed,
    FailedAfterDebit,
    Level,
    LibraryHandler,
    LibraryWarned,
    Name,
    Observation,
    Replied,
    Station,
    json_lines,
)

CANARY = "SELECT 'canary-47110815'"


def test_text_that_is_not_a_name_has_no_way_in():
    for text in (CANARY, "", "a b", "o'slo", "x" * 64, "é", "1", "a\nb"):
        with pytest.raises(ValueError, match="not an identifier"):
            Name(text)
    for value in (CANARY, "plain", 0.5, b"x", [1], {"a": 1}, ValueError(CANARY)):
        with pytest.raises(TypeError):
            Replied(Name("query"), 200, value, 1)  # type: ignore[arg-type]


def test_every_observation_is_checked():
    kinds = Observation.__subclasses__()
    assert len(kinds) > 5
    for kind in kinds:
        count = len(fields(kind))
        if count:
            with pytest.raises(TypeError):
                kind(*[CANARY] * count)


def test_an_error_is_its_class_and_its_sqlstate():
    assert Name.of(ValueError(CANARY)) == "ValueError"
    assert Name.of(EngineFailed("57014")) == "EngineFailed.57014"
    assert Name.of(EngineFailed()) == "EngineFailed"


def test_one_json_object_a_line_from_a_level_on():
    out = io.StringIO()
    observe = json_lines(out, Level.WARNING)
    observe(Answered(UUID(int=1), Name("clinic"), UUID(int=2), 5))
    observe(FailedAfterDebit(UUID(int=1), Name("clinic"), Station.FETCH, Name("ValueError")))
    (line,) = out.getvalue().splitlines()
    body = json.loads(line)
    del body["at"]
    assert body == {
        "level": "error",
        "what": "FailedAfterDebit",
        "release": str(UUID(int=1)),
        "dataset": "clinic",
        "station": "fetch",
        "error": "ValueError",
    }


def test_a_database_that_fails_is_named_with_its_sqlstate_and_without_its_words():
    seen: list[Observation] = []
    log = logging.getLogger("accountant.transactions")
    log.addHandler(handler := LibraryHandler(seen.append))
    with pytest.raises(LedgerUnavailable), no_driver_errors():
        raise OperationalError("SELECT", {}, psycopg.errors.DiskFull(CANARY))
    log.removeHandler(handler)
    assert seen == [DatabaseFailed(Name("ledger"), Name("DiskFull.53100"))]


def test_what_a_library_says_is_not_repeated():
    seen: list[Observation] = []
    record = logging.LogRecord(
        "psycopg.pool", logging.WARNING, "", 0, "password=%s", (CANARY,), None
    )
    LibraryHandler(seen.append).handle(record)
    assert seen == [LibraryWarned(Name("psycopg"), logging.WARNING)]
