"""The shadow: a real Postgres that holds no protected row, behind every session of the wire front.

It mirrors what a policy makes public: tables with their columns, keys and comments, and the rows of
public tables. So catalogs, types, errors, settings, transactions and cursors are Postgres' own. A
statement that reads a protected table cannot be answered there: it fails with
:data:`TRIPWIRE`, whoever sent it and for whatever mistake. ``docs/decisions`` 0014 says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from psycopg import sql

Statement = sql.SQL | sql.Composed
"""SQL of ours for the shadow."""

TRIPWIRE = "protected_rows_are_not_here"
"""The function that nobody may execute. A statement that touches a protected table of the shadow
ends in SQLSTATE 42501, ``permission denied for function protected_rows_are_not_here``."""


class ShadowFailed(Exception):
    """The shadow cannot be had, did not start, or is gone; the text says why, for the operator."""


class CannotAdmit(ShadowFailed):
    """An analyst's name is one that no Postgres role can have."""


@dataclass(frozen=True, slots=True)
class Balance:
    """One account as ``epsql.budget`` shows it. Losses are in units of one: 0.5 is epsilon 0.5."""

    scope: str
    """Whose it is: ``analyst``, ``everyone``, or the name of a group."""
    unit: str
    """The privacy unit's table."""
    state: str
    """``open``, or why nothing can be charged to it."""
    epsilon_cap: Decimal
    epsilon_left: Decimal
    delta_cap: Decimal
    delta_left: Decimal


@dataclass(frozen=True, slots=True)
class Asked:
    """One question that was debited, as ``epsql.history`` and ``epsql.releases`` show it."""

    release_id: str
    asked_at: datetime
    state: str
    """``answered``, ``failed``, or as the ledger says."""
    sql: str
    epsilon: Decimal
    delta: Decimal
    request_id: str | None = None
    answer: str | None = None
    """The stored reply, a JSON text; None where there is none."""
