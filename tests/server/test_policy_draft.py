"""Drafts: nothing is allowed as written, and what is uncommented is a policy that fits."""

from __future__ import annotations

import re

import psycopg
import pytest

from analyzer.catalog import Hop
from server.engines.structure import Structure, read_structure
from server.policy import PolicyError, parse_policy
from server.policy_check import Severity, check_structure
from server.policy_draft import draft, draft_structure

SCHEMA = """
CREATE TABLE patients (id int PRIMARY KEY, name text, weight numeric(5,1), photo bytea);
CREATE TABLE stays (id uuid PRIMARY KEY, patient int NOT NULL REFERENCES patients);
CREATE TABLE bills (id bigint PRIMARY KEY, stay uuid REFERENCES stays, cost real, "Odd" int);
CREATE TABLE cities (name varchar(40) PRIMARY KEY);
CREATE TABLE "Mixed" (id int);
CREATE SCHEMA old;
CREATE TABLE old.stays (id int, patient int REFERENCES patients);
INSERT INTO patients VALUES (47110815, 'canary', 99.5, NULL);
"""


def _build(uri: str) -> None:
    with psycopg.connect(uri) as connection:
        connection.execute(SCHEMA)


@pytest.fixture(scope="module")
def clinic(postgres):
    return postgres.template("policy draft", _build)


def uncommented(text: str) -> str:
    return re.sub(r"^#(?=[\[a-z])", "", text, flags=re.MULTILINE)


def test_a_draft_allows_nothing(clinic):
    text = draft(clinic)
    assert all(line.startswith("#") or not line for line in text.split("\n"))
    with pytest.raises(PolicyError, match="tables: is missing"):
        parse_policy(text)


def test_what_is_uncommented_fits_the_database(clinic):
    text = uncommented(draft(clinic))
    with pytest.raises(PolicyError) as error:
        parse_policy(text)
    # One thing is left for a person to decide: whether cities are about anybody.
    assert [mistake.key for mistake in error.value.mistakes] == ["tables.cities.path"]
    catalog = parse_policy(text.replace("[tables.cities]", "[tables.cities]\nprotected = false"))
    (unit,) = catalog.units
    assert (unit.table, unit.key) == ("patients", "id")
    assert catalog.tables["bills"].path == (
        Hop("stay", "public_stays", "id"),
        Hop("patient", "patients", "id"),
    )
    assert catalog.tables["old_stays"].schema == "old"
    assert set(catalog.tables["patients"].columns) == {"id", "name", "weight"}
    findings = list(check_structure(catalog, read_structure(clinic)))
    assert [finding for finding in findings if finding.severity is Severity.ERROR] == []


def test_what_cannot_be_offered_is_said(clinic):
    text = draft(clinic)
    assert "# photo (bytea) cannot be offered" in text
    assert "# cost (real) cannot be offered: real keeps about six digits" in text
    assert "# 'Odd' cannot be offered under this name" in text
    assert "# 'Mixed' cannot be offered under this name" in text
    assert "# It could also be: " in text


def test_no_value_of_the_data_is_in_a_draft(clinic):
    text = draft(clinic)
    for value in ("canary", "47110815", "99.5"):
        assert value not in text


def test_a_database_without_a_unit():
    assert draft_structure(Structure({})).startswith("# No table here can hold the privacy unit")
