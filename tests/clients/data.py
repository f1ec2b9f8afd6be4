"""The clinic that clients look at: few rows, every declared value among them, nothing out of bounds.

Nobody has more rows than the policy lets count. So epsql with its noise taken out answers exactly
what a plain Postgres answers, and a client cannot tell the two apart.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from tests.fixture import KINDS, Clinic, clinic, policy

ROOMY_POLICY = policy(90_000, 900_000)
"""The clinic's policy with budgets that no test reaches."""

DATABASE = "clinic"
ANALYST = "ada"


def small_clinic() -> Clinic:
    """Sixty-one patients, of whom nobody has more than the declared number of visits."""
    whole = clinic(patients=60, visits=240, items=300)
    other = (61, "person 61", 40, "other", "Oslo", "0001", Decimal(20), 70.0, 1, True, None)
    visits = tuple(visit for visit in whole.visits if visit[0] % 50)
    visits += tuple(
        (1000 + i, 61, Decimal(10), None, "flu", kind, datetime(2021, 1, 1), None)
        for i, kind in enumerate(KINDS)
    )
    known = {visit[0] for visit in visits}
    items = tuple(item for item in whole.items if item[1] in known)
    return replace(whole, patients=(*whole.patients, other), visits=visits, items=items)
