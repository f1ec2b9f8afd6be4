"""The demo as a newcomer meets it: one command, a tour, an address and a token."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0


def start(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "server.cli", "demo", *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def running(directory: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, str], str]]:
    """The demo once its tour is over, with what it left for scripts, and what it said."""
    process, said = start(directory), []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if line.startswith("Scripts find"):
                break
        text = (directory / ".demo" / "epsql.env").read_text()
        yield process, dict(line.split("=", 1) for line in text.splitlines()), "".join(said)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
        assert process.stdout is not None
        process.stdout.close()


@contextmanager
def taken_port(port: int) -> Iterator[None]:
    """Somebody has the port: we, or whoever had it already."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            taken.bind(("127.0.0.1", port))
            taken.listen()
        yield


def ask(environment: dict[str, str], sql: str) -> dict[str, object]:
    request = urllib.request.Request(
        f"{environment['EPSQL_URL']}/v1/query",
        json.dumps({"sql": sql, "epsilon": "0.1"}).encode(),
        {"Authorization": f"Bearer {environment['EPSQL_TOKEN']}"},
    )
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=60) as response:
        return dict(json.load(response))


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> str:
    process = start(tmp_path_factory.mktemp("tour"), "--once")
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    return output


def test_the_tour_ends_by_itself_and_tells_the_whole_story(tour: str) -> None:
    stops = [line for line in tour.splitlines() if line.startswith("── ")]
    assert len(stops) == 9
    assert "NOTICE:  patients ± " in tour
    assert "refused: 42501 This query would return rows of protected tables." in tour
    assert "refused: ZP001" in tour
    assert "±" in tour
    assert "cost: epsilon 0.25; left: " in tour


def test_the_tour_shows_the_attack_on_exact_answers_only(tour: str) -> None:
    lines = {
        line.split("from ")[1].split("  ")[0].strip(): line
        for line in tour.splitlines()
        if line.strip().startswith("from ")
    }
    age = next(line for line in tour.splitlines() if line.strip().startswith("Patient ")).split()[3]
    assert f"{age}.0 years" in lines["exact answers"]
    assert f"{age}.0 years" in lines["exact answers of groups >= 50"]
    bar = int(lines["epsql's answers"].split("±")[1])
    assert bar > 1_000


def test_rare_diagnoses_stay_hidden(tour: str) -> None:
    rows = tour.split("Keys that nobody declared")[1].split("\n── ", maxsplit=1)[0]
    assert "dyslipidemia" in rows
    # One row of the data has the kind "event": no threshold lets a single patient pass.
    assert not any(line.split()[:1] == ["event"] and "±" in line for line in rows.splitlines())


def test_it_stays_up_with_an_address_and_tokens_and_cleans_up(tmp_path: Path) -> None:
    with taken_port(8432), running(tmp_path) as (process, environment, said):
        assert set(environment) == {"EPSQL_URL", "EPSQL_PSQL", "EPSQL_TOKEN", "EPSQL_ADMIN_TOKEN"}
        assert not environment["EPSQL_URL"].endswith(":8432")
        mode = (tmp_path / ".demo" / "epsql.env").stat().st_mode
        assert stat.S_IMODE(mode) == 0o600
        answer = ask(environment, "SELECT count(*) FROM patients")
        assert answer["columns"] == [{"name": "count", "type": "bigint"}]
        shown = said.split("Paste, as alice:")[1].split("\n\n")
        curl = next(block for block in shown if "curl" in block)
        pasted = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, check=True)
        fresh = json.loads(pasted.stdout)
        assert fresh["replayed"] is False, "what is pasted shows what an answer costs"
        assert fresh["loss"]["epsilon"] == "0.1"
        where, password = environment["EPSQL_PSQL"], environment["EPSQL_TOKEN"]
        with psycopg.connect(where, password=password) as session:
            assert session.execute("SELECT current_user").fetchone() == ("alice",)
        assert process.poll() is None
    deadline = time.monotonic() + PATIENCE
    while (tmp_path / ".demo" / "epsql.env").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert process.returncode == 0
