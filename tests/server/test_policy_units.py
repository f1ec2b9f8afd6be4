"""Several privacy units in one policy: beside each other, and one within another."""

from __future__ import annotations

import pytest

from analyzer.catalog import Hop, PrivacyUnit
from server.policy import PolicyError, parse_policy
from tests.guarantee.test_units import POLICY

_WAY = 'path = ["address_id -> addresses.id", "household_id -> households.id"]'
_VISITS = 'path = ["patient_id -> patients.id"]'


def test_units_lie_beside_or_within_each_other():
    catalog = parse_policy(POLICY)
    way = (Hop("address_id", "addresses", "id"), Hop("household_id", "households", "id"))
    patients, households, doctors = catalog.units
    assert patients == PrivacyUnit("patients", "id", way)
    assert households == PrivacyUnit("households", "id", (), 3)
    assert doctors == PrivacyUnit("doctors", "id")
    assert catalog.around(patients) == households
    assert catalog.around(households) is catalog.around(doctors) is None
    owners = {name: catalog.unit_of(table).table for name, table in catalog.tables.items()}
    assert owners == {
        "patients": "patients",
        "visits": "patients",
        "households": "households",
        "addresses": "households",
        "doctors": "doctors",
    }


@pytest.mark.parametrize(
    "old,new,key,message",
    [
        ("max_members_contributed = 3", "", "max_members_contributed", "how many of patients"),
        ('"doctors"\nkey = "id"', '"doctors"\nkey = "id"\nmax_members_contributed = 2', "max_members_contributed", "of no use"),
        ("max_members_contributed = 3", "max_members_contributed = 0", "max_members_contributed", "greater than or equal to 1"),
        ('table = "doctors"', 'table = "patients"', "privacy_units", "name a table twice"),
        ('table = "doctors"', 'table = "doktors"', "privacy_units.table", 'did you mean "doctors"?'),
        ('dataset = "town"', 'dataset = "town"\nprivacy_unit = { table = "patients", key = "id" }', "privacy_unit", "exclude each other"),
        (_VISITS, 'path = ["patient_id -> patients.id", "address_id -> addresses.id", "household_id -> households.id"]', "tables.visits.path", "the first privacy unit"),
        (_VISITS, 'path = ["id -> addresses.id"]', "tables.visits.path", "must end at patients.id or households.id or doctors.id"),
        (_WAY, 'path = ["id -> patients.id"]', "tables.patients.path", "must end at"),
        ("[tables.households]", '[tables.households]\npath = ["id -> doctors.id"]', "tables.households.path", "not deeper"),
        ("[[privacy_units]]", "[[unit]]", "privacy_unit", "is missing"),
    ],
)  # fmt: skip
def test_a_mistake_says_what_is_right(old, new, key, message):
    text = POLICY.replace(old, new)
    if new == "[[unit]]":
        text = POLICY[: POLICY.index("[[privacy")] + POLICY[POLICY.index("[contribution]") :]
    assert text != POLICY
    with pytest.raises(PolicyError) as caught:
        parse_policy(text)
    assert any(m.key.endswith(key) and message in m.message for m in caught.value.mistakes), str(
        caught.value
    )
