"""One shape, one table: every exception has a line, and every line reaches no further than it says."""

from __future__ import annotations

import inspect
import re

import pytest

from accountant import errors as ledger
from accountant.filters import Budget
from accountant.losses import Loss
from analyzer import refusals
from server import errors, identity, questions
from server.engines import EngineFailed
from server.errors import TABLE, ErrorBody, body_of, rule_of
from tests.server.fakes import CANARY


def exceptions_of(module) -> list[type[BaseException]]:
    return [
        kind
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Exception) and kind.__module__ == module.__name__
    ]


@pytest.mark.parametrize("module", [refusals, questions, identity, errors])
def test_every_exception_of_ours_has_a_line(module):
    assert exceptions_of(module)
    for kind in exceptions_of(module):
        assert kind in TABLE, f"{kind.__name__} is not in the table of errors"


def test_every_exception_of_the_ledger_has_a_line_or_is_a_fault():
    missing = {kind for kind in exceptions_of(ledger) if kind not in TABLE}
    assert missing == {ledger.LedgerError, ledger.WrongState, ledger.LedgerBehind}


def test_a_refusals_own_code_is_the_tables():
    for kind in [*exceptions_of(refusals), questions.UnknownDataset]:
        assert issubclass(kind, refusals.Refusal)
        assert TABLE[kind].sqlstate == kind.code, kind


def test_codes_are_names_and_states_are_five_characters():
    codes = [rule.code for rule in TABLE.values()]
    assert len(set(codes)) == len(codes)
    for rule in TABLE.values():
        assert re.fullmatch(r"[a-z_]+", rule.code)
        assert re.fullmatch(r"[0-9A-Z]{5}", rule.sqlstate)
        assert 400 <= rule.status < 600


def test_only_these_stay_charged():
    assert {rule.code for rule in TABLE.values() if rule.charged} == {
        "failed_after_debit",
        "cancelled",
        "answer_too_long",
    }


@pytest.mark.parametrize(
    "error",
    [
        ValueError(CANARY),
        KeyError(CANARY),
        EngineFailed(CANARY),
        ledger.LedgerError(CANARY),
        questions.FailedAfterDebit(CANARY),
        ledger.UnknownAnalyst(CANARY),
    ],
)
def test_the_words_of_a_fault_stay_inside(error):
    assert CANARY not in repr(body_of(error))


def test_a_failure_after_the_debit_always_says_the_same():
    causes = [questions.FailedAfterDebit(), questions.FailedAfterDebit("because", 1)]
    bodies = {body_of(cause) for cause in causes}
    assert bodies == {
        ErrorBody(
            "failed_after_debit",
            "ZP000",
            "The query failed after the debit.",
            "The loss was debited before the data was asked, and stays debited.",
            "The operator finds the reason in the server's log. It can be about the data.",
        )
    }


def test_a_refusal_speaks_for_itself():
    error = refusals.UnknownTable("No table x.", detail="d", hint="h", position=3)
    assert body_of(error) == ErrorBody("unknown_table", "42P01", "No table x.", "d", "h", 3)


def test_a_refusal_of_a_kind_that_came_later_is_still_a_refusal():
    class Later(refusals.Unsupported):
        pass

    assert rule_of(Later("no")).code == "unsupported"


@pytest.mark.parametrize(
    "left,asked,hint",
    [
        (
            Budget(2 * 10**11, 0),
            Loss(5 * 10**11, 0, 0, 0),
            "Ask with a smaller epsilon, or ask the",
        ),
        (Budget(0, 0), Loss(5 * 10**11, 0, 0, 0), "Ask the operator"),
        (Budget(2 * 10**11, 0), Loss(10**11, 10**9, 0, 0), "Ask the operator"),
    ],
)
def test_an_exceeded_budget_says_what_would_help(left, asked, hint):
    assert body_of(ledger.BudgetExceeded("analyst", left, asked)).hint.startswith(hint)


def test_who_has_no_budget_for_a_unit_hears_which():
    body = body_of(ledger.NoAccount("households"))
    assert (body.code, body.sqlstate) == ("no_account", "42501")
    assert "households" in body.message
    assert "--unit households" in body.hint
    assert body_of(ledger.NoAccount()).message == "You have no budget for this data set."
