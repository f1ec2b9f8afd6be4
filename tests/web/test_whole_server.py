"""The program itself: the commands in the order of `epsql --help`, then questions over HTTP.

Everything is real: the process, the analyzer, both databases, the noise.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import httpx
import psycopg
import pytest

from server.cli import main

POLICY = """\
dataset = "clinic"
[privacy_unit]
table = "patients"
key = "id"
[contribution]
max_rows_contributed = 1
max_groups_contributed = 1
[budgets.analyst]
epsilon = 3
delta = "1e-6"
[budgets.dataset]
epsilon = 5
delta = "1e-6"
[losses.default]
epsilon = 1
delta = 0
[losses.maximum]
epsilon = 2
delta = "1e-7"
[tables.patients.columns]
id = { type = "integer", nullable = false }
sex = { type = "text", nullable = false, values = ["f", "m"] }
"""

COUNT = "SELECT sex, count(*) AS n FROM patients GROUP BY sex ORDER BY sex"


def _fill(uri: str) -> None:
    with psycopg.connect(uri) as connection:
        connection.execute("CREATE TABLE patients (id int PRIMARY KEY, sex text NOT NULL)")
        connection.execute(
            "INSERT INTO patients SELECT i, CASE WHEN i % 4 = 0 THEN 'm' ELSE 'f' END"
            " FROM generate_series(1, 4000) i"
        )


@pytest.fixture(scope="module")
def place(postgres, tmp_path_factory):
    """A data set, an empty ledger, a role that can read, and a way to run commands on them."""
    data, ledger = postgres.fresh(), postgres.fresh()
    _fill(data)
    postgres.execute("CREATE ROLE whole_reader LOGIN")
    policy = tmp_path_factory.mktemp("whole") / "clinic.toml"
    policy.write_text(POLICY)
    name = data.rpartition("?")[0].rpartition("/")[2]
    settings = {
        "EPSQL_LEDGER_URL": ledger,
        "EPSQL_DATA_URL": postgres.uri(name, "whole_reader"),
        "EPSQL_POLICY": str(policy),
        "EPSQL_PORT": "0",
        "EPSQL_WIRE_PORT": "0",
        "EPSQL_SHUTDOWN_SECONDS": "0.2",
        "EPSQL_RELEASE_TICK_MS": "0",
    }

    def run(line: str, code: int = 0, **changed: str) -> str:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
            for key, value in (settings | changed).items():
                patch.setenv(key, value)
            assert main(line.split()) == code, err.getvalue()
        return out.getvalue() if code == 0 else err.getvalue()

    return SimpleNamespace(run=run, environment=os.environ | settings, data=data)


@contextmanager
def serving(environment: dict[str, str]) -> Iterator[SimpleNamespace]:
    """The server as a process; its log is read after it has stopped."""
    process = subprocess.Popen(
        [sys.executable, "-m", "server.cli", "serve"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    try:
        started = json.loads(first)
    except json.JSONDecodeError:
        process.kill()
        raise AssertionError(first + process.stderr.read()) from None
    world = SimpleNamespace(
        url=f"http://127.0.0.1:{started['port']}",
        wire=f"host=127.0.0.1 port={started['wire_port']} dbname=clinic",
        process=process,
        log=[],
    )
    try:
        yield world
    finally:
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=30)
        world.log = [json.loads(line) for line in rest.splitlines()]
    assert process.returncode == 0
    assert world.log[-1]["what"] == "Stopped"


def test_from_an_empty_ledger_to_an_answer(place):
    assert "epsql migrate" in place.run("serve", 1)
    place.run("migrate")
    assert "whole_reader" in place.run("serve", 1)  # it may read nothing yet
    with psycopg.connect(place.data) as connection:
        connection.execute(place.run("policy grants whole_reader").encode())
    assert "everything fits" in place.run("policy check")
    assert "may ask about clinic" in place.run("analyst add ada")
    token = place.run("token new ada").strip()
    headers = {"Authorization": f"Bearer {token}"}

    with (
        serving(place.environment) as server,
        httpx.Client(base_url=server.url, headers=headers, timeout=30) as client,
    ):
        assert client.get("/readyz").status_code == 200
        quote = client.post("/v1/quote", json={"sql": COUNT}).json()
        reply = client.post("/v1/query", json={"sql": COUNT, "request_id": "r1"})
        body = reply.json()
        assert [row[0] for row in body["rows"]] == ["f", "m"]
        assert abs(body["rows"][0][1] - 3000) < 200
        assert abs(body["rows"][1][1] - 1000) < 200
        assert body["error_bars"][0][0] is None
        assert body["error_bars"][0][1] > 0
        assert body["loss"] == quote["loss"]
        assert client.post("/v1/query", json={"sql": COUNT, "request_id": "r1"}).content == (
            reply.content
        )
        rows = client.post("/v1/query", json={"sql": "SELECT sex FROM patients LIMIT 1 OFFSET 1;x"})
        assert rows.status_code == 400
        too_much = client.post("/v1/query", json={"sql": COUNT, "epsilon": "2.5"})
        assert (too_much.status_code, too_much.json()["sqlstate"]) == (400, "22023")
        client.post("/v1/query", json={"sql": COUNT, "epsilon": 2})
        anew = {"sql": COUNT, "fresh": True}
        assert client.post("/v1/query", json=anew).json()["code"] == "budget_exceeded"
        spent = client.get("/v1/budget").json()["analyst"]["spent"]["epsilon"]

    assert spent == "3"
    assert "ada" in place.run("budget show")
    assert token not in json.dumps(server.log)
    assert "SELECT" not in json.dumps(server.log)
    assert [line["what"] for line in server.log].count("Answered") == 2


def test_a_server_that_is_killed_keeps_the_charge(place):
    """`kill -9` while Postgres works: the next start finds the debit, and so does the analyst."""
    place.run("migrate")
    place.run("analyst add bob")
    token = place.run("token new bob").strip()
    with psycopg.connect(place.data) as connection:
        connection.execute(place.run("policy grants whole_reader").encode())
        connection.commit()
        connection.execute("LOCK TABLE patients IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(AssertionError), serving(place.environment) as server:
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(
                    f"{server.url}/v1/query",
                    json={"sql": COUNT, "epsilon": "0.5", "request_id": "r1"},
                    headers={"Authorization": f"Bearer {token}"},
                    timeout=1,
                )
            server.process.kill()
    with (
        serving(place.environment) as server,
        httpx.Client(
            base_url=server.url, headers={"Authorization": f"Bearer {token}"}, timeout=30
        ) as client,
    ):
        again = client.post("/v1/query", json={"sql": COUNT, "epsilon": "0.5", "request_id": "r1"})
        assert again.json()["code"] == "request_failed"
        assert client.get("/v1/budget").json()["analyst"]["spent"]["epsilon"] == "0.5"


def test_a_server_does_not_start_on_a_ledger_that_was_restored(place, postgres, tmp_path):
    """The backup is of before the answer, so it would give the answer's charge back."""
    here = {"EPSQL_LEDGER_HEAD": str(tmp_path / "head")}
    place.run("migrate")
    with psycopg.connect(place.data) as connection:
        connection.execute(place.run("policy grants whole_reader").encode())
    place.run("analyst add eve", **here)
    token = place.run("token new eve", **here).strip()
    backup = postgres.fresh(place.environment["EPSQL_LEDGER_URL"])
    with serving(place.environment | here) as server:
        asked = httpx.post(
            f"{server.url}/v1/query",
            json={"sql": COUNT, "epsilon": "0.5"},
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        )
        receipt = asked.json()["receipt"]
    written = (tmp_path / "head").read_text()
    assert f"{receipt['entry']} {receipt['hash']} " in written
    assert "Everything fits." in place.run("audit")

    restored = here | {"EPSQL_LEDGER_URL": backup}
    said = place.run("serve", 1, **restored)
    assert "was restored" in said
    assert "epsql ledger acknowledge" in said
    place.run("budget lower clinic --analyst eve --epsilon 1 --reason restored", **restored)
    place.run("ledger acknowledge --reason restored", **restored)
    with serving(place.environment | restored) as server:
        assert httpx.get(f"{server.url}/readyz").status_code == 200
    assert "Everything fits." in place.run("audit", **restored)


def test_both_doors_lead_to_one_account(place):
    """And the server ends the sessions that are open when it stops."""
    place.run("migrate")
    with psycopg.connect(place.data) as connection:
        connection.execute(place.run("policy grants whole_reader").encode())
    place.run("analyst add ivy")
    token = place.run("token new ivy").strip()
    with (
        serving(place.environment) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        client.headers["Authorization"] = f"Bearer {token}"
        session = psycopg.connect(f"{server.wire} user=ivy", password=token, autocommit=True)
        session.execute("SET epsql.epsilon = '0.125'")
        rows = session.execute("SELECT sex, count(*) FROM patients GROUP BY sex").fetchall()
        question = {"sql": "SELECT sex, count(*) FROM patients GROUP BY sex", "epsilon": "0.125"}
        again = client.post("/v1/query", json=question).json()
        assert (again["replayed"], again["rows"]) == (True, [list(row) for row in rows])
        left = session.execute("SHOW epsql.budget").fetchone()
        assert left is not None
        assert f"yours: epsilon {again['remaining']['analyst']['epsilon']}," in left[0]
    with pytest.raises(psycopg.OperationalError, match="administrator command"):
        session.execute("SELECT 1")
    assert token not in json.dumps(server.log)
