"""Accounts as the policy says: what a data set and a new analyst are given to start with.

The policy only says how an account begins. From then on the ledger alone knows the cap, and the
operator alone moves it; editing the policy refills nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from accountant.administration import Administration
from accountant.losses import floor_delta, floor_epsilon
from accountant.people import Analyst
from analyzer.catalog import Catalog


async def open_datasets(ledger: Administration, catalogs: Iterable[Catalog], *, by: str) -> None:
    """Opens the account of every data set that has none yet."""
    for catalog in catalogs:
        limits = catalog.dataset_limits
        await ledger.open_dataset(
            catalog.dataset,
            [unit.table for unit in catalog.units],
            floor_epsilon(limits.epsilon),
            floor_delta(limits.delta),
            by=by,
        )


async def admit_analyst(
    ledger: Administration, catalogs: Iterable[Catalog], name: str, *, by: str, reason: str = ""
) -> Analyst:
    """Adds an analyst, with the account on each data set that its policy grants.

    Raises:
        ValueError: the name is not one that an analyst can have.
        AnalystExists: the name is taken.
        NoAccount: a data set is not open; see :func:`open_datasets`.
    """
    analyst = await ledger.add_analyst(name, by=by, reason=reason)
    for catalog in catalogs:
        limits = catalog.analyst_limits
        await ledger.open_account(
            analyst.id,
            catalog.dataset,
            floor_epsilon(limits.epsilon),
            floor_delta(limits.delta),
            by=by,
            reason=reason,
        )
    return analyst


async def missing_accounts(ledger: Administration, catalog: Catalog) -> list[tuple[str, str]]:
    """Analysts with units of the policy that they have no account for, though one for another.

    A unit that a policy gets later has the account over everyone from the next start on. Who asked
    before has none for it: what they may learn of it is for the data owner to say.
    """
    names = {str(analyst.id): analyst.name for analyst in await ledger.list_analysts()}
    known: dict[str, set[str]] = {}
    for account in await ledger.accounts(catalog.dataset):
        if account.key.scope == "analyst":
            known.setdefault(names[account.key.holder], set()).add(account.key.unit)
    return [
        (name, unit.table)
        for name, units in sorted(known.items())
        for unit in catalog.units
        if unit.table not in units
    ]
