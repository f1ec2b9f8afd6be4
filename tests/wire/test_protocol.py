"""Sequences of messages that libraries rarely send: where an error skips to, and what is left then."""

from __future__ import annotations

import pytest

from server.wire import messages
from server.wire.messages import FLUSH, SYNC, Bind, Execute, Message, Named, Parse
from tests.wire.raw import Raw, kinds, logged_in, said

COUNT = b"SELECT count(*) FROM patients"
BY_SEX = b"SELECT sex, count(*) FROM patients GROUP BY sex"
ROWS = b"SELECT name FROM patients"
E12 = 10**12


@pytest.fixture
def raw(door, name):
    session = logged_in(door.where(name))
    yield session
    session.socket.close()
    session.owner.close()


def parse(sql: bytes, name: bytes = b"") -> Message:
    return Parse(name, sql).message


def bind(portal: bytes = b"", statement: bytes = b"", *formats: int) -> Message:
    return Bind(portal, statement, (), (), formats).message


def describe(what: bytes, name: bytes = b"") -> Message:
    return Named(b"D", what, name).message


def close(what: bytes, name: bytes = b"") -> Message:
    return Named(b"C", what, name).message


def execute(portal: bytes = b"", rows: int = 0) -> Message:
    return Execute(portal, rows).message


def quiet(found: list[Message]) -> list[Message]:
    return [message for message in found if message.kind != b"N"]


def ready(raw: Raw) -> list[Message]:
    return quiet(raw.until(b"Z"))


def test_row_limits_suspend_the_portal_and_cost_once(door, name, raw):
    raw.send(parse(BY_SEX), bind(), execute(rows=2), execute(rows=1), execute(rows=5), SYNC)
    assert kinds(ready(raw)) == b"12DDsDsCZ"
    assert door.spent(name) == E12


def test_everything_in_one_pipeline(door, name, raw):
    raw.send(
        parse(b"SELECT 1", b"one"), bind(b"", b"one"), describe(b"P"), execute(),
        parse(COUNT, b"two"), describe(b"S", b"two"), bind(b"p", b"two"), describe(b"P", b"p"),
        execute(b"p"), bind(b"", b"one"), execute(), SYNC,
        parse(BY_SEX), bind(), execute(), SYNC,
    )  # fmt: skip
    assert kinds(ready(raw)) == b"12TDC1tT2TDC2DCZ"
    assert kinds(ready(raw)) == b"12DDDCZ"
    assert door.spent(name) == 2 * E12


def test_an_error_of_ours_skips_to_sync_and_not_beyond(door, name, raw):
    raw.send(
        parse(ROWS), bind(), execute(), parse(COUNT, b"never"), bind(b"", b"never"), SYNC,
        parse(b"SELECT 1"), bind(), execute(), SYNC,
        bind(b"", b"never"), SYNC,
    )  # fmt: skip
    assert kinds(ready(raw)) == b"12EZ"
    assert kinds(ready(raw)) == b"12DCZ"
    missing = ready(raw)
    assert kinds(missing) == b"EZ"
    assert said(missing)[b"C"] == b"26000"
    assert door.spent(name) == 0


def test_an_error_of_the_shadow_before_ours_skips_ours(door, name, raw):
    raw.send(
        parse(b"SELECT 1/0"), bind(), execute(), parse(COUNT), bind(), execute(),
        close(b"S"), describe(b"S"), FLUSH, messages.query(COUNT), SYNC,
    )  # fmt: skip
    assert kinds(ready(raw)) == b"1EZ"  # Postgres divides when it plans
    assert door.spent(name) == 0


def test_what_comes_while_the_shadow_skips_hangs_nobody(door, name, raw):
    """The error is there before the client says more: nothing is then asked of the shadow."""
    raw.send(parse(COUNT, b"kept"), SYNC)
    ready(raw)
    raw.send(parse(b"SELEC"), FLUSH)
    raw.until(b"E")
    raw.send(
        bind(b"", b"kept"), describe(b"P"), execute(), close(b"S", b"kept"), parse(ROWS),
        messages.query(COUNT), Message(b"F", b"\0" * 10), SYNC, bind(b"", b"kept"), execute(), SYNC,
    )  # fmt: skip
    assert kinds(ready(raw)) == b"Z"
    assert kinds(ready(raw)) == b"2DCZ"
    assert door.spent(name) == E12


