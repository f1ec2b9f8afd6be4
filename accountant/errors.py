"""Every way in which the ledger says no. No text of the database's driver is ever in them."""

from __future__ import annotations

from uuid import UUID

from accountant.accounts import AccountState, Scope
from accountant.filters import Budget
from accountant.losses import Loss


class LedgerError(Exception):
    """The base of all of them."""


class LedgerUnavailable(LedgerError):
    """The ledger's database cannot be reached, written or trusted: nothing may be asked.

    Attributes:
        reason: for the operator, if it is known.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__("the ledger is not available")
        self.reason = reason


class LedgerBehind(Exception):
    """The ledger is not the one that the head file saw last, or an older state of it."""


class BudgetExceeded(LedgerError):
    """The charge does not fit; nothing was spent.

    Attributes:
        scope: whose ceiling it is: the analyst's own, a group's, or the one over everyone.
        remaining: what is left under that ceiling.
        asked: the charge.
        paced: the ceiling is that of the day, week or month; later there is more.
    """

    def __init__(
        self, scope: Scope, remaining: Budget, asked: Loss, *, paced: bool = False
    ) -> None:
        super().__init__(f"the budget of the {scope} does not cover this query")
        self.scope = scope
        self.remaining = remaining
        self.asked = asked
        self.paced = paced


class NoAccount(LedgerError):
    """There is no such account, or its analyst is disabled.

    Attributes:
        unit: the privacy unit that there is none for; None where it is not about a unit.
    """

    def __init__(self, unit: str | None = None) -> None:
        super().__init__("there is no account for this analyst and data set")
        self.unit = unit


class AccountShut(LedgerError):
    """The account is frozen or closed: nothing is charged to it."""

    def __init__(self, scope: Scope, state: AccountState) -> None:
        super().__init__(f"the account of the {scope} is {state}")
        self.scope = scope
        self.state = state


class AccountClosed(LedgerError):
    """The account is closed, which is for good."""

    def __init__(self) -> None:
        super().__init__("the account is closed, which is for good")


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
    """A release cannot move that way: it is unknown, or not in the state that it must be in."""

    def __init__(self, release_id: UUID, wanted: str) -> None:
        super().__init__(f"release {release_id} cannot become {wanted}")
        self.release_id = release_id
        self.wanted = wanted


class CapBelowSpent(LedgerError):
    """A ceiling cannot be set below what is already spent under it."""

    def __init__(self, scope: Scope, spent: Budget) -> None:
        super().__init__(f"the {scope} account has already spent more than this cap")
        self.scope = scope
        self.spent = spent


class WrongWay(LedgerError):
    """A grant or raise that lowers a cap, or a lowering that raises it."""

    def __init__(self, verb: str) -> None:
        super().__init__(f"that would not {verb} the cap")
        self.verb = verb


class UnknownAnalyst(LedgerError):
    """No analyst has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no analyst named {name!r}")


class AnalystExists(LedgerError):
    """The name is taken, perhaps by a disabled analyst. Names are never used again."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is already an analyst named {name!r}")
