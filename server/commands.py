"""What each command of ``epsql`` does; see ``server.cli`` for what they are called."""

from __future__ import annotations

import asyncio
import sys
from argparse import Namespace
from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from accountant.errors import CapBelowSpent, LedgerError, LedgerUnavailable
from accountant.losses import delta_as_text, epsilon_as_text
from analyzer.catalog import Catalog
from migrations import UnknownRevision, is_current
from migrations import migrate as bring_up_to_date
from server.admission import admit_analyst, missing_accounts, open_datasets
from server.app import CannotStart, load_catalogs, no_ledger
from server.app import serve as serve_for_ever
from server.engines.structure import CannotRead
from server.office import (
    Office,
    Refused,
    in_the_office,
    office_of_the_environment,
    print_table,
)
from server.policy import PolicyError, load_policy
from server.policy_check import Finding, Severity, check
from server.policy_draft import draft
from server.policy_grants import grants_sql
from server.policy_helpers import helpers_sql
from server.settings import (
    DataSettings,
    LedgerSettings,
    PolicySettings,
    Settings,
    SettingsError,
    read_settings,
)

EXPECTED = (
    CannotRead,
    CannotStart,
    LedgerError,
    PolicyError,
    SettingsError,
    SQLAlchemyError,
    Refused,
    UnknownRevision,
)
"""What may go wrong without epsql being wrong."""


def in_words(error: BaseException) -> str:
    """One line for the operator; no driver's words, because they hold addresses."""
    if isinstance(error, SQLAlchemyError):
        return no_ledger(error)
    if isinstance(error, LedgerUnavailable) and error.reason:
        return f"{error}: {error.reason}"
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
        raise Refused(str(error)) from None


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
        findings = check(catalog, dsn) + asyncio.run(_missing(catalog))
        errors += sum(finding.severity is Severity.ERROR for finding in findings)
        for finding in findings:
            print(f"{catalog.dataset}: {finding}")
        if not findings:
            print(f"{catalog.dataset}: everything fits.")
    return 1 if errors else 0


async def _missing(catalog: Catalog) -> list[Finding]:
    """Accounts that a unit of the policy lacks; none where there is no ledger to look at yet."""
    try:
        if not is_current(read_settings(LedgerSettings).ledger_url.get_secret_value()):
            return []
    except (SettingsError, SQLAlchemyError):
        return []
    async with office_of_the_environment() as office:
        missing = await missing_accounts(office.ledger, catalog)
    return [
        Finding(
            Severity.WARNING,
            f"analyst {name}",
            f"there is no budget for the unit {unit}, so questions about it are refused.",
            f"epsql budget set {catalog.dataset} --analyst {name} --unit {unit} --epsilon ...",
        )
        for name, unit in missing
    ]


def policy_draft(_: Namespace) -> None:
    print(draft(read_settings(DataSettings).data_url.get_secret_value()))


def policy_grants(options: Namespace) -> None:
    for catalog in _catalogs([]):
        print(grants_sql(catalog, options.role))


def policy_helpers(_: Namespace) -> None:
    for catalog in _catalogs([]):
        print(helpers_sql(catalog))


def _catalogs(files: Iterable[str]) -> list[Catalog]:
    named = ",".join(files)
    if not named:
        return load_catalogs(read_settings(PolicySettings))
    return [load_policy(path) for path in PolicySettings(policy=named).policy_files()]


@in_the_office
async def analyst_add(office: Office, options: Namespace) -> None:
    catalogs = load_catalogs(read_settings(PolicySettings))
    await open_datasets(office.ledger, catalogs, by=office.by)
    try:
        analyst = await admit_analyst(
            office.ledger, catalogs, options.name, by=office.by, reason=options.reason
        )
    except ValueError as error:
        raise Refused(str(error)) from None
    print(f"{analyst.name} may ask about {', '.join(catalog.dataset for catalog in catalogs)}.")
    print(f"Next: epsql token new {analyst.name}")


@in_the_office
async def analyst_list(office: Office, _: Namespace) -> None:
    print_table(
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


@in_the_office
async def analyst_disable(office: Office, options: Namespace) -> None:
    await office.ledger.disable_analyst(options.name, by=office.by, reason=options.reason)
    print(f"{options.name} is shut out. What was spent stays spent.")


@in_the_office
async def analyst_enable(office: Office, options: Namespace) -> None:
    await office.ledger.enable_analyst(options.name, by=office.by, reason=options.reason)
    print(f"{options.name} may ask again. What was spent stays spent.")


@in_the_office
async def token_new(office: Office, options: Namespace) -> None:
    try:
        token = await office.identity.new_token(
            options.name,
            label=options.admin or "admin",
            lifetime=None if options.days is None else timedelta(days=options.days),
            by=office.by,
            reason=options.reason,
        )
    except (ValueError, OverflowError):
        raise Refused("--days is a number from 1 to some thousands") from None
    print(token)
    print("Keep it: it is not stored, and cannot be shown again.", file=sys.stderr)


@in_the_office
async def token_list(office: Office, options: Namespace) -> None:
    print_table(
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


@in_the_office
async def token_revoke(office: Office, options: Namespace) -> None:
    await office.identity.revoke(options.key_id, by=office.by, reason=options.reason)
    print(f"{options.key_id} is good for nothing from now on.")
