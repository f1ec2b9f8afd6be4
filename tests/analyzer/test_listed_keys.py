"""Which declared values are groups, by what WHERE says of the key.

That no group with rows is left out is tested on rows: ``tests/guarantee/test_meaning.py``.
"""

from __future__ import annotations

import pytest

from analyzer.bind import bind
from analyzer.parse import parse
from tests.fixture import catalog

EVERY = ("emergency", "planned", "remote", None)
KINDS = [
    ("true", EVERY),
    ("cost > 5", EVERY),
    ("kind = 'planned'", ("planned",)),
    ("'planned' = kind AND cost > 5", ("planned",)),
    ("kind <> 'planned'", ("emergency", "remote")),
    ("kind IN ('planned', 'remote', 'else')", ("planned", "remote")),
    ("kind NOT IN ('planned', 'remote')", ("emergency",)),
    ("kind = ANY ('{remote,NULL}')", ("remote",)),
    ("kind = 'planned' OR cost > 5", EVERY),
    ("kind = 'planned' OR kind IS NULL", ("planned", None)),
    ("kind = 'planned' OR (kind = 'remote' AND cost > 5)", ("planned", "remote")),
    ("NOT (kind = 'planned' OR cost > 5)", ("emergency", "remote")),
    ("NOT (kind = 'planned' AND cost > 5)", EVERY),
    ("kind IS NOT NULL", EVERY[:3]),
    ("kind IS NULL", EVERY),
    ("kind = 'nothing of it'", EVERY),
    ("kind = NULL", EVERY),
    ("kind > 'f'", EVERY),
    ("kind LIKE 'p%'", EVERY),
    ("upper(kind) = 'PLANNED'", EVERY),
    ("kind IS DISTINCT FROM 'planned'", EVERY),
    ("kind = diagnosis", EVERY),
    ("coalesce(kind, 'remote') = kind", EVERY),
    ("(kind = 'planned') IS TRUE", EVERY),
]


@pytest.mark.parametrize("where, shown", KINDS)
def test_groups_are_values_that_a_row_can_have(where: str, shown: tuple[str | None, ...]) -> None:
    assert _listed("kind", f"visits WHERE {where}") == shown


@pytest.mark.parametrize(
    "key, source, shown",
    [
        ("active", "patients WHERE active", (True,)),
        ("active", "patients WHERE NOT active AND age > 40", (False,)),
        ("active", "patients WHERE active = true OR NOT active", (False, True)),
        ("age > 40", "patients WHERE age > 40", (True,)),
        ("k", "(SELECT kind AS k, patient_id FROM visits) v WHERE k <> 'planned'", EVERY[:3:2]),
        ("kind", "(SELECT * FROM visits WHERE kind = 'planned') v", EVERY),
    ],
)
def test_so_it_is_of_booleans_and_columns_of_subqueries(
    key: str, source: str, shown: tuple[str | bool | None, ...]
) -> None:
    assert _listed(key, source) == shown


def _listed(key: str, source: str) -> tuple[object, ...]:
    (one,) = bind(parse(f"SELECT {key}, count(*) FROM {source} GROUP BY 1"), catalog()).aggregations
    domain = one.keys[0].facts.domain
    assert isinstance(domain, tuple)
    return (*domain, None) if one.keys[0].nullable else domain
