"""ONE table: which exception is which error, over HTTP and on the wire, and whether it is charged.

Everything that goes wrong reaches an analyst as one shape of six fields, and only by this table.
Refusals speak in their own words, which were written for analysts and hold nothing of the data.
Everything else has fixed words: what a database, a library or a bug had to say stays inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

from accountant import errors as ledger
from accountant.losses import delta_as_text, epsilon_as_text
from analyzer import classify, refusals, session_settings
from server import identity, questions, releases


class RequestRefused(Exception):
    """A request that is wrong before its SQL is looked at. Its words are for the one who asked."""

    def __init__(self, message: str, *, detail: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint


class MalformedJson(RequestRefused):
    """The body is not one JSON object with distinct keys."""


class NotFound(RequestRefused):
    """There is nothing here, or nothing that the asker may know of."""


class MethodNotAllowed(RequestRefused):
    """The path exists, the method does not."""


class NotJson(RequestRefused):
    """The body does not say that it is JSON."""


class BodyTooLarge(RequestRefused):
    """The body is larger than the operator allows."""


class AdminOnly(RequestRefused):
    """The token is good, but not an administrator's."""


class AnalystOnly(RequestRefused):
    """The token is good, but belongs to no analyst, so nobody could be charged."""


class MessageRefused(RequestRefused):
    """A message of the Postgres protocol does not fit what it is about."""


class UnknownParameter(RequestRefused):
    """A text has a parameter where it cannot have any."""


class NoTransaction(RequestRefused):
    """A cursor is declared where no transaction is open: it would end with its own statement."""


class NotReady(RequestRefused):
    """A part of the server is not reachable."""


class Cancelled(Exception):
    """The query was cancelled, by its asker or because the server stops."""


class AnswerTooLong(Exception):
    """An answer that is stored and paid for has more text than its connection can take."""


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """The one shape of an error.

    Attributes:
        code: the stable name, e.g. ``budget_exceeded``.
        sqlstate: five characters; standard where there is a standard one, else class ZP.
        message: one sentence.
        detail: why, or empty.
        hint: what to do instead, or empty.
        position: 1-based character offset into the analyst's SQL, or None.
    """

    code: str
    sqlstate: str
    message: str
    detail: str = ""
    hint: str = ""
    position: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The body as plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table. Without a ``message`` the exception's own words are used."""

    code: str
    sqlstate: str
    status: int
    message: str = ""
    detail: str = ""
    hint: str = ""
    charged: bool = False


_RETRY = "Try again in a moment."
_CHARGE_STAYS = "The loss was debited before the data was asked, and stays debited."

