"""The listener: connections from their first byte to their last, within limits."""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import socket
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

from accountant.ledger import Ledger
from analyzer.catalog import Catalog
from analyzer.refusals import BadArgument
from server.errors import ErrorBody, body_of
from server.gateway import Gateway
from server.identity import Identity, Principal
from server.observations import Broke, Name, Observer
from server.questions import UnknownDataset
from server.shadow import ShadowFailed
from server.shadow.shadow import Shadow
from server.wire import asks, backend, messages
from server.wire.asker import Asker
from server.wire.backend import Backend, Opened, ShadowRefused, codec_of
from server.wire.desk import Desk
from server.wire.login import authenticate
from server.wire.messages import Message, ProtocolViolation
from server.wire.own import PASSED_ON
from server.wire.session import Session
from server.wire.sessions import Entry, Sessions
from server.wire.standing import Standing
from server.wire.startup import CancelRequest, LoginRefused, Startup, greet
from server.wire.steps import SessionEnds
from server.wire.stream import Gone, Stream
from server.wire.tls import Tls

_TLS_RECORD = b"\x16"
"""How a client begins that encrypts without asking first."""
_BREATH = 0.05
"""Seconds until connections are taken again after one could not be."""
_SHORT_SECRET, _LONG_SECRET = 4, 32
"""Bytes of a cancel key: protocol 3.0 has no room for more."""
_TERMINATED = ErrorBody(
    "terminated", "57P01", "terminating connection due to administrator command"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may use.

    Attributes:
        connections: at once, of all analysts; as many more may be about to log in.
        per_analyst: at once, of one analyst.
        login_seconds: from the first byte to the end of the login.
        message_bytes: of one message after the login.
        shared_logins: of analysts who ask for others, with the others' tokens.
    """

    connections: int = 100
    per_analyst: int = 20
    login_seconds: float = 20.0
    message_bytes: int = 2**20
    shared_logins: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that a session needs besides its client."""

    gateway: Gateway
    ledger: Ledger
    identity: Identity
    shadow: Shadow
    tls: Tls
    observe: Observer


class WireServer:
    """Serves Postgres clients on one socket."""

    def __init__(self, parts: Parts, limits: Limits | None = None) -> None:
        self._parts = parts
        self._limits = limits or Limits()
        self._sessions = Sessions(self._limits.per_analyst)
        self._standing = Standing(parts.shadow, parts.ledger)
        self._connections: set[asyncio.Task[None]] = set()
        self._greeted: dict[asyncio.Task[None], None] = {}
        """Connections that have not logged in, the oldest first."""

    async def serve(self, door: socket.socket) -> None:
        """Takes connections until it is cancelled; ends those that are open then."""
        loop = asyncio.get_running_loop()
        door.setblocking(False)
        try:
            while True:
                try:
                    accepted, _ = await loop.sock_accept(door)
                except OSError:  # Out of files, or the client was gone at once.
                    await asyncio.sleep(_BREATH)
                    continue
                # Who means it logs in within a moment: so nobody keeps the others out by waiting.
                if len(self._greeted) >= self._limits.connections:
                    oldest = next(iter(self._greeted))
                    del self._greeted[oldest]
                    oldest.cancel()
                task = asyncio.create_task(self._connection(accepted))
                self._connections.add(task)
                self._greeted[task] = None
                task.add_done_callback(self._ended)
        finally:
            open_ = list(self._connections)
            for task in open_:
                task.cancel()
            await asyncio.gather(*open_, return_exceptions=True)

    def _ended(self, connection: asyncio.Task[None]) -> None:
        self._connections.discard(connection)
        self._greeted.pop(connection, None)

    async def _connection(self, accepted: socket.socket) -> None:
        stream = Stream()
        try:
            async with asyncio.timeout(self._limits.login_seconds) as deadline:
                await self._begin(accepted, stream)
                await self._greet(stream, deadline)
        except (Gone, OSError, TimeoutError):
            pass
        except ProtocolViolation as error:
            _fatal(stream, ErrorBody("protocol_violation", "08P01", str(error)))
        except (LoginRefused, SessionEnds) as error:
            _fatal(stream, error.body)
        except asyncio.CancelledError:
            _fatal(stream, _TERMINATED)
        except Exception as error:  # noqa: BLE001 - one connection ends, the others go on
            self._parts.observe(Broke(Name("wire"), Name.of(error)))
            _fatal(stream, body_of(error))
        finally:
            accepted.close()
            stream.close()

    async def _begin(self, accepted: socket.socket, stream: Stream) -> None:
        """Connects the stream; encrypted at once, if the client begins so."""
        loop = asyncio.get_running_loop()
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A client whose machine is gone says nothing more; its place must not stay taken.
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        readable = asyncio.Event()
        loop.add_reader(accepted, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(accepted)
        encrypted = accepted.recv(1, socket.MSG_PEEK) == _TLS_RECORD
        context = self._parts.tls.context if encrypted else None
        await loop.connect_accepted_socket(lambda: stream, accepted.dup(), ssl=context)

    async def _greet(self, stream: Stream, deadline: asyncio.Timeout) -> None:
        first = await greet(stream, self._parts.tls)
        if isinstance(first, CancelRequest):
            await self._sessions.cancel(first.pid, first.secret)
            return
        if len(self._sessions) >= self._limits.connections:
            raise LoginRefused("53300", "sorry, too many clients already")
        _must_be_private(stream)
        parts = self._parts
        principal = await authenticate(stream, first.user, parts.identity, parts.tls)
        catalog = self._catalog(first.database)
        opened = await self._open(first, catalog, principal)
        try:
            await self._session(stream, first, catalog, principal, opened, deadline)
        finally:
            opened.stream.write(messages.TERMINATE.frame)
            opened.stream.close()

    def _catalog(self, database: str) -> Catalog:
        try:
            return self._parts.gateway.dataset(database).catalog
        except UnknownDataset as error:
            raise LoginRefused(
                "3D000", f'database "{database[:63]}" does not exist', hint=error.hint
            ) from None

    async def _open(self, first: Startup, catalog: Catalog, principal: Principal) -> Opened:
        """The session's own connection to the shadow."""
        shadow = self._parts.shadow
        own = {f"epsql.{name}": "" for name in (*asks.SETTINGS, PASSED_ON, "budget")}
        for name, value in first.settings.items():
            if name.startswith("epsql."):
                _must_be_readable(name.removeprefix("epsql."), value)
        usual = {"client_encoding": "UTF8"} | own
        who = {"user": principal.name, "database": catalog.dataset}
        try:
            await shadow.admit(principal.name)
            return await backend.connect(shadow.socket, {**usual, **first.settings, **who})
        except ShadowRefused as error:
            raise LoginRefused(
                error.fields[b"C"].decode(), error.fields[b"M"].decode(errors="replace")
            ) from None
        except (ShadowFailed, Gone, OSError) as error:
            self._parts.observe(Broke(Name("shadow"), Name.of(error)))
            raise LoginRefused("57P03", "The server cannot take sessions now.") from None

    async def _session(
        self,
        stream: Stream,
        first: Startup,
        catalog: Catalog,
        principal: Principal,
        opened: Opened,
        deadline: asyncio.Timeout,
    ) -> None:
        parts = self._parts
        asker, behind = Asker(parts.gateway, stream), Backend(opened.stream, stream)
        behind.codec = codec_of(opened.settings["client_encoding"])

        async def cancel() -> None:
            if not asker.cancel() and behind.busy:
                await backend.cancel(parts.shadow.socket, opened.key)

        desk = Desk(
            principal,
            catalog,
            asker,
            identity=parts.identity,
            ledger=parts.ledger,
            sessions=self._sessions,
            standing=self._standing,
            shared=principal.name in self._limits.shared_logins,
            observe=parts.observe,
        )
        names = partial(parts.shadow.names, catalog.dataset)
        session = Session(
            stream,
            behind,
            names,
            desk,
            self._limits.message_bytes,
            hears_of_search_path="search_path" in opened.settings,
        )
        task = asyncio.current_task()
        assert task is not None
        assert principal.analyst_id is not None
        secret = secrets.token_bytes(_LONG_SECRET if first.minor >= 2 else _SHORT_SECRET)
        entry = Entry(principal.analyst_id, opened.key.pid, secret, cancel, task)
        with self._sessions.entered(entry):
            self._greeted.pop(task, None)
            stream.write(_welcome(opened, secret))
            deadline.reschedule(None)
            try:
                await _until_one_ends(behind.pump(), session.run())
            finally:
                await desk.leave()


def _welcome(opened: Opened, secret: bytes) -> bytes:
    """What follows a login, up to the first ReadyForQuery."""
    told = [messages.authentication(0)]
    told += [messages.setting(name, value) for name, value in opened.settings.items()]
    told += [messages.backend_key(opened.key.pid, secret), Message(b"Z", b"I")]
    return b"".join(message.frame for message in told)


def _must_be_private(stream: Stream) -> None:
    """Raises LoginRefused where others on the way could read along."""
    peer = stream.transport.get_extra_info("peername")
    if stream.tls is None and not ipaddress.ip_address(peer[0].partition("%")[0]).is_loopback:
        raise LoginRefused(
            "28000",
            "Connections from another machine must be encrypted.",
            hint="Connect with sslmode=require.",
        )


def _must_be_readable(name: str, value: str) -> None:
    if name == PASSED_ON:  # The shadow shows to all sessions of a login how one began.
        raise LoginRefused("22023", f"epsql.{PASSED_ON} is not set by a connection's options.")
    try:
        asks.read(name, value)
    except BadArgument as error:
        raise LoginRefused("22023", error.message, hint=error.hint) from None


def _fatal(stream: Stream, body: ErrorBody) -> None:
    stream.write(messages.error(body, "FATAL").frame)


async def _until_one_ends(*works: Coroutine[Any, Any, None]) -> None:
    """Runs all until one has ended, and raises what it raised; the others are cancelled."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in ended:
        task.result()