def test_a_name_that_is_taken_stays_what_it_was(door, name, raw):
    raw.send(parse(COUNT, b"n"), SYNC, parse(b"SELECT 7", b"n"), SYNC)
    ready(raw)
    assert said(ready(raw))[b"C"] == b"42P05"
    raw.send(bind(b"", b"n"), execute(), SYNC)
    ready(raw)
    assert door.spent(name) == E12
    raw.send(close(b"S", b"n"), parse(b"SELECT 7", b"n"), bind(b"", b"n"), execute(), SYNC)
    assert kinds(ready(raw)) == b"312DCZ"
    assert door.spent(name) == E12


@pytest.mark.parametrize("drop", [b"DEALLOCATE n", b"DEALLOCATE ALL", b"DISCARD ALL"])
def test_a_statement_that_sql_dropped_is_gone(door, name, raw, drop):
    raw.send(parse(COUNT, b"n"), SYNC, messages.query(drop), bind(b"", b"n"), execute(), SYNC)
    for wanted in (b"1Z", b"CZ", b"EZ"):
        found = quiet([m for m in raw.until(b"Z") if m.kind != b"S"])
        assert kinds(found) == wanted
    raw.send(messages.query(b"PREPARE n AS SELECT 7"), bind(b"", b"n"), execute(), SYNC)
    ready(raw)
    found = ready(raw)
    assert messages.read_row(found[1].body) == (b"7",)
    assert door.spent(name) == 0


def test_a_failed_deallocate_drops_nothing(door, name, raw):
    raw.send(
        parse(COUNT, b"n"), SYNC, messages.query(b"DEALLOCATE m"), bind(b"", b"n"), execute(), SYNC
    )
    assert [kinds(ready(raw)) for _ in range(3)] == [b"1Z", b"EZ", b"2DCZ"]
    assert door.spent(name) == E12


def test_ready_without_a_transaction_is_the_end_of_every_portal(door, name, raw):
    raw.send(parse(COUNT, b"n"), bind(b"p", b"n"), SYNC, execute(b"p"), SYNC)
    ready(raw)
    assert said(ready(raw))[b"C"] == b"34000"
    raw.send(messages.query(b"BEGIN"), bind(b"p", b"n"), SYNC)
    raw.send(execute(b"p"), SYNC, describe(b"P", b"p"), SYNC, execute(b"p"), SYNC)
    assert [kinds(ready(raw)) for _ in range(5)] == [b"CZ", b"2Z", b"DCZ", b"TZ", b"CZ"]
    raw.send(messages.query(b"ROLLBACK"), execute(b"p"), SYNC)
    ready(raw)
    assert said(ready(raw))[b"C"] == b"34000"
    assert door.spent(name) == E12


def test_a_portal_of_a_savepoint_that_was_rolled_back_is_gone(door, name, raw):
    raw.send(messages.query(b"BEGIN; SAVEPOINT s"), parse(COUNT), bind(b"p"), SYNC)
    raw.send(messages.query(b"ROLLBACK TO s"), execute(b"p"), SYNC)
    for _ in range(3):
        ready(raw)
    assert said(ready(raw))[b"C"] == b"34000"
    assert door.spent(name) == 0


def test_a_portal_of_a_name_that_is_taken(door, name, raw):
    raw.send(messages.query(b"BEGIN"), parse(COUNT), bind(b"p"), bind(b"p"), SYNC)
    ready(raw)
    assert said(ready(raw))[b"C"] == b"42P03"


def test_a_simple_query_drops_what_has_no_name(door, name, raw):
    raw.send(messages.query(b"BEGIN"), parse(COUNT), bind(), SYNC, messages.query(COUNT))
    for _ in range(3):
        ready(raw)
    for message in (execute(), bind()):
        raw.send(messages.query(b"ROLLBACK"), messages.query(b"BEGIN"), message, SYNC)
        ready(raw), ready(raw)
        assert said(ready(raw))[b"C"] in {b"34000", b"26000"}
    assert door.spent(name) == E12


def test_bind_is_checked_as_postgres_checks_it(door, name, raw):
    raw.send(parse(COUNT + b" WHERE age > $1", b"n"), SYNC)
    ready(raw)
    for message in (
        Bind(b"", b"n").message,
        Bind(b"", b"n", (), (b"1", b"2")).message,
        Bind(b"", b"n", (), (b"1",), (0, 1)).message,
    ):
        raw.send(message, SYNC)
        found = ready(raw)
        assert said(found)[b"C"] == b"08P01"
    assert said(found)[b"M"] == b"bind message has 2 result formats but query has 1 columns"
    assert door.spent(name) == 0


