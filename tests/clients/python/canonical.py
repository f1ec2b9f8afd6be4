"""How a script says what it saw: one line for each check, the same on every machine and every day."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

PATIENTS = "SELECT count(*) AS n FROM patients"
BY_SEX = "SELECT sex, count(*) AS n, sum(age) AS years FROM patients GROUP BY sex ORDER BY sex"
JOINED = (
    "SELECT p.sex, count(*) AS n FROM visits v JOIN patients p ON p.id = v.patient_id"
    " WHERE v.kind = 'planned' GROUP BY p.sex ORDER BY p.sex"
)
CITIES = "SELECT name, region FROM cities ORDER BY name"


def say(name: str, value: Any) -> None:
    """One check and what came of it."""
    print(f"{name}: {value!r}", flush=True)


def attempt(name: str, act: Callable[[], Any]) -> None:
    """A check that may fail: says the value, or the kind of the error and its first line."""
    try:
        say(name, act())
    except Exception as error:  # noqa: BLE001 - a driver may raise anything: that is the result
        failed(name, error)


def failed(name: str, error: BaseException) -> None:
    """Says an error by its SQLSTATE, where the driver gives one, and its first line."""
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or ""
    text = (str(error).strip().splitlines() or [""])[0]
    print(f"{name} ! {type(error).__name__} {state} {text}", flush=True)
