"""From settings to a running server, and from a running server to a stopped one.

Starting refuses rather than serves what is not safe: a policy that does not match the database, a
role with more rights than it should have, a ledger whose schema is not the newest. Stopping gives
running queries some time, then cancels them; the ledger hears of each before the process ends.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

import uvicorn
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from accountant.errors import LedgerBehind
from accountant.headfile import HeadFile
from accountant.ledger import Ledger
from accountant.outages import outage
from accountant.transactions import ledger_engine
from analyzer.catalog import Catalog, Table
from analyzer.lexical import TextLimits
from migrations import is_current
from server.admission import open_datasets
from server.engines.postgres import Bounds, PostgresEngine
from server.engines.public import public_rows
from server.gateway import Gateway
from server.identity import Identity
from server.observations import Observer, Started, Stopped, json_lines, silence_libraries
from server.policy import load_policy
from server.policy_check import Severity, check
from server.questions import Dataset
from server.settings import LedgerSettings, PolicySettings, Settings
from server.shadow import ShadowFailed
from server.shadow.shadow import Shadow, ShadowLimits
from server.ticks import Tick
from server.web.application import create_app
from server.web.services import Services
from server.wire.server import Limits, Parts, WireServer
from server.wire.tls import TlsFailed, tls


class CannotStart(Exception):
    """The server would not be safe, or not work, as it is set up. One line for each reason."""


class _Away(Exception):
    """A part does not answer. For ``/readyz``."""


def load_catalogs(settings: PolicySettings) -> list[Catalog]:
    """The data sets of the policy files.

    Raises:
        PolicyError: a file holds mistakes.
        SettingsError, CannotStart: there is no file, or two declare the same data set or the same
            protected table.
    """
    catalogs = [load_policy(path) for path in settings.policy_files()]
    names = [catalog.dataset for catalog in catalogs]
    for name in names:
        if names.count(name) > 1:
            raise CannotStart(f"two policy files declare the data set {name}")
    # All data sets live in one database, and each has a budget of its own.
    places = [
        f"{table.schema}.{table.relation}"
        for catalog in catalogs
        for table in catalog.tables.values()
        if table.protected
    ]
    for place in places:
        if places.count(place) > 1:
            raise CannotStart(
                f"the protected table {place} is declared twice: its people would have two budgets"
            )
    return catalogs


def no_ledger(error: Exception) -> str:
    """Why the ledger's database did not do what it was asked, for the operator."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return f"the ledger's database failed: {outage(cause)}; look at EPSQL_LEDGER_URL"


def require_sound(settings: Settings, catalogs: Sequence[Catalog]) -> None:
    """Looks before anybody may ask. Blocking; for start-up only.

    Raises:
        CannotStart: the ledger is away or its schema is old, or a policy does not fit the database.
    """
    try:
        current = is_current(settings.ledger_url.get_secret_value())
    except (SQLAlchemyError, OSError) as error:
        # From None: the driver's words hold the address.
        raise CannotStart(no_ledger(error)) from None
    if not current:
        raise CannotStart("the ledger's schema is not the newest; run `epsql migrate`")
    errors = [
        f"{catalog.dataset}: {finding}"
        for catalog in catalogs
        for finding in check(catalog, settings.data_url.get_secret_value())
        if finding.severity is Severity.ERROR
    ]
    if errors:
        raise CannotStart("\n".join(errors))


@dataclass(frozen=True, slots=True)
class Running:
    """What is behind the doors."""

    services: Services
    wire: WireServer | None
    """None where Postgres clients are not served."""


def head_file_of(settings: LedgerSettings) -> HeadFile | None:
    """The file that the ledger's head is written to, if there is one."""
    return None if settings.ledger_head is None else HeadFile(settings.ledger_head)


@asynccontextmanager
async def running(
    settings: Settings, catalogs: Sequence[Catalog], observe: Observer
) -> AsyncIterator[Running]:
    """Everything that answers questions, connected; closed in the other order at the end.

    Raises:
        CannotStart: the shadow or the certificate cannot be had.
    """
    async with AsyncExitStack() as stack:
        at_once = settings.queries_at_once
        database = ledger_engine(settings.ledger_url.get_secret_value())
        stack.push_async_callback(database.dispose)
        head_file = head_file_of(settings)
        ledger = Ledger(database, head_file)
        stack.push_async_callback(ledger.close)
        try:
            await ledger.require_newest()
        except LedgerBehind as error:
            raise CannotStart(str(error)) from None
        await ledger.burn_orphans()
        try:
            await open_datasets(ledger, catalogs, by="epsql serve")
        except ValueError as error:
            raise CannotStart(str(error)) from None
        bounds = Bounds(statement_seconds=settings.statement_seconds, connections=at_once + 1)
        key = settings.selection_key
        engine = await PostgresEngine(
            settings.data_url.get_secret_value(),
            bounds,
            selection_key=None if key is None else int(key.get_secret_value()),
        ).open()
        stack.push_async_callback(engine.close)
        gateway = Gateway(
            {catalog.dataset: Dataset(catalog, engine) for catalog in catalogs},
            ledger,
            observe,
            limits=TextLimits(settings.sql_characters, settings.sql_tokens, settings.sql_depth),
            per_analyst=settings.queries_per_analyst,
            at_once=at_once,
            tick=Tick(settings.release_tick_ms / 1000),
        )
        stack.push_async_callback(gateway.stop)
        checks = {
            "ledger": _ledger_check(settings.ledger_url.get_secret_value()),
            "data": _check(engine.ready),
        }
        services = Services(
            gateway=gateway,
            ledger=ledger,
            identity=Identity(database, head_file),
            observe=observe,
            checks=checks,
            body_bytes=settings.body_bytes,
        )
        wire = None
        if settings.wire:
            shadow = await _shadow(settings, catalogs)
            stack.push_async_callback(shadow.close)
            checks["shadow"] = _check(shadow.healthy)
            wire = _wire_server(settings, services, shadow)
        yield Running(services, wire)