TABLE: Mapping[type[BaseException], Rule] = MappingProxyType(
    {
        # The question is refused: free, and known without the data.
        refusals.SyntaxRefused: Rule("syntax_error", "42601", 400),
        refusals.Unsupported: Rule("unsupported", "0A000", 400),
        refusals.UnknownTable: Rule("unknown_table", "42P01", 400),
        refusals.UnknownColumn: Rule("unknown_column", "42703", 400),
        refusals.AmbiguousColumn: Rule("ambiguous_column", "42702", 400),
        refusals.UnknownFunction: Rule("unknown_function", "42883", 400),
        refusals.WrongType: Rule("wrong_type", "42804", 400),
        refusals.WrongGrouping: Rule("wrong_grouping", "42803", 400),
        refusals.RowsRefused: Rule("rows_refused", "42501", 403),
        refusals.BadArgument: Rule("bad_argument", "22023", 400),
        refusals.BadPattern: Rule("bad_pattern", "22025", 400),
        refusals.TooComplex: Rule("too_complex", "54001", 400),
        releases.TooManyPublicRows: Rule("too_many_public_rows", "54000", 400),
        refusals.NoMechanism: Rule("no_mechanism", "ZP002", 400),
        refusals.UnboundedInfluence: Rule("unbounded_influence", "ZP003", 400),
        refusals.PrivateKeys: Rule("private_keys", "ZP004", 400),
        classify.NotHere: Rule("not_here", "42501", 403),
        classify.ReadOnly: Rule("read_only", "25006", 403),
        session_settings.SettingRefused: Rule("setting_refused", "42501", 403),
        session_settings.UnknownSetting: Rule("unknown_setting", "42704", 404),
        questions.UnknownDataset: Rule("unknown_dataset", "3D000", 404),
        refusals.Refusal: Rule("refused", "0A000", 400),
        # The ledger refuses: free.
        ledger.BudgetExceeded: Rule("budget_exceeded", "ZP001", 403),
        ledger.NoAccount: Rule(
            "no_account",
            "42501",
            403,
            "You have no budget for this data set.",
            hint="Ask the operator to give you one: epsql budget set.",
        ),
        ledger.AccountShut: Rule(
            "account_shut",
            "42501",
            403,
            "An account that this query would be charged to is frozen or closed.",
            detail="Nothing was debited.",
            hint="Ask the operator why, and until when.",
        ),
        ledger.RequestIdConflict: Rule(
            "request_id_conflict",
            "23505",
            409,
            "This request_id was used for another query.",
            hint="A request_id names one query; use a new one for each.",
        ),
        ledger.RequestInProgress: Rule(
            "request_in_progress",
            "55006",
            409,
            "The query with this request_id is still running.",
            hint="Ask again with the same request_id to get its answer.",
        ),
        ledger.RequestFailed: Rule(
            "request_failed",
            "ZP000",
            409,
            "The query with this request_id failed after the debit.",
            detail="Nothing was debited now; what was debited then stays debited.",
            hint="Use a new request_id to ask, and pay, again.",
        ),
        ledger.LedgerUnavailable: Rule(
            "ledger_unavailable",
            "57P03",
            503,
            "The ledger is not available; the data was not asked.",
            hint=_RETRY,
        ),
        # The ledger refuses an operator.
        ledger.CapBelowSpent: Rule(
            "cap_below_spent",
            "22023",
            409,
            "More than this is already spent.",
            hint="What was spent stays spent; the least cap is what was spent.",
        ),
        ledger.WrongWay: Rule(
            "wrong_way",
            "22023",
            409,
            "A raise does not lower a cap, and a lowering does not raise it.",
            hint="Look at the caps; `set` goes either way.",
        ),
        ledger.AccountClosed: Rule(
            "account_closed", "55000", 409, "The account is closed, which is for good."
        ),
        ledger.UnknownAnalyst: Rule("unknown_analyst", "42704", 404, "There is no such analyst."),
        ledger.AnalystExists: Rule(
            "analyst_exists",
            "42710",
            409,
            "There is, or was, an analyst of this name.",
            hint="Names are never used again, so that nobody inherits what another spent.",
        ),
        identity.UnknownToken: Rule("unknown_token", "42704", 404, "There is no such token."),
        # The gateway.
        questions.FailedAfterDebit: Rule(
            "failed_after_debit",
            "ZP000",
            500,
            "The query failed after the debit.",
            detail=_CHARGE_STAYS,
            hint="The operator finds the reason in the server's log. It can be about the data.",
            charged=True,
        ),
        Cancelled: Rule(
            "cancelled",
            "57014",
            503,
            "The query was cancelled.",
            detail="If its loss was debited by then, it stays debited.",
            hint="Ask for your budget to see.",
            charged=True,
        ),
        AnswerTooLong: Rule(
            "answer_too_long",
            "54000",
            500,
            "The answer is too long for this connection.",
            detail="Its loss was debited, and the answer is stored.",
            hint="Ask again with LIMIT and OFFSET, or over HTTP: that costs nothing.",
            charged=True,
        ),
        questions.DataUnavailable: Rule(
            "data_unavailable",
            "57P03",
            503,
            "The database of this data set cannot be reached; nothing was debited.",
            hint=_RETRY,
        ),
        questions.TooManyQueries: Rule(
            "too_many_queries",
            "53300",
            429,
            "You have too many queries running.",
            hint="Wait for one of them to end.",
        ),
        questions.ServerBusy: Rule(
            "server_busy", "53300", 503, "The server has too many queries running.", hint=_RETRY
        ),
        # The request.
        identity.NotAuthenticated: Rule(
            "not_authenticated",
            "28P01",
            401,
            "A valid token is needed.",
            hint="Send the header: Authorization: Bearer <token>.",
        ),
        AdminOnly: Rule("admin_only", "42501", 403),
        AnalystOnly: Rule("analyst_only", "42501", 403),
        MalformedJson: Rule("malformed_json", "22032", 400),
        NotJson: Rule("not_json", "22023", 415),
        BodyTooLarge: Rule("body_too_large", "54000", 413),
        NotFound: Rule("not_found", "42704", 404),
        MethodNotAllowed: Rule("method_not_allowed", "0A000", 405),
        MessageRefused: Rule("protocol_violation", "08P01", 400),
        UnknownParameter: Rule("unknown_parameter", "42P02", 400),
        NoTransaction: Rule("no_transaction", "25P01", 400),
        NotReady: Rule("not_ready", "57P03", 503),
        RequestRefused: Rule("invalid_request", "22023", 400),
        # Whatever else: a bug, or a database that is away, outside of a query.
        BaseException: Rule("internal_error", "XX000", 500, "The server failed.", hint=_RETRY),
    }
)


