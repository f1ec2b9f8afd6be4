"""Where an operator's commands reach the ledger."""

from __future__ import annotations

import asyncio
import getpass
from argparse import Namespace
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from accountant.ledger import Ledger
from accountant.transactions import ledger_engine
from migrations import is_current
from server.app import head_file_of
from server.identity import Identity
from server.settings import LedgerSettings, read_settings


class Refused(Exception):
    """A command that makes sense and cannot be done; the text says why."""


@dataclass(frozen=True, slots=True)
class Office:
    """The ledger and the tokens, and who is asking for changes."""

    engine: AsyncEngine
    ledger: Ledger
    identity: Identity
    by: str


@asynccontextmanager
async def office_of_the_environment() -> AsyncIterator[Office]:
    """The office over the ledger of ``EPSQL_LEDGER_URL``.

    Raises:
        Refused: its tables are not there, or not those of this program.
        SQLAlchemyError: its database failed.
    """
    settings = read_settings(LedgerSettings)
    url = settings.ledger_url.get_secret_value()
    if not await asyncio.to_thread(is_current, url):
        raise Refused("the ledger's schema is not the newest; run `epsql migrate`")
    engine = ledger_engine(url)
    head = head_file_of(settings)
    try:
        yield Office(engine, Ledger(engine, head), Identity(engine, head), f"cli:{_login()}")
    finally:
        await engine.dispose()


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"  # in a container, a user may have a number only


Work = Callable[[Office, Namespace], Coroutine[Any, Any, int | None]]


def in_the_office(work: Work) -> Callable[[Namespace], int | None]:
    """Makes a command of what needs the ledger."""

    @wraps(work)
    def run(options: Namespace) -> int | None:
        async def inside() -> int | None:
            async with office_of_the_environment() as office:
                return await work(office, options)

        return asyncio.run(inside())

    return run


def print_table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Columns with a head, as wide as they have to be."""
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    for row in (heads, *rows):
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
