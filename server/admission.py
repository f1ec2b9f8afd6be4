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