async def _shadow(settings: Settings, catalogs: Sequence[Catalog]) -> Shadow:
    async def rows(table: Table) -> bytes | None:
        url = settings.data_url.get_secret_value()
        return await public_rows(url, table, settings.shadow_public_rows)

    limits = ShadowLimits(
        sessions=settings.wire_connections,
        sessions_per_analyst=settings.wire_connections_per_analyst,
        statement_seconds=settings.statement_seconds,
    )
    try:
        return await Shadow(
            catalogs,
            rows,
            binaries=settings.shadow_binaries,
            parent=settings.shadow_directory,
            limits=limits,
        ).open()
    except ShadowFailed as error:
        raise CannotStart(f"{error}; or set EPSQL_WIRE=off to serve HTTP alone") from None


def _wire_server(settings: Settings, services: Services, shadow: Shadow) -> WireServer:
    try:
        encryption = tls(settings.tls_certificate, settings.tls_key)
    except TlsFailed as error:
        raise CannotStart(f"EPSQL_TLS_CERTIFICATE, EPSQL_TLS_KEY: {error}") from None
    parts = Parts(
        gateway=services.gateway,
        ledger=services.ledger,
        identity=services.identity,
        shadow=shadow,
        tls=encryption,
        observe=services.observe,
    )
    limits = Limits(
        connections=settings.wire_connections,
        per_analyst=settings.wire_connections_per_analyst,
        login_seconds=settings.wire_login_seconds,
        message_bytes=settings.wire_message_bytes,
        shared_logins=frozenset(filter(None, settings.wire_shared_logins.split(","))),
    )
    return WireServer(parts, limits)


@asynccontextmanager
async def serving_wire(wire: WireServer | None, door: socket.socket | None) -> AsyncIterator[None]:
    """Postgres clients are served inside of the block, where there is a door for them."""
    if wire is None or door is None:
        yield
        return
    serving = asyncio.create_task(wire.serve(door))
    try:
        yield
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def _ledger_check(url: str) -> Callable[[], Awaitable[None]]:
    async def is_there() -> None:
        if not await asyncio.to_thread(is_current, url):
            raise _Away

    return is_there


def _check(ready: Callable[[], Awaitable[bool]]) -> Callable[[], Awaitable[None]]:
    async def is_there() -> None:
        if not await ready():
            raise _Away

    return is_there


class Server(uvicorn.Server):
    """Uvicorn, with the gateway stopped while it waits for its connections to become idle.

    So a query that is cut off still gets the one error shape, and the ledger is told in time.
    """

    def __init__(self, services: Services, *, grace: float) -> None:
        """``grace``: seconds that running queries have when the server is asked to stop."""
        config = uvicorn.Config(
            create_app(services),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            http="h11",
            ws="none",
            timeout_graceful_shutdown=round(grace) + 10,
        )
        super().__init__(config)
        self._gateway = services.gateway
        self._grace = grace
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        async with asyncio.TaskGroup() as both:
            both.create_task(self._gateway.stop(self._grace))
            both.create_task(super().shutdown(sockets))

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's own, which would raise the signal again and so kill what is left to do."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one.

    Raises:
        CannotStart: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        door = socket.create_server((host, port), family=family)
    except OSError as error:
        # The standard library writes the address again after the system's own words.
        why = (error.strerror or type(error).__name__).partition(" (while ")[0]
        raise CannotStart(f"cannot listen on {host}, port {port}: {why}") from None
    # Connections inherit it. asyncio sets it only on sockets that name their protocol, and without
    # it every reply waits some 40 ms for the client to acknowledge its head.
    door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return door


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        PolicyError, SettingsError, CannotStart: it is not safe or not possible to.
    """
    observe = json_lines(lowest=settings.log_level.level)
    catalogs = load_catalogs(settings)
    await asyncio.to_thread(require_sound, settings, catalogs)
    silence_libraries(observe)
    async with AsyncExitStack() as stack:
        door = stack.enter_context(listen(settings.host, settings.port))
        wire_door = None
        if settings.wire:
            wire_door = stack.enter_context(listen(settings.wire_host, settings.wire_port))
        behind = await stack.enter_async_context(running(settings, catalogs, observe))
        await stack.enter_async_context(serving_wire(behind.wire, wire_door))
        server = Server(behind.services, grace=settings.shutdown_seconds)
        wire_port = None if wire_door is None else wire_door.getsockname()[1]
        gc.freeze()  # what is here now stays: there is no garbage in it to look for
        observe(Started(door.getsockname()[1], wire_port, len(catalogs)))
        await server.serve([door])
    observe(Stopped())
