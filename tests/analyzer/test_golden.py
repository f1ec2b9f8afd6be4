"""Every case of ``tests/analyzer/fixtures``: see ``tests.analyzer.golden`` for their form."""

from __future__ import annotations

import pytest

from tests.analyzer.golden import FIXTURES, read
from tests.fixture import catalog

_CASES = [
    pytest.param(case, id=f"{path.stem}:{case.sql.splitlines()[0][:60]}")
    for path in sorted(FIXTURES.glob("*.txt"))
    for case in read(path)
]


@pytest.mark.parametrize("case", _CASES)
def test_what_comes_of_the_sql(case):
    assert case.why, "a case says why it exists"
    assert case.outcome(catalog()) == case.expected
