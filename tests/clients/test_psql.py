"""psql: files of meta-commands and statements, byte for byte as over a plain Postgres."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.clients.place import HERE, Place, program, psql_of_the_wheel
from tests.clients.same import assert_same

_CONNECTION = re.compile(
    r"^(You are connected|SSL connection| +Connection Information).*?\n(?=\\)",
    re.MULTILINE | re.DOTALL,
)
"""What ``\\conninfo`` says: the place, which differs."""


def asked(psql: Path, place: Place, file: Path) -> str:
    """Everything psql says, statements echoed, errors where they happen."""
    command = f'exec "{psql}" --no-psqlrc --echo-all --file "{file.name}" 2>&1'
    done = place.run(["sh", "-c", f'cd "{file.parent}" && {command}'])
    assert done.returncode == 0, done.stdout
    return _CONNECTION.sub("", done.stdout)


CATALOGUE, PROTECTED = (HERE / "psql" / name for name in ("catalogue.sql", "protected.sql"))


@pytest.mark.parametrize("newest", [True, False], ids=["as new as the server", "of the machine"])
def test_the_catalogue(newest, shadow, front, unencrypted):
    """As the shadow has it when nothing stands before it."""
    psql = psql_of_the_wheel() if newest else program("psql", "postgresql-client")
    wanted = asked(psql, shadow, CATALOGUE)
    assert_same(wanted, asked(psql, unencrypted if newest else front, CATALOGUE))


@pytest.mark.parametrize("newest", [True, False], ids=["as new as the server", "of the machine"])
def test_answers_about_people(newest, direct, front, unencrypted):
    """As a plain Postgres with the same rows gives them."""
    psql = psql_of_the_wheel() if newest else program("psql", "postgresql-client")
    wanted = asked(psql, direct, PROTECTED)
    assert_same(wanted, asked(psql, unencrypted if newest else front, PROTECTED))
