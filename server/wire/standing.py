"""Keeps the schema ``epsql`` of the shadow up to date: what is left, and what was asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from accountant.accounts import Account
from accountant.ledger import Ledger, Release
from server.replies import account_json, loss_json
from server.shadow import Asked, Balance
from server.shadow.books import KEPT
from server.shadow.shadow import Shadow

_PAGE = 100
"""Releases that are read at once."""


class Standing:
    """Carries from the ledger into the shadow what analysts may read there with SQL."""

    def __init__(self, shadow: Shadow, ledger: Ledger) -> None:
        self._shadow = shadow
        self._ledger = ledger
        self._shown: dict[tuple[UUID, str, int], UUID] = {}
        """The last release of each analyst that is shown as it will stay, with all before it, by
        the shadow's beginning."""

    async def show(self, analyst_id: UUID, analyst: str, dataset: str) -> None:
        """Everything as it is now. What was shown once and is over is not read again.

        Raises:
            LedgerUnavailable, NoAccount, ShadowFailed: it stays as it was.
        """
        balances = await self._ledger.balances(analyst_id, dataset)
        await self._shadow.show_budget(analyst, dataset, list(map(_balance, balances.accounts)))
        where = (analyst_id, dataset, self._shadow.beginning)
        news = await self._news(analyst_id, dataset, self._shown.get(where))
        if news:
            await self._shadow.show_asked(analyst, dataset, [_asked(one) for one in news])
        for release in reversed(news):
            if release.finished_at is None:
                break
            self._shown[where] = release.id

    async def know(self, handle: str, analyst: str, dataset: str) -> None:
        """A session with this handle sees what the analyst sees.

        Raises:
            ShadowFailed: the shadow is gone.
        """
        await self._shadow.know_person(handle, analyst, dataset)

    async def forget(self, handles: Sequence[str], dataset: str) -> None:
        """The handles are nobody's any more.

        Raises:
            ShadowFailed: the shadow is gone, and with it the handles.
        """
        await self._shadow.forget_people(handles, dataset)

    async def _news(self, analyst_id: UUID, dataset: str, known: UUID | None) -> list[Release]:
        """The releases after the one that is known, newest first."""
        found: list[Release] = []
        while len(found) < KEPT:
            before = found[-1].id if found else None
            page = await self._ledger.releases(analyst_id, dataset, _PAGE, before)
            for release in page:
                if release.id == known:
                    return found
                found.append(release)
            if len(page) < _PAGE:
                break
        return found


def _balance(account: Account) -> Balance:
    key, texts = account.key, account_json(account)
    cap, left = texts["cap"], texts["remaining"]
    return Balance(
        key.holder if key.scope == "group" else key.scope,
        key.unit,
        account.state,
        Decimal(cap["epsilon"]),
        Decimal(left["epsilon"]),
        Decimal(cap["delta"]),
        Decimal(left["delta"]),
    )


def _asked(release: Release) -> Asked:
    loss = loss_json(release.charge)
    return Asked(
        str(release.id),
        release.reserved_at,
        release.state,
        release.sql,
        Decimal(loss["epsilon"]),
        Decimal(loss["delta"]),
        release.request_id,
        None if release.answer is None else json.dumps(release.answer),
    )
