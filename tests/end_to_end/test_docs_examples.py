"""What the documentation shows is what happens: its queries, requests and commands are run.

Everything is real: the command line, the server's process, both databases, the noise.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from server.cli import main
from server.demo_data import POLICY, load
from tests import fixture
from tests.pages import ROOT, Block, blocks
from tests.postgres import Postgres

DOCS = ROOT / "docs"
QUERIES = [b for page in ("sql.md", "refusals.md") for b in blocks(DOCS / page, "sql")]
PARAMETERS: dict[str, list[object]] = {"$1": [65]}


@dataclass(frozen=True, slots=True)
class Place:
    """A data set and an empty ledger, with everything that commands need to find them."""

    environment: dict[str, str]
    data: str

    def run(self, *arguments: str) -> str:
        """One epsql command, as the operator gives it; in this process, which is quicker."""
        said = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(said):
            for name, value in self.environment.items():
                patch.setenv(name, value)
            assert main(arguments) == 0
        return said.getvalue()

    def shell(self, script: str, directory: Path) -> str:
        """A block of the docs, with ``epsql`` and the embedded Postgres' ``psql`` on the path."""
        programs = directory / "bin"
        programs.mkdir(exist_ok=True)
        epsql = programs / "epsql"
        epsql.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m server.cli "$@"\n')
        epsql.chmod(0o755)
        found = f"{programs}{os.pathsep}{self.environment['PATH']}"
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", script],
            env=self.environment | {"PATH": found, "PYTHONPATH": str(ROOT)},
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@dataclass
class Served:
    """A running server, and an analyst's way to it."""

    url: str
    tokens: dict[str, str]
    place: Place
    ids: dict[str, str] = field(default_factory=dict)
    """What the docs call something, and what it is called here."""

    def send(self, method: str, path: str, body: Any = None, who: str = "ada") -> httpx.Response:
        return httpx.request(
            method,
            self.url + path,
            json=body,
            headers={"Authorization": f"Bearer {self.tokens[who]}"},
            timeout=60,
        )


