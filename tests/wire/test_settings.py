"""A question is asked under the settings that hold when it is executed, however they came to hold."""

from __future__ import annotations

from decimal import Decimal

import pytest
from psycopg import errors

from tests.wire.conftest import new_question

CHANGES: list[tuple[list[str], str]] = [
    (["SET epsql.epsilon = '0.5'"], "0.5"),
    (["SET epsql.epsilon = '0.5'", "RESET epsql.epsilon"], "1"),
    (["SET epsql.epsilon = '0.5'", "RESET ALL"], "1"),
    (["SET epsql.epsilon = '0.5'", "DISCARD ALL"], "1"),
    (["BEGIN", "SET LOCAL epsql.epsilon = '0.5'"], "0.5"),
    (["BEGIN", "SET LOCAL epsql.epsilon = '0.5'", "COMMIT"], "1"),
    (["BEGIN", "SET epsql.epsilon = '0.5'", "ROLLBACK"], "1"),
    (["BEGIN", "SET epsql.epsilon = '0.5'", "{ask}", "COMMIT"], "0.5"),
    (["BEGIN", "SAVEPOINT s", "SET epsql.epsilon = '0.5'", "{ask}", "ROLLBACK TO s"], "1"),
    (["SET LOCAL epsql.epsilon = '0.5'; {ask}"], "1"),
    (["BEGIN", "SET LOCAL epsql.epsilon = '0.5'", "{ask}", "SELECT 1/0"], "1"),
    (["SELECT set_config('epsql.epsilon', '0.5', false)"], "0.5"),
    (
        ["PREPARE s AS SELECT set_config('epsql.epsilon', '0.5', false)", "{ask}", "EXECUTE s"],
        "0.5",
    ),
    (
        [
            "BEGIN",
            "DECLARE c CURSOR FOR SELECT set_config('epsql.epsilon', '0.5', false)",
            "{ask}",
            "FETCH 1 FROM c",
        ],
        "0.5",
    ),
]


@pytest.mark.parametrize("changes, epsilon", CHANGES)
def test_settings_are_those_of_the_moment(door, name, ada, changes, epsilon):
    ada.execute(new_question())
    for change in changes:
        try:
            ada.execute(change.format(ask=new_question()).encode())
        except errors.DivisionByZero:
            ada.execute("ROLLBACK")
    before = door.spent(name)
    ada.execute(new_question())
    assert door.spent(name) - before == Decimal(epsilon) * 10**12
