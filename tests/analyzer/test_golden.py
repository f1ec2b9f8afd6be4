"""Every case of ``tests/analyzer/fixtures``: see ``tests.analyzer.golden`` for their form."""

from __future__ import annotations

import os

import pytest

from tests.analyzer.golden import FIXTURES, read, write
from tests.fixture import catalog

_FILES = sorted(FIXTURES.glob("*.txt"))
_CASES = [
    pytest.param(case, id=f"{path.stem}:{case.sql.splitlines()[0][:60]}")
    for path in _FILES
    for case in read(path)
]


@pytest.mark.skipif("EPSQL_UPDATE_FIXTURES" not in os.environ, reason="writes the files anew")
@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.stem)
def test_write_the_files_anew(path):
    write(path, read(path), catalog())


@pytest.mark.skipif("EPSQL_UPDATE_FIXTURES" in os.environ, reason="the files are being written")
@pytest.mark.parametrize("case", _CASES)
def test_what_comes_of_the_sql(case):
    assert case.why, "a case says why it exists"
    assert case.outcome(catalog()) == case.expected