@contextmanager
def serving(place: Place) -> Iterator[Served]:
    """``epsql serve`` with an analyst ``ada`` and an administrator."""
    process = subprocess.Popen(
        [sys.executable, "-m", "server.cli", "serve"],
        env=place.environment,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    try:
        assert first.startswith("{"), first
        tokens = {
            "ada": place.run("token", "new", "ada").strip(),
            "admin": place.run("token", "new", "--admin", "grace").strip(),
        }
        yield Served(f"http://127.0.0.1:{json.loads(first)['port']}", tokens, place)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def nafld(postgres):
    """The example's data, read through a role that is granted what the policy declares."""
    uri = postgres.fresh()
    load(uri, lambda _: None)
    postgres.execute("CREATE ROLE docs_reader LOGIN")
    return uri


@pytest.fixture(scope="module")
def clinic(postgres):
    uri = fixture.load(postgres.fresh(), fixture.clinic(patients=200, visits=800))
    postgres.execute("CREATE ROLE docs_clinic_reader LOGIN")
    return uri


def place_of(postgres: Postgres, data: str, role: str, policy: Path) -> Place:
    name = data.rpartition("?")[0].rpartition("/")[2]
    place = Place(
        os.environ
        | {
            "EPSQL_LEDGER_URL": postgres.fresh(),
            "EPSQL_DATA_URL": postgres.uri(name, role),
            "EPSQL_POLICY": str(policy),
            "EPSQL_PORT": "0",
            "EPSQL_WIRE_PORT": "0",
            "EPSQL_SHUTDOWN_SECONDS": "0.2",
            "EPSQL_RELEASE_TICK_MS": "0",
        },
        data,
    )
    place.run("migrate")
    with psycopg.connect(data) as connection:
        connection.execute(place.run("policy", "grants", role).encode())
    place.run("analyst", "add", "ada")
    return place


def _rich(place: Place, dataset: str) -> None:
    """Enough for a page of queries."""
    place.run("budget", "set", dataset, "--epsilon", "100000", "--delta", "0.1")
    place.run("budget", "set", dataset, "--analyst", "ada", "--epsilon", "100000", "--delta", "0.1")


@pytest.fixture(scope="module")
def served(postgres, nafld):
    place = place_of(postgres, nafld, "docs_reader", POLICY)
    _rich(place, "nafld")
    with serving(place) as found:
        yield found


@pytest.fixture(scope="module")
def served_clinic(postgres, clinic, tmp_path_factory):
    policy = tmp_path_factory.mktemp("docs") / "clinic.toml"
    policy.write_text(fixture.POLICY)
    place = place_of(postgres, clinic, "docs_clinic_reader", policy)
    _rich(place, "clinic")
    with serving(place) as found:
        yield found


# -- queries --------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", QUERIES, ids=str)
def test_a_query_gets_what_the_page_says(block: Block, request):
    served = request.getfixturevalue("served_clinic" if "clinic" in block.words else "served")
    body: dict[str, Any] = {"sql": block.text}
    if "$1" in block.text:
        body["parameters"] = PARAMETERS["$1"]
    if "delta=0" in block.words:
        body["delta"] = 0
    reply = served.send("POST", "/v1/query", body)
    wanted = [word for word in block.words if word not in ("clinic", "delta=0")]
    if wanted:
        assert reply.json().get("code") == wanted[0], reply.json()
    else:
        assert reply.status_code == 200, reply.json()
        assert reply.json()["rows"] is not None


def test_a_hint_with_a_query_can_be_followed(served):
    """The refusal that newcomers get first."""
    hint = served.send("POST", "/v1/query", {"sql": "SELECT * FROM patients"}).json()["hint"]
    assert served.send("POST", "/v1/query", {"sql": hint[hint.index("SELECT") :]}).is_success


# -- requests -------------------------------------------------------------------------------------


@pytest.fixture
def new_ledger(postgres, nafld):
    """A server whose ledger nobody has used, so that balances are those of the page."""
    with serving(place_of(postgres, nafld, "docs_reader", POLICY)) as found:
        yield found


def test_the_exchanges_of_the_page_on_http(new_ledger):
    exchanges = blocks(DOCS / "http.md", "http", "json")
    assert [b.language for b in exchanges] == ["http", "json"] * (len(exchanges) // 2)
    for asked, told in zip(exchanges[::2], exchanges[1::2], strict=True):
        line, _, body = asked.text.partition("\n")
        method, path = line.split()
        for ours, theirs in new_ledger.ids.items():
            path, body = path.replace(ours, theirs), body.replace(ours, theirs)
        who = "admin" if "admin" in asked.words else "ada"
        reply = new_ledger.send(method, path, json.loads(body) if body.strip() else None, who)
        if "no-token" in asked.words:
            reply = httpx.request(method, new_ledger.url + path, timeout=60)
        status = next((int(word) for word in told.words if word.isdigit()), 200)
        assert reply.status_code == status, f"{asked}: {reply.text}"
        _same(json.loads(told.text), reply.json(), str(told), new_ledger.ids)


NOISY = {"rows", "error_bars", "entry"}
"""Numbers here are of the same type, and no two runs agree on them."""
NAMES = {"release_id", "next", "token", "key_id", "hash", "day"}
TIMES = {"reserved_at", "finished_at", "created_at"}


def _same(shown: Any, got: Any, where: str, ids: dict[str, str], *, noisy: bool = False) -> None:
    """What a page shows and what came back agree in everything but noise, names and times."""
    assert type(shown) is type(got), f"{where}: the page shows {shown!r}, and there is {got!r}"
    if isinstance(shown, dict):
        if "..." in shown:
            shown = {key: value for key, value in shown.items() if key != "..."}
            got = {key: got.get(key) for key in shown}
        assert list(shown) == list(got), where
        for key, value in shown.items():
            at = f"{where}.{key}"
            if key in NAMES and value is not None:
                assert isinstance(got[key], str), at
                ids[value] = got[key]
            elif key in TIMES and value is not None:
                assert re.fullmatch(r"[-0-9T:.+]{25,32}", got[key]), at
            else:
                _same(value, got[key], at, ids, noisy=noisy or key in NOISY)
    elif isinstance(shown, list):
        if shown[-1:] == ["..."]:
            shown, got = shown[:-1], got[: len(shown) - 1]
        assert len(shown) == len(got), f"{where}: {got}"
        for i, (mine, theirs) in enumerate(zip(shown, got, strict=True)):
            _same(mine, theirs, f"{where}[{i}]", ids, noisy=noisy)
    elif isinstance(shown, str) and shown.endswith("..."):
        assert got.startswith(shown[:-3]), f"{where}: {got}"
    elif not (noisy and isinstance(shown, int | float) and not isinstance(shown, bool)):
        assert shown == got, f"{where}: the page shows {shown!r}, and there is {got!r}"


# -- the first page -------------------------------------------------------------------------------


def test_the_first_queries_of_the_readme(served, tmp_path):
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    # What other pages asked would be given again.
    served.place.run("dataset", "epoch", "nafld", "--reason", "the first page")
    (tmp_path / ".demo").mkdir()
    (tmp_path / ".demo" / "epsql.env").write_text(
        f"EPSQL_URL={served.url}\nEPSQL_TOKEN={served.tokens['ada']}\n"
    )
    place = Place(dict(os.environ), "")
    scripts = [b for b in blocks(ROOT / "README.md", "bash") if ".demo/epsql.env" in b.text]
    (script,) = scripts
    assert "curl" in script.text
    answer = json.loads(place.shell(script.text, tmp_path))
    (shown,) = blocks(ROOT / "README.md", "json")
    _same(
        json.loads(shown.text),
        answer | {"remaining": json.loads(shown.text)["remaining"]},
        str(shown),
        {},
    )
    (program,) = blocks(ROOT / "README.md", "python")
    done = subprocess.run(
        [sys.executable, "-c", program.text],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "±" in done.stdout


# -- setting up -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_steps_of_the_page_on_operations(postgres, nafld, tmp_path):
    """The commands in their order, from an empty ledger to a token."""
    (script,) = [b for b in blocks(DOCS / "operations.md", "bash") if "epsql migrate" in b.text]
    owner = conninfo_to_dict(nafld)
    assert owner["dbname"]
    environment = os.environ | {
        "EPSQL_LEDGER_URL": postgres.fresh(),
        "EPSQL_DATA_URL": postgres.uri(str(owner["dbname"]), "docs_reader"),
        "EPSQL_POLICY": str(POLICY),
        "OWNER_URL": nafld,
    }
    if shutil.which("psql") is None:
        pytest.skip("there is no psql here")
    text = "\n".join(line for line in script.text.splitlines() if not line.startswith("export "))
    assert "export EPSQL_DATA_URL" in script.text
    text = text.replace("epsql_reader", "docs_reader")
    said = Place(environment, nafld).shell(text, tmp_path)
    assert "everything fits" in said
    assert re.search(r"^epsql_[0-9a-f]{16}_\S{43}$", said, re.MULTILINE)
