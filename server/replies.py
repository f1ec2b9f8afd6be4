"""What is said about a question, as JSON: the digest that names it, its reply, and its quote.

A reply is put together once, stored with the ledger entry, and sent as it was stored. Losses are
decimal strings, never JSON numbers, so that no reader's floats can change them.
"""

from __future__ import annotations

import hashlib
import json
import math
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

from accountant.accounts import Account, Balances
from accountant.filters import Budget, Shares, shares, spent_epsilon
from accountant.filters import more_like as more_that_fit
from accountant.ledger import Reservation
from accountant.losses import ZERO, Loss, delta_as_text, epsilon_as_text
from accountant.records import Receipt
from analyzer.plan import Parameter, PrivatePlan, SelectionKey
from server.questions import Question
from server.releases import Answer


def loss_json(loss: Loss) -> dict[str, str]:
    """Epsilon, delta and rho as decimal strings."""
    return {
        "epsilon": epsilon_as_text(loss.epsilon),
        "delta": delta_as_text(loss.delta),
        "rho": epsilon_as_text(loss.rho),
    }


def budget_json(budget: Budget) -> dict[str, str]:
    """A ceiling, or what is left under it, as decimal strings."""
    return {
        "epsilon": epsilon_as_text(budget.epsilon),
        "delta": delta_as_text(budget.delta),
    }


def number_text(value: Fraction) -> str:
    """A rational as an exact decimal where it has a short one, else to 15 significant digits.

    >>> number_text(Fraction(1, 8)), number_text(Fraction(-12)), number_text(Fraction(2, 3))
    ('0.125', '-12', '0.666666666666667')
    """
    with localcontext() as context:
        context.prec = 15
        return f"{(Decimal(value.numerator) / Decimal(value.denominator)).normalize():f}"


def request_digest(question: Question, dataset: str) -> str:
    """Names what was asked: two requests of one id must have the same, or the second is refused."""
    asked = [
        dataset,
        question.sql,
        [[type(value).__name__, str(value)] for value in question.parameters],
        [str(part) for part in (question.epsilon, question.delta, question.rho, question.error)],
        repr(question.options),
        question.fresh,
    ]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def reply_json(held: Reservation, plan: PrivatePlan, answer: Answer) -> dict[str, Any]:
    """The reply to a query, as it is stored and sent."""
    return {
        "release_id": str(held.id),
        "dataset": plan.dataset,
        **answer.to_json(),
        "replayed": held.cells is not None and held.charge == ZERO,
        "loss": loss_json(held.charge),
        "remaining": remaining_json(held.balances),
        "receipt": receipt_json(held.receipt),
    }


def receipt_json(receipt: Receipt) -> dict[str, Any]:
    """The entry that reserved a release: whoever keeps it can see that the ledger still has it."""
    return {"entry": receipt.number, "hash": receipt.hash}


def remaining_json(balances: Balances) -> dict[str, Any]:
    """What is left in the analyst's own account and in the data set's, which all share."""
    return {
        "analyst": budget_json(balances.analyst.remaining),
        "dataset": budget_json(balances.dataset.remaining),
    }


def account_json(account: Account) -> dict[str, Any]:
    """One account: its cap, what is spent, the share of the cap that is used, and what is left."""
    window = account.window
    return {
        "unit": account.key.unit,
        "state": account.state,
        "cap": budget_json(account.cap),
        "spent": loss_json(account.spent),
        "spent_epsilon": epsilon_as_text(spent_epsilon(account.spent, account.cap)),
        "used": used_json(shares(account.spent, account.cap)),
        "remaining": budget_json(account.remaining),
        "window": None
        if window is None
        else {
            "kind": window.kind,
            "cap": budget_json(window.cap),
            "spent": loss_json(window.spent),
            "used": used_json(shares(window.spent, window.cap)),
        },
    }


def used_json(used: Shares) -> dict[str, str]:
    """The shares of a ceiling that are used; it is used up at 1 under both filters."""
    return {
        "share": share_text(used.least),
        "basic": share_text(used.basic),
        "zcdp": share_text(used.zcdp),
    }


def more_like(last: Loss, balances: Balances) -> int:
    """How many more releases of the same charge fit in every account, and in this window."""
    counts = []
    for account in balances.accounts:
        counts.append(more_that_fit(last, account.spent, account.cap))
        if account.window is not None:
            counts.append(more_that_fit(last, account.window.spent, account.window.cap))
    return min(counts)


def share_text(share: Fraction) -> str:
    """A share to four places, rounded down: only what is used up has reached 1.

    >>> share_text(Fraction(2, 3)), share_text(Fraction(1)), share_text(Fraction(0))
    ('0.6666', '1', '0')
    """
    return f"{(Decimal(math.floor(share * 10_000)) / 10_000).normalize():f}"


def quote_json(plan: PrivatePlan) -> dict[str, Any]:
    """What a question would cost and how exact its answer would be. Known without the data."""
    return {
        "dataset": plan.dataset,
        "loss": loss_json(plan.loss),
        "columns": [
            {
                "name": column.name,
                "type": column.type.value,
                "noisy": column.noisy,
                "draws": [plan.draws[index].label for index in column.draws],
            }
            for column in plan.columns
        ],
        "draws": [
            {
                "label": draw.label,
                "mechanism": draw.noise.kind.value,
                "scale": number_text(draw.noise.scale * draw.tick),
                "error_bar": number_text(draw.error_bar * draw.tick),
                "confidence": "0.95",
            }
            for draw in plan.draws
        ],
        "blocks": [
            {
                "keys": {"public": block.public_keys, "threshold": block.threshold},
                "statement": {
                    "sql": block.exact.sql,
                    "parameters": [_parameter(v) for v in block.exact.parameters],
                },
            }
            for block in plan.blocks
        ],
        "policy_version": plan.policy_version,
        "notices": list(plan.notices),
    }


def _parameter(value: Parameter) -> str | None:
    """A value as text; for the operator's secret, what it stands for."""
    if isinstance(value, SelectionKey):
        return f"<{value.value}>"
    return None if value is None else str(value)
