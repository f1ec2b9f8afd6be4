"""What we ask the shadow for ourselves: types, parameters, settings, and portals of noisy rows.

Every method is for when the shadow owes nothing, and raises ``ShadowRefused`` where the client's
own step fails there: the error is then the one that Postgres would have given the client.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analyzer.catalog import Given
from server.errors import MessageRefused
from server.wire import answers, asks, messages
from server.wire.backend import Backend, ShadowRefused, values
from server.wire.messages import Bind, Execute, Field, Message, Named, Parse
from server.wire.own import PASSED_ON, Act, Own

_OURS = b"epsql own"
"""The name of a statement and a portal of ours in the shadow, there only between two messages."""
_SESSION = (f"epsql.{PASSED_ON}", "client_min_messages", "TimeZone")
_SECONDS = "extract(epoch FROM current_setting('statement_timeout')::interval)"


@dataclass(frozen=True, slots=True)
class Described:
    """What the shadow says of a statement: its parameters' types, and its columns if it has any."""

    types: tuple[int, ...]
    fields: tuple[Field, ...] | None


@dataclass(frozen=True, slots=True)
class Portal:
    """A portal of ours, as its Bind made it."""

    own: Own
    bind: Bind
    described: Described
    parameters: tuple[Given, ...] = ()
    executed: bool = False
    """Whether the answer is in it: from then on it is like any other."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The session's settings that a question is asked under."""

    asks: Mapping[str, str | None]
    seconds: float | None
    """After how many a statement is cancelled."""
    quiet: bool
    """Whether notices are not wanted."""
    zone: str
    person: str
    """A handle of who asks, where that is not who logged in; else empty."""


