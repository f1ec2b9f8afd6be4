"""The command line: what it prints, and its exit codes."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys

import psycopg
import pytest

from accountant.ledger import Ledger
from accountant.transactions import ledger_engine
from migrations import migrate
from server.cli import main
from server.settings import Settings

SECRET = "s3cr3t-canary"
POLICY = """\
dataset = "clinic"
"""


@pytest.fixture
def environment(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(f"EPSQL_{name.upper()}", raising=False)
    return monkeypatch


@pytest.fixture
def ledger(environment, postgres):
    url = postgres.fresh(postgres.template("web-ledger", migrate))
    environment.setenv("EPSQL_LEDGER_URL", url)
    return url


def test_help_teaches_by_example(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    assert "epsql token new ada" in out
    assert "curl http://127.0.0.1:" in out


def test_help_of_serve_names_every_setting(capsys):
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    out = capsys.readouterr().out
    for name in Settings.model_fields:
        assert f"EPSQL_{name.upper()}" in out


def test_the_command_is_installed_as_a_module_too():
    done = subprocess.run(
        [sys.executable, "-m", "server.cli", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.match(r"epsql \S+", done.stdout)


@pytest.mark.parametrize(
    "line",
    [
        "", "nonsense", "analyst", "analyst add", "token new", "token new ada --admin x",
        "budget set", "budget set clinic --epsilon x", "budget set clinic --epsilon -1",
        "budget set clinic --epsilon nan", "budget set clinic --epsilon 1e-9999999",
        "token new ada --days x",
    ],
)  # fmt: skip
def test_a_line_that_makes_no_sense_exits_with_2(line, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(line.split())
    assert stopped.value.code == 2
    assert "usage: epsql" in capsys.readouterr().err


def test_what_is_not_set_is_said_in_one_line(environment, capsys):
    assert main(["migrate"]) == 1
    assert capsys.readouterr().err == "epsql: EPSQL_LEDGER_URL: is not set\n"


@pytest.mark.parametrize("line", ["migrate", "analyst list", "budget show", "policy draft"])
def test_a_database_that_is_away_is_one_line_without_its_address(environment, line):
    """A process of its own: in ours, pytest would take what is logged."""
    name = "EPSQL_DATA_URL" if line == "policy draft" else "EPSQL_LEDGER_URL"
    environment.setenv(name, f"postgresql://x:{SECRET}@127.0.0.1:1/none")
    done = subprocess.run(
        [sys.executable, "-m", "server.cli", *line.split()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    reason = "nobody answers at its host and port, or it turns the role away"
    assert re.fullmatch(rf"epsql: .+: {reason}(; look at {name})?\n", done.stderr)
    assert SECRET not in done.stderr


def test_a_head_file_that_cannot_be_written_is_said(ledger, environment, capsys):
    environment.setenv("EPSQL_LEDGER_HEAD", "/nowhere/at/all")
    assert main(["token", "new", "--admin", "ops"]) == 1
    reason = "its head file cannot be written: FileNotFoundError"
    assert capsys.readouterr().err == f"epsql: the ledger is not available: {reason}\n"


def test_migrate_makes_the_ledger(environment, postgres, capsys):
    environment.setenv("EPSQL_LEDGER_URL", postgres.fresh())
    assert main(["analyst", "list"]) == 1
    assert "run `epsql migrate`" in capsys.readouterr().err
    assert main(["migrate"]) == 0
    assert main(["analyst", "list"]) == 0
    assert "name" in capsys.readouterr().out


def test_a_ledger_of_a_newer_epsql_is_left_alone(ledger, capsys):
    with psycopg.connect(ledger) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for line in ("migrate", "analyst list"):
        assert main(line.split()) == 1
    migrating, listing = capsys.readouterr().err.splitlines()
    assert migrating == "epsql: the ledger was migrated by a newer epsql; install that one"
    assert "run `epsql migrate`" in listing


def test_a_directory_of_policies_is_checked_as_it_is_served(environment, tmp_path, capsys):
    (tmp_path / "one.toml").write_text(POLICY)
    assert main(["policy", "check", str(tmp_path)]) == 1
    assert "one.toml:1: budgets: is missing" in capsys.readouterr().err


def test_a_policy_with_mistakes_is_one_line_each(environment, tmp_path, capsys):
    policy = tmp_path / "clinic.toml"
    policy.write_text(POLICY)
    environment.setenv("EPSQL_DATA_URL", "postgresql://x@127.0.0.1:1/none")
    assert main(["policy", "check", str(policy)]) == 1
    assert "clinic.toml:" in capsys.readouterr().err


def test_tokens_are_shown_once_and_end_when_revoked(ledger, capsys):
    assert main(["token", "new", "--admin", "ops", "--days", "7", "--reason", "test"]) == 0
    said = capsys.readouterr()
    token = said.out.strip()
    assert re.fullmatch(r"epsql_[0-9a-f]{16}_\S{43}", token)
    _, key_id, secret = token.split("_", 2)
    assert main(["token", "list"]) == 0
    listed = capsys.readouterr().out
    assert key_id in listed
    assert secret not in listed
    assert main(["token", "revoke", key_id]) == 0
    assert main(["token", "revoke", "0" * 16]) == 1
    assert main(["token", "new", "--admin", "ops", "--days", "0"]) == 1
    assert main(["token", "new", "nobody"]) == 1
    assert "no analyst named 'nobody'" in capsys.readouterr().err


def test_budgets_of_what_is_not_there(ledger, capsys):
    assert main(["budget", "show"]) == 0
    assert main(["budget", "show", "none"]) == 1
    assert main(["budget", "set", "none", "--epsilon", "1"]) == 1
    assert main(["budget", "set", "none"]) == 1
    assert capsys.readouterr().err.count("epsql: ") == 3


@pytest.fixture
def clinic(ledger) -> str:
    """A data set with an analyst, as a policy would have opened it."""

    async def make() -> None:
        engine = ledger_engine(ledger)
        office = Ledger(engine)
        await office.open_dataset("clinic", ["patients"], 10**13, 10**12)
        ada = await office.add_analyst("ada")
        await office.open_account(ada.id, "clinic", 10**12, 10**12)
        await engine.dispose()

    asyncio.run(make())
    return "clinic"


def test_every_verb_on_an_account(clinic, capsys):
    def done(*words: str) -> str:
        assert main(["budget", *words]) == 0, words
        lines: list[str] = capsys.readouterr().out.splitlines()
        return lines[-1]

    ada = ("clinic", "--analyst", "ada")
    assert re.search(r"ada +open +0 +0 +1\.5 ", done("grant", *ada, "--epsilon", "0.5"))
    assert re.search(r"ada +open +0 +0 +2 ", done("raise", *ada, "--epsilon", "2"))
    assert re.search(r"ada +open +0 +0 +1 ", done("lower", *ada, "--epsilon", "1"))
    assert re.search(r"ada +frozen ", done("freeze", *ada, "--reason", "holiday"))
    assert re.search(r"ada +open ", done("thaw", *ada))
    assert done("window", "clinic", "day", "--analyst", "ada", "--epsilon", "0.1").endswith(
        "0 of 0.1 a day"
    )
    assert not done("window", "clinic", "none", "--analyst", "ada").endswith("day")
    assert re.search(
        r"group team +open ", done("set", "clinic", "--group", "team", "--epsilon", "3")
    )
    assert re.search(r"ada +closed ", done("close", *ada))
    assert re.search(r"\(everyone\) +frozen ", done("freeze", "clinic", "--unit", "patients"))
    for words, says in (
        (["thaw", *ada], "closed, which is for good"),
        (["lower", "clinic", "--epsilon", "99"], "would not lower"),
        (["freeze", "clinic", "--unit", "visits"], "no such account"),
        (["window", "clinic", "day"], "--epsilon"),
        (["grant", "clinic"], "--epsilon, --delta or both"),
    ):
        assert main(["budget", *words]) == 1, words
        assert says in capsys.readouterr().err


def test_groups_and_epochs(clinic, capsys):
    assert main(["group", "join", "team", "ada"]) == 0
    assert main(["group", "list"]) == 0
    assert re.search(r"^team +ada$", capsys.readouterr().out, re.MULTILINE)
    assert main(["group", "leave", "team", "ada"]) == 0
    assert main(["group", "join", "Team", "ada"]) == 1
    assert main(["dataset", "epoch", "clinic", "--reason", "new cohort"]) == 0
    assert "epoch 2" in capsys.readouterr().out
    assert main(["dataset", "epoch", "none"]) == 1


def test_the_ledger_is_audited_exported_and_verified(clinic, ledger, capsys, tmp_path):
    assert main(["audit"]) == 0
    assert "Everything fits." in capsys.readouterr().out
    file = str(tmp_path / "journal")
    assert main(["audit", "export", file]) == 0
    assert main(["audit", "export", file]) == 1
    assert main(["audit", "verify", file]) == 0
    assert main(["audit", "verify", __file__]) == 1
    assert main(["ledger", "acknowledge", "--reason", "test"]) == 0
    assert main(["audit", "verify", file]) == 0
    with psycopg.connect(ledger) as connection:
        connection.execute("UPDATE accounts SET epsilon_cap = 1")
    capsys.readouterr()
    assert main(["audit"]) == 1
    assert "WRONG: the account of everyone on clinic" in capsys.readouterr().out
    assert main(["ledger", "grants", "clerk"]) == 0
    assert 'GRANT SELECT, INSERT ON entries TO "clerk";' in capsys.readouterr().out
