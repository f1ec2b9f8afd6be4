"""What each command of ``epsql`` does; see ``server.cli`` for what they are called."""

from __future__ import annotations

import asyncio
import getpass
import sys
from argparse import Namespace
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from accountant.accounts import Account
from accountant.errors import CapBelowSpent, LedgerError, NoAccount
from accountant.ledger import Ledger
from accountant.losses import delta_as_text, epsilon_as_text, floor_delta, floor_epsilon
from accountant.transactions import ledger_engine
from analyzer.catalog import Catalog
from migrations import migrate as bring_up_to_date
from server.admission import admit_analyst, open_datasets
from server.app import CannotStart, head_file_of, load_catalogs
from server.app import serve as serve_for_ever
from server.identity import Identity
from server.policy import PolicyError, load_policy
from server.policy_check import Severity, check
from server.policy_draft import draft
from server.policy_grants import grants_sql
from server.settings import (
    DataSettings,
    LedgerSettings,
    PolicySettings,
    Settings,
    SettingsError,
    read_settings,
)


class _Refused(Exception):
    """A command that makes sense and cannot be done; the text says why."""


EXPECTED = (CannotStart, LedgerError, PolicyError, SettingsError, SQLAlchemyError, _Refused)
"""What may go wrong without epsql being wrong."""


def in_words(error: BaseException) -> str:
    """One line for the operator; no driver's words, because they hold addresses."""
    if isinstance(error, SQLAlchemyError):
        return f"the ledger's database failed ({type(error).__name__}); look at EPSQL_LEDGER_URL"
    if isinstance(error, CapBelowSpent):
        spent = error.spent
        return (
            f"{error}: epsilon {epsilon_as_text(spent.epsilon)}, delta {delta_as_text(spent.delta)}"
        )
    return str(error)


def demo(options: Namespace) -> int:
    """The demo brings its own database, so its modules are only read when they are wanted."""
    from server.demo import main
    from server.embedded import EmbeddedFailed
    from server.tour import TourFailed

    try:
        return main(once=options.once)
    except (EmbeddedFailed, TourFailed) as error:
        raise _Refused(str(error)) from None


def serve(_: Namespace) -> None:
    asyncio.run(serve_for_ever(read_settings(Settings)))


def migrate(_: Namespace) -> None:
    bring_up_to_date(read_settings(LedgerSettings).ledger_url.get_secret_value())
    print("The ledger's schema is the newest.")


def policy_check(options: Namespace) -> int:
    catalogs = _catalogs(options.file)
    dsn = read_settings(DataSettings).data_url.get_secret_value()
    errors = 0
    for catalog in catalogs:
        findings = check(catalog, dsn)
        errors += sum(finding.severity is Severity.ERROR for finding in findings)
        for finding in findings:
            print(f"{catalog.dataset}: {finding}")
        if not findings:
            print(f"{catalog.dataset}: everything fits.")
    return 1 if errors else 0


def policy_draft(_: Namespace) -> None:
    print(draft(read_settings(DataSettings).data_url.get_secret_value()))


def policy_grants(options: Namespace) -> None:
    for catalog in _catalogs([]):
        print(grants_sql(catalog, options.role))


def _catalogs(files: Iterable[str]) -> list[Catalog]:
    named = [load_policy(Path(file)) for file in files]
    return named or load_catalogs(read_settings(PolicySettings))


@dataclass(frozen=True, slots=True)
class _Office:
    """The ledger and the tokens, and who is asking for changes."""

    ledger: Ledger
    identity: Identity
    by: str


@asynccontextmanager
async def _office() -> AsyncIterator[_Office]:
    settings = read_settings(LedgerSettings)
    engine = ledger_engine(settings.ledger_url.get_secret_value())
    head = head_file_of(settings)
    try:
        yield _Office(Ledger(engine, head), Identity(engine, head), f"cli:{_login()}")
    finally:
        await engine.dispose()


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"  # in a container, a user may have a number only


_Work = Callable[[_Office, Namespace], Coroutine[Any, Any, None]]


def _in_the_office(work: _Work) -> Callable[[Namespace], None]:
    @wraps(work)
    def run(options: Namespace) -> None:
        async def inside() -> None:
            async with _office() as office:
                await work(office, options)

        asyncio.run(inside())

    return run


@_in_the_office
async def analyst_add(office: _Office, options: Namespace) -> None:
    catalogs = load_catalogs(read_settings(PolicySettings))
    await open_datasets(office.ledger, catalogs, by=office.by)
    try:
        analyst = await admit_analyst(
            office.ledger, catalogs, options.name, by=office.by, reason=options.reason
        )
    except ValueError as error:
        raise _Refused(str(error)) from None
    print(f"{analyst.name} may ask about {', '.join(catalog.dataset for catalog in catalogs)}.")
    print(f"Next: epsql token new {analyst.name}")


