"""Framing: what is written is read again, and what is no message is refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import ErrorBody
from server.wire import messages
from server.wire.messages import Bind, Execute, Field, Message, Named, Parse, ProtocolViolation

NAME = st.binary(max_size=20).filter(lambda name: b"\0" not in name)
OID = st.integers(0, 2**32 - 1)
FORMATS = st.lists(st.integers(0, 1), max_size=4).map(tuple)


@given(st.builds(Parse, NAME, NAME, st.lists(OID, max_size=4).map(tuple)))
def test_parse(parse):
    assert messages.read_parse(parse.message.body) == parse


@given(
    st.builds(
        Bind,
        NAME,
        NAME,
        FORMATS,
        st.lists(st.none() | st.binary(max_size=9), max_size=4).map(tuple),
        FORMATS,
    )
)
def test_bind(bind):
    assert messages.read_bind(bind.message.body) == bind


@given(st.builds(Execute, NAME, st.integers(0, 2**31 - 1)))
def test_execute(execute):
    assert messages.read_execute(execute.message.body) == execute


@given(st.builds(Named, st.sampled_from([b"D", b"C"]), st.sampled_from([b"S", b"P"]), NAME))
def test_describe_and_close(named):
    assert messages.read_named(named.message) == named


@given(st.lists(st.builds(Field, NAME, st.binary(min_size=18, max_size=18)), max_size=4))
def test_row_description(fields):
    assert messages.read_row_description(messages.row_description(fields).body) == tuple(fields)


READERS = [
    messages.read_parse,
    messages.read_bind,
    messages.read_execute,
    messages.read_query,
    lambda body: messages.read_named(Message(b"D", body)),
    messages.read_row_description,
    messages.read_row,
    messages.read_report,
]


@given(st.sampled_from(READERS), st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(read, body):
    """Never another exception: a malformed message ends its session and nothing else."""
    with contextlib.suppress(ProtocolViolation):
        read(body)


@given(st.builds(Parse, NAME, NAME), st.binary(min_size=1, max_size=3))
def test_what_follows_a_message_inside_of_it_is_refused(parse, more):
    with pytest.raises(ProtocolViolation):
        messages.read_parse(parse.message.body + more)


def test_an_error_in_the_encoding_of_the_client():
    body = ErrorBody("x", "22023", "größer ☃", hint="±", position=7)
    said = messages.read_report(messages.error(body, codec="latin-1").body)
    assert said[b"M"] == "größer ?".encode("latin-1")
    assert said[b"H"] == b"\xb1"
    assert said[b"P"] == b"7"
    assert b"D" not in said


def test_the_formats_of_a_field():
    field = Field(b"n", bytes(range(18)))
    assert field.in_format(1).rest[16:] == b"\0\1"
    assert field.type == 0x06070809