def test_empty_texts(raw):
    raw.send(
        messages.query(b""),
        messages.query(b" ; -- nothing\n;"),
        parse(b""),
        bind(),
        execute(),
        SYNC,
    )
    assert [kinds(ready(raw)) for _ in range(3)] == [b"IZ", b"IZ", b"12IZ"]


def test_a_function_call_is_refused_and_the_session_goes_on(raw):
    raw.send(Message(b"F", b"\0" * 10), messages.query(b"SELECT 1"))
    found = ready(raw)
    assert (kinds(found), said(found)[b"C"]) == (b"EZ", b"0A000")
    assert kinds(ready(raw)) == b"TDCZ"


def test_copy_data_that_nobody_wants_is_dropped(raw):
    raw.send(
        Message(b"d", b"x"), Message(b"c"), Message(b"f", b"no\0"), messages.query(b"SELECT 1")
    )
    assert kinds(ready(raw)) == b"TDCZ"


@pytest.mark.parametrize(
    "message",
    [
        Message(b"p", b"secret\0"),
        Message(b"?", b""),
        Message(b"B", b"\0"),
        Message(b"E", b"\0\0"),
        Message(b"D", b"X\0"),
        Message(b"Q", b"SELECT 1"),
        Message(b"Q", b"SELECT 1\0SELECT 2\0"),
        Message(b"P", b"\0SELECT 1\0\0\1"),
    ],
    ids=repr,
)
def test_what_is_no_message_ends_the_session(raw, message):
    raw.send(message)
    found = raw.rest()
    assert (kinds(found), said(found)[b"C"], said(found)[b"S"]) == (b"E", b"08P01", b"FATAL")


def test_a_message_that_is_too_long_ends_the_session(raw):
    raw.send(b"Q" + (2**20 + 5).to_bytes(4))
    assert said(raw.rest())[b"C"] == b"08P01"


def test_protected_statements_between_others_in_one_query(door, name, raw):
    raw.send(messages.query(b"SELECT 1; " + COUNT + b"; SHOW datestyle; " + BY_SEX + b";"))
    assert kinds(ready(raw)) == b"TDCTDCTDCTDDDCZ"
    raw.send(messages.query(b"BEGIN; " + COUNT + b" WHERE active"))
    assert ready(raw)[-1].body == b"T"
    raw.send(messages.query(ROWS))
    assert ready(raw)[-1].body == b"E"
    raw.send(messages.query(b"ROLLBACK; " + ROWS))
    found = ready(raw)
    assert (kinds(found), found[-1].body) == (b"CEZ", b"I")
    assert door.spent(name) == 3 * E12


def test_notices_come_before_the_rows(raw):
    raw.send(messages.query(COUNT))
    assert kinds(raw.until(b"Z")) == b"NTDCZ"
    raw.send(parse(COUNT), bind(), describe(b"P"), execute(), SYNC)
    assert kinds(raw.until(b"Z")) == b"12TNDCZ"


def test_a_cursor_of_sql_takes_the_name_of_a_portal_that_is_gone(door, name, raw):
    raw.send(parse(COUNT, b"n"), bind(b"p", b"n"), SYNC)
    raw.send(messages.query(b"BEGIN; DECLARE p CURSOR FOR SELECT 7"), execute(b"p"), SYNC)
    ready(raw), ready(raw)
    found = ready(raw)
    assert messages.read_row(found[0].body) == (b"7",)
    assert door.spent(name) == 0


def test_a_cursor_of_sql_takes_the_name_inside_of_the_transaction(door, name, raw):
    raw.send(messages.query(b"BEGIN; SAVEPOINT s"), parse(COUNT + b" WHERE age > $1", b"n"))
    raw.send(Bind(b"p", b"n", (), (b"1",)).message, SYNC)
    raw.send(messages.query(b"ROLLBACK TO s; DECLARE p CURSOR FOR SELECT 7"))
    raw.send(describe(b"P", b"p"), execute(b"p"), SYNC)
    ready(raw), ready(raw), ready(raw)
    found = ready(raw)
    assert (kinds(found), messages.read_row(found[1].body)) == (b"TDCZ", (b"7",))
    assert door.spent(name) == 0