@_in_the_office
async def analyst_list(office: _Office, _: Namespace) -> None:
    _table(
        ("name", "added", "disabled"),
        [
            (
                a.name,
                f"{a.created_at:%Y-%m-%d}",
                f"{a.disabled_at:%Y-%m-%d}" if a.disabled_at else "",
            )
            for a in await office.ledger.list_analysts()
        ],
    )


@_in_the_office
async def analyst_disable(office: _Office, options: Namespace) -> None:
    await office.ledger.disable_analyst(options.name, by=office.by, reason=options.reason)
    print(f"{options.name} is shut out. What was spent stays spent.")


@_in_the_office
async def analyst_enable(office: _Office, options: Namespace) -> None:
    await office.ledger.enable_analyst(options.name, by=office.by, reason=options.reason)
    print(f"{options.name} may ask again. What was spent stays spent.")


@_in_the_office
async def budget_show(office: _Office, options: Namespace) -> None:
    accounts = await office.ledger.accounts(options.dataset)
    if options.dataset is not None and not accounts:
        raise _Refused(f"the ledger has no data set {options.dataset}")
    await _show(office, accounts)


@_in_the_office
async def budget_set(office: _Office, options: Namespace) -> None:
    if options.epsilon is None and options.delta is None:
        raise _Refused("say what to set: --epsilon, --delta or both")
    analyst = options.analyst and await office.ledger.find_analyst(options.analyst)
    epsilon = None if options.epsilon is None else floor_epsilon(options.epsilon)
    delta = None if options.delta is None else floor_delta(options.delta)
    who = {"by": office.by, "reason": options.reason}
    try:
        if analyst:  # An account that is there is left as it is.
            await office.ledger.open_account(
                analyst.id, options.dataset, epsilon or 0, delta or 0, **who
            )
        accounts = await office.ledger.set_cap(
            analyst.id if analyst else None,
            options.dataset,
            epsilon_cap=epsilon,
            delta_cap=delta,
            **who,
        )
    except NoAccount:
        raise _Refused(f"the ledger has no data set {options.dataset}") from None
    except ValueError as error:
        raise _Refused(str(error)) from None
    await _show(office, accounts)


async def _show(office: _Office, accounts: Iterable[Account]) -> None:
    names = {str(analyst.id): analyst.name for analyst in await office.ledger.list_analysts()}
    _table(
        ("data set", "unit", "account", "epsilon spent", "of", "delta spent", "of"),
        [
            (
                account.key.dataset,
                account.key.unit,
                names.get(account.key.holder, account.key.holder) or "(all together)",
                epsilon_as_text(account.spent.epsilon),
                epsilon_as_text(account.cap.epsilon),
                delta_as_text(account.spent.delta),
                delta_as_text(account.cap.delta),
            )
            for account in accounts
        ],
    )


@_in_the_office
async def ledger_acknowledge(office: _Office, options: Namespace) -> None:
    receipt = await office.ledger.acknowledge(by=office.by, reason=options.reason)
    print(f"The ledger is taken as it is, by entry {receipt.number}.")


@_in_the_office
async def token_new(office: _Office, options: Namespace) -> None:
    try:
        token = await office.identity.new_token(
            options.name,
            label=options.admin or "admin",
            lifetime=None if options.days is None else timedelta(days=options.days),
            by=office.by,
            reason=options.reason,
        )
    except (ValueError, OverflowError):
        raise _Refused("--days is a number from 1 to some thousands") from None
    print(token)
    print("Keep it: it is not stored, and cannot be shown again.", file=sys.stderr)


@_in_the_office
async def token_list(office: _Office, options: Namespace) -> None:
    _table(
        ("key id", "kind", "name", "made", "expires", "revoked"),
        [
            (
                token.key_id,
                token.kind,
                token.name,
                *(
                    f"{when:%Y-%m-%d %H:%M}" if when else ""
                    for when in (token.created_at, token.expires_at, token.revoked_at)
                ),
            )
            for token in await office.identity.list_tokens(options.name)
        ],
    )


@_in_the_office
async def token_revoke(office: _Office, options: Namespace) -> None:
    await office.identity.revoke(options.key_id, by=office.by, reason=options.reason)
    print(f"{options.key_id} is good for nothing from now on.")


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    for row in (heads, *rows):
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
