"""Every way in which the ledger says no. No text of the database's driver is ever in them."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from accountant.filters import Budget
from accountant.losses import Loss

Scope = Literal["analyst", "dataset"]


class LedgerError(Exception):
    """The base of all of them."""


class LedgerUnavailable(LedgerError):
    """The ledger's database cannot be reached, written or trusted: nothing may be asked."""

    def __init__(self) -> None:
        super().__init__("the ledger is not available")


class BudgetExceeded(LedgerError):
    """The charge does not fit; nothing was spent.

    Attributes:
        scope: whose ceiling it is: the analyst's own, or the one over all analysts.
        remaining: what is left under that ceiling.
        asked: the charge.
    """

    def __init__(self, scope: Scope, remaining: Budget, asked: Loss) -> None:
        super().__init__(f"the budget of the {scope} does not cover this query")
        self.scope = scope
        self.remaining = remaining
        self.asked = asked


class NoAccount(LedgerError):
    """There is no such account, or its analyst is disabled."""

    def __init__(self) -> None:
        super().__init__("there is no account for this analyst and data set")


class RequestIdConflict(LedgerError):
    """The request id was used before, for another question."""

    def __init__(self) -> None:
        super().__init__("this request id was used for another question")


class RequestInProgress(LedgerError):
    """The same request is being answered now."""

    def __init__(self) -> None:
        super().__init__("this request is being answered; ask again later")


class RequestFailed(LedgerError):
    """The same request failed after it was charged; the charge is kept."""

    def __init__(self) -> None:
        super().__init__("this request failed and stays charged; use a new request id")


class WrongState(LedgerError):
    """An entry cannot move that way: it is unknown, or no longer in the state it must be in."""

    def __init__(self, entry_id: UUID, wanted: str) -> None:
        super().__init__(f"entry {entry_id} cannot become {wanted}")
        self.entry_id = entry_id
        self.wanted = wanted


class CapBelowSpent(LedgerError):
    """A ceiling cannot be set below what is already spent under it."""

    def __init__(self, scope: Scope, spent: Budget) -> None:
        super().__init__(f"the {scope} has already spent more than this cap")
        self.scope = scope
        self.spent = spent


class UnknownAnalyst(LedgerError):
    """No analyst has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no analyst named {name!r}")


class AnalystExists(LedgerError):
    """The name is taken, perhaps by a disabled analyst. Names are never used again."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is already an analyst named {name!r}")