def rule_of(error: BaseException) -> Rule:
    """The line of the table for the exception's class, or its nearest base."""
    return next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)


def body_of(error: BaseException) -> ErrorBody:
    """What may be said about an exception. Total: there is a body for every exception."""
    rule = rule_of(error)
    fixed = ErrorBody(rule.code, rule.sqlstate, rule.message, rule.detail, rule.hint)
    if isinstance(error, ledger.BudgetExceeded):
        return _budget_exceeded(error, fixed)
    if isinstance(error, ledger.NoAccount) and error.unit is not None:
        return replace(
            fixed,
            message=f"You have no budget for the privacy unit {error.unit} of this data set.",
            hint="Ask the operator to give you one: epsql budget set ... --unit "
            f"{error.unit}. Questions that are not about it are answered as before.",
        )
    if rule.message:
        return fixed
    if isinstance(error, (refusals.Refusal, RequestRefused)):
        return replace(
            fixed,
            message=error.message,
            detail=error.detail,
            hint=error.hint,
            position=getattr(error, "position", None),
        )
    raise AssertionError(f"{type(error).__name__} has neither fixed words nor its own")


def _budget_exceeded(error: ledger.BudgetExceeded, fixed: ErrorBody) -> ErrorBody:
    """Says whose budget it is, what is left of it, and what to do: all known without the data."""
    left, asked = error.remaining, error.asked
    detail = (
        f"It would cost epsilon {epsilon_as_text(asked.epsilon)}, "
        f"delta {delta_as_text(asked.delta)}; left are epsilon {epsilon_as_text(left.epsilon)}, "
        f"delta {delta_as_text(left.delta)}. Nothing was debited."
    )
    smaller = asked.delta <= left.delta and left.epsilon > 0
    hint = "Ask with a smaller epsilon, or ask" if smaller else "Ask"
    if error.paced:
        return replace(
            fixed,
            message="The budget for this day, week or month does not cover this query.",
            detail=detail,
            hint="Wait for the next one; `GET /v1/budget` says how long a window is.",
        )
    if error.scope == "analyst":
        return replace(
            fixed,
            message="Your own budget for this data set does not cover this query.",
            detail=detail,
            hint=f"{hint} the operator to raise your cap.",
        )
    if error.scope == "group":
        return replace(
            fixed,
            message="The budget of a group that you are in does not cover this query.",
            detail=detail,
            hint=f"{hint} the operator to raise the group's cap.",
        )
    return replace(
        fixed,
        message="The budget of the data set, shared by all analysts, does not cover this query.",
        detail=detail,
        hint=f"{hint} the data owner whether its cap may be raised.",
    )
