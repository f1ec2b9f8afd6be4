"""Accounts: a ceiling for one holder on one data set and privacy unit, and what is spent under it.

Pure values; ``accountant.ledger`` stores them. A release is charged to every layer at once, or to
none: the analyst's own account, those of the analyst's groups, and the one over everyone, which is
the bound when analysts put together what they know.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple, get_args
from uuid import UUID

from accountant.filters import Budget, fits, holds, remaining
from accountant.losses import ZERO, Loss

Scope = Literal["everyone", "group", "analyst"]
AccountState = Literal["open", "frozen", "closed"]
WindowKind = Literal["day", "week", "month"]

SCOPES: tuple[Scope, ...] = get_args(Scope)
WINDOWS: tuple[WindowKind, ...] = get_args(WindowKind)

_FIRST_MONDAY = date(1970, 1, 5).toordinal()


class AccountKey(NamedTuple):
    """Whose account it is."""

    dataset: str
    unit: str
    """The name of the privacy unit's table."""
    scope: Scope
    holder: str
    """The analyst's id or the group's name; empty for everyone."""


@dataclass(frozen=True, slots=True)
class Window:
    """A pace: a second ceiling, for what is spent in one day, week or month, in UTC.

    It never lifts the ceiling of the account: what does not fit under that stays refused.
    """

    kind: WindowKind
    cap: Budget
    number: int
    """Which day, week or month ``spent`` is of. It never goes back."""
    spent: Loss

    def at(self, at: datetime) -> Window:
        """The window as it is at a time: a new one is empty, and time does not run back."""
        number = window_number(self.kind, at)
        return self if number <= self.number else replace(self, number=number, spent=ZERO)


@dataclass(frozen=True, slots=True)
class Account:
    """A ceiling and what is spent under it."""

    key: AccountKey
    cap: Budget
    spent: Loss = ZERO
    state: AccountState = "open"
    window: Window | None = None

    @property
    def remaining(self) -> Budget:
        """What one more release may be charged, in this window too."""
        left = remaining(self.spent, self.cap)
        if self.window is None:
            return left
        now = remaining(self.window.spent, self.window.cap)
        return Budget(min(left.epsilon, now.epsilon), min(left.delta, now.delta))

    def at(self, at: datetime) -> Account:
        """The account in the window of a time."""
        if self.window is None or (window := self.window.at(at)) is self.window:
            return self
        return replace(self, window=window)

    def paces(self, charge: Loss) -> bool:
        """Whether it is the window alone that the charge does not fit in."""
        return fits(self.spent, self.cap, charge)

    def charged(self, charge: Loss) -> Account:
        """The account after a charge."""
        window = self.window
        if window is not None:
            window = replace(window, spent=window.spent + charge)
        return Account(self.key, self.cap, self.spent + charge, self.state, window)

    def given_back(self, charge: Loss, reserved_at: datetime, *, paced: bool = True) -> Account:
        """The account after a charge was taken back that was made at a time.

        Args:
            charge: what is taken back.
            reserved_at: when it was made.
            paced: whether the window is the one that it was charged to, if it is of that time.
        """
        window = self.window
        in_time = window and window_number(window.kind, reserved_at) == window.number
        if window is not None and in_time and paced:
            window = replace(window, spent=_less(window.spent, charge))
        return Account(self.key, self.cap, _less(self.spent, charge), self.state, window)

    def sound(self) -> bool:
        """Whether what is spent is within the ceiling, and that of the window."""
        window = self.window
        return holds(self.spent, self.cap) and (window is None or holds(window.spent, window.cap))


@dataclass(frozen=True, slots=True)
class Balances:
    """The accounts that a release by one analyst on one data set is charged to."""

    accounts: tuple[Account, ...]

    @property
    def analyst(self) -> Account:
        """The analyst's own account; of several units the one with the least left."""
        return self._tightest("analyst")

    @property
    def dataset(self) -> Account:
        """The account over everyone; of several units the one with the least left."""
        return self._tightest("everyone")

    def _tightest(self, scope: Scope) -> Account:
        own = (account for account in self.accounts if account.key.scope == scope)
        return min(own, key=lambda account: (account.remaining.epsilon, account.key))


def window_number(kind: WindowKind, at: datetime) -> int:
    """Days, weeks (from Monday) or months since 1970, in UTC."""
    day = at.astimezone(UTC).date()
    if kind == "day":
        return day.toordinal() - date(1970, 1, 1).toordinal()
    if kind == "week":
        return (day.toordinal() - _FIRST_MONDAY) // 7
    return (day.year - 1970) * 12 + day.month - 1


@lru_cache(maxsize=10_000)
def keys_of(
    dataset: str, units: tuple[str, ...], analyst_id: UUID, groups: tuple[str, ...]
) -> tuple[AccountKey, ...]:
    """The accounts that a release is charged to, in the order in which they are checked.

    The analyst's own comes first: it is the one that the analyst can do something about.
    """
    holders: list[tuple[Scope, str]] = [
        ("analyst", str(analyst_id)),
        *(("group", group) for group in groups),
        ("everyone", ""),
    ]
    return tuple(AccountKey(dataset, unit, *holder) for holder in holders for unit in units)


def loss_json(loss: Loss) -> dict[str, int]:
    """A loss as it stands in records."""
    return {
        "epsilon": loss.epsilon,
        "delta": loss.delta,
        "rho": loss.rho,
        "slack": loss.slack,
    }


def loss_of(body: dict[str, Any]) -> Loss:
    """The inverse of :func:`loss_json`.

    Raises:
        ValueError: it is no loss.
    """
    return Loss(body["epsilon"], body["delta"], body["rho"], body["slack"])


def _less(spent: Loss, charge: Loss) -> Loss:
    return Loss(
        max(0, spent.epsilon - charge.epsilon),
        max(0, spent.delta - charge.delta),
        max(0, spent.rho - charge.rho),
        max(0, spent.slack - charge.slack),
    )
