"""The ``epsql.`` settings of a session: what a question may cost, and its options.

They are Postgres' own custom settings, kept by the shadow, so that ``SET LOCAL``, ``RESET``, a
rollback and the startup packet treat them like any other. What they mean is said here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from accountant.losses import DELTA_STEPS, EPSILON_STEPS
from analyzer.asks import error_bar_of
from analyzer.plan import QueryOptions
from analyzer.refusals import BadArgument
from server.questions import Question

_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,8})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?")
_WHOLE = re.compile(r"[1-9][0-9]{0,8}")
_REQUEST_ID = re.compile(r"[!-~]{1,200}")
_TRUTH = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}


def _loss(least: Fraction, text: str) -> Fraction:
    exact = Fraction(text) if _DECIMAL.fullmatch(text) else Fraction(-1)
    if exact < least:
        raise BadArgument("", hint="Write a positive decimal number such as 0.1.")
    return exact


def _above_zero(text: str) -> Fraction:
    return _loss(Fraction(1, EPSILON_STEPS), text)


def _delta(text: str) -> Fraction:
    exact = _loss(Fraction(0), text)
    if exact >= 1 or 0 < exact < Fraction(1, DELTA_STEPS):
        raise BadArgument("", hint="Write 0, or a decimal number below 1 such as 1e-6.")
    return exact


def _whole(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise BadArgument("", hint="Write a whole number from 1 on.")
    return int(text)


def _request_id(text: str) -> str:
    if not _REQUEST_ID.fullmatch(text):
        raise BadArgument("", hint="Write up to 200 printable characters without spaces.")
    return text


def _truth(text: str) -> bool:
    if text.lower() not in _TRUTH:
        raise BadArgument("", hint="Write on or off.")
    return _TRUTH[text.lower()]


SETTINGS: Mapping[str, Callable[[str], Any]] = {
    "delta": _delta,
    "epsilon": _above_zero,
    "error": error_bar_of,
    "fresh": _truth,
    "max_groups_contributed": _whole,
    "max_rows_contributed": _whole,
    "non_negative": _truth,
    "request_id": _request_id,
    "rho": _above_zero,
}
"""What can be set, by its name behind ``epsql.``, and how it is read. Empty is: not set."""


def read(name: str, text: str | None) -> Any:
    """The value of a setting; None where it is not set.

    Raises:
        BadArgument: it cannot have this value.
    """
    if not text or name not in SETTINGS:  # who asks is no part of the question
        return None
    try:
        return SETTINGS[name](text)
    except BadArgument as error:
        raise BadArgument(f"epsql.{name} cannot have this value.", hint=error.hint) from None


def question(
    sql: str, parameters: tuple[Any, ...], dataset: str, settings: Mapping[str, str | None]
) -> Question:
    """The question of a statement under the settings of its session.

    Raises:
        BadArgument: a setting has a value that it cannot have.
    """
    of = {name: read(name, settings.get(name)) for name in SETTINGS}
    return Question(
        sql=sql,
        parameters=parameters,
        dataset=dataset,
        epsilon=of["epsilon"],
        delta=of["delta"],
        rho=of["rho"],
        error=of["error"],
        request_id=of["request_id"],
        fresh=bool(of["fresh"]),
        options=QueryOptions(
            of["max_rows_contributed"], of["max_groups_contributed"], bool(of["non_negative"])
        ),
    )
