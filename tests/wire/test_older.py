"""Behind the door stands the oldest Postgres that may: it reports less of itself."""

from __future__ import annotations

import psycopg
import pytest

from server.programs import ProgramsFailed
from tests.shadow.conftest import DEBIAN
from tests.wire.conftest import running_door


@pytest.fixture
def old(postgres, monkeypatch):
    def not_installed():
        raise ProgramsFailed

    monkeypatch.setattr("server.shadow.cluster.embedded_programs", not_installed)
    with running_door(postgres) as door, door.connect(door.analyst()) as connection:
        if connection.info.server_version >= 180000:
            pytest.skip("no older Postgres is installed")
        yield connection


@pytest.mark.skipif(not DEBIAN, reason="no Postgres of Debian's is installed")
def test_a_search_path_that_nobody_reports_is_followed(old):
    def people() -> int:
        return int(old.execute("SELECT count(*) FROM patients").fetchone()[0])

    assert 150 < people() < 250
    old.execute("SELECT set_config('search_path', 'pg_catalog', false)")
    with pytest.raises(psycopg.errors.UndefinedTable):
        people()
    old.execute("RESET ALL")
    assert 150 < people() < 250
    with old.transaction():
        old.execute("SET LOCAL search_path = epsql")
        with pytest.raises(psycopg.errors.UndefinedTable), old.transaction():
            people()
    assert 150 < people() < 250