class Binder:
    """The shadow of one session, as far as our own questions to it go."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._types: dict[tuple[int, int], str] = {}
        self._standing = (b"", -1)
        """The portal that stood last, and after how many messages."""

    async def statement(self, name: bytes) -> Described:
        """A statement of the client's."""
        (answer,) = await self._backend.ask(Named(b"D", b"S", name).message)
        return _described(answer)

    async def text(self, parse: Parse, *, keep: bool = False) -> Described:
        """A text that the client has not parsed itself.

        Args:
            parse: under the name that it gets.
            keep: whether the statement stays.
        """
        describe = Named(b"D", b"S", parse.name).message
        if keep:
            return _described((await self._backend.ask(parse.message, describe))[1])
        return _described((await self._backend.ask(*_anew(parse), describe, _DROP))[2])

    async def inner(self, own: Own, types: Sequence[int]) -> Described:
        """The query inside of a statement."""
        try:
            return await self.text(Parse(_OURS, self._encoded(own.query), tuple(types)))
        except ShadowRefused as error:
            raise ShadowRefused(error.moved(own.inner.start)) from None

    async def stands(self, portal: Portal) -> bool:
        """Whether the client's portal is still the one that its Bind made, and not a cursor of SQL
        that has taken its name. Fails where there is none."""
        name = portal.bind.portal
        if self._standing == (name, self._backend.sent):
            return True
        (answer,) = await self._backend.ask(Named(b"D", b"P", name).message)
        if portal.executed:
            return True
        fields = messages.read_row_description(answer[-1].body) if answer[-1].body else ()
        if [one.name for one in fields] != [answers.PARAMETER] * len(portal.described.types):
            return False
        self._standing = (name, self._backend.sent)
        return True

    async def parameters(self, bind: Bind, described: Described) -> tuple[Given, ...]:
        """The values of a Bind. Afterwards the portal that it names is there, and done with."""
        _all_given(bind, described)
        parse = Parse(_OURS, answers.decoded(described.types), described.types)
        answer = await self._backend.ask(
            *_anew(parse),
            Bind(bind.portal, _OURS, bind.formats, bind.values).message,
            Execute(bind.portal).message,
            _DROP,
        )
        _formats_fit(bind, described)
        (row,) = values(answer[3])
        self._standing = (bind.portal, self._backend.sent)
        return answers.scalars(row, described.types, self._backend.codec)

    async def block(self) -> None:
        """What comes now and before the next Sync is a transaction block, to whatever needs one."""
        await self._run(b"SELECT")

    async def search_path(self) -> tuple[str, ...]:
        """The schemas in which names are looked up."""
        ((path,),) = values(await self._run(b"SELECT array_to_json(current_schemas(false))"))
        return tuple(json.loads(path or b"[]"))

    async def statements(self) -> set[bytes]:
        """The names of the statements that came by the protocol, and not by SQL."""
        answer = await self._run(b"SELECT name FROM pg_prepared_statements WHERE NOT from_sql")
        return {name or b"" for (name,) in values(answer)}

    async def surroundings(self) -> Surroundings:
        names = [f"epsql.{name}" for name in asks.SETTINGS] + list(_SESSION)
        outputs = [f"current_setting('{name}', true)" for name in names]
        answer = await self._run(f"SELECT {', '.join([*outputs, _SECONDS])}".encode())
        codec = self._backend.codec
        texts = [None if v is None else v.decode(codec) for v in values(answer)[0]]
        person, level, zone, seconds = texts[-4:]
        return Surroundings(
            asks=dict(zip(asks.SETTINGS, texts, strict=False)),
            seconds=float(seconds or 0) or None,
            quiet=level in {"warning", "error"},
            zone=zone or "",
            person=person or "",
        )

    async def materialise(
        self, own: Own, rows: Sequence[str], fields: Sequence[Field], bind: Bind
    ) -> None:
        """Puts the portal that ``bind`` names in place, with the rows in it."""
        if own.act is Act.PERSON:  # What it sets goes with the transaction, as any setting does.
            await self._replace(bind, Parse(_OURS, own.passed_on(rows[0]).encode()), ())
            return
        types = await self._type_names(fields)
        names = [field.name.decode(self._backend.codec) for field in fields]
        if own.act is Act.COPY:  # takes no parameters
            text = own.around(answers.recordset(names, types, list(map(answers.literal, rows))))
            await self._replace(bind, Parse(_OURS, self._encoded(text)), ())
        else:
            query = answers.recordset(names, types, [f"${i + 1}" for i in range(len(rows))])
            text = own.around(query) if own.act is Act.CURSOR else query
            parse = Parse(_OURS, self._encoded(text), (answers.JSON,) * len(rows))
            await self._replace(bind, parse, tuple(part.encode() for part in rows))

    def _encoded(self, text: str) -> bytes:
        return text.encode(self._backend.codec)

    async def _replace(self, bind: Bind, parse: Parse, rows: tuple[bytes, ...]) -> None:
        await self._backend.ask(
            Named(b"C", b"P", bind.portal).message,
            *_anew(parse),
            Bind(bind.portal, parse.name, (), rows, bind.result_formats).message,
            _DROP,
        )

    async def _type_names(self, fields: Sequence[Field]) -> list[str]:
        if any((one.type, one.modifier) not in self._types for one in fields):
            answer = await self._run(answers.type_names(fields))
            for one, name in zip(fields, values(answer)[0], strict=True):
                self._types[one.type, one.modifier] = (name or b"").decode(self._backend.codec)
        return [self._types[one.type, one.modifier] for one in fields]

    async def _run(self, sql: bytes) -> list[Message]:
        """The answer to a query of ours."""
        answer = await self._backend.ask(
            Named(b"C", b"P", _OURS).message,
            *_anew(Parse(_OURS, sql)),
            Bind(_OURS, _OURS).message,
            Execute(_OURS).message,
            Named(b"C", b"P", _OURS).message,
            _DROP,
        )
        return answer[4]


_DROP = Named(b"C", b"S", _OURS).message


def _anew(parse: Parse) -> tuple[Message, Message]:
    """Our own statement: one that an error has left there is dropped first."""
    return _DROP, parse.message


def _described(answer: Sequence[Message]) -> Described:
    types, rows = answer
    fields = None if rows.kind == b"n" else messages.read_row_description(rows.body)
    return Described(messages.read_parameter_description(types.body), fields)


def _all_given(bind: Bind, described: Described) -> None:
    """As Postgres itself checks it before it looks at a value, and in its words."""
    given, wanted = len(bind.values), len(described.types)
    if given != wanted:
        raise MessageRefused(
            f"bind message supplies {given} parameters, but prepared statement"
            f' "{bind.statement.decode(errors="replace")}" requires {wanted}'
        )


def _formats_fit(bind: Bind, described: Described) -> None:
    """As Postgres itself checks it when all else is well, and in its words."""
    if described.fields is None:
        return
    formats, columns = len(bind.result_formats), len(described.fields)
    if formats > 1 and formats != columns:
        raise MessageRefused(
            f"bind message has {formats} result formats but query has {columns} columns"
        )


def formatted(fields: Sequence[Field], formats: Sequence[int]) -> list[Field]:
    """The columns of a portal: those of its statement, in the formats that its Bind wants."""
    codes = list(formats) if len(formats) > 1 else list(formats or (0,)) * len(fields)
    return [field.in_format(code) for field, code in zip(fields, codes, strict=True)]
