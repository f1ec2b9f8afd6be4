"""Programs that a person types into: psql's completion and pgcli, in a terminal of tmux."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients.place import Place, client_program, program
from tests.clients.same import assert_same

PATIENCE = 30.0


class Terminal:
    """A screen of 100 by 40 characters with one program in it."""

    def __init__(self, tmux: Path) -> None:
        self._tmux = [str(tmux), "-L", f"epsql-{uuid.uuid4().hex[:8]}", "-f", "/dev/null"]

    def tell(self, *words: str) -> str:
        done = subprocess.run([*self._tmux, *words], capture_output=True, text=True, check=False)
        return done.stdout

    def type(self, *keys: str) -> None:
        """Keys by tmux' names; everything else as it is. A last semicolon would end tmux' command."""
        self.tell("send-keys", *(re.sub(r";$", r"\\;", key) for key in keys))

    def shows(self, text: str, *, pressing: str = "") -> str:
        """The screen, once the text is on it; meanwhile a key is pressed again and again."""
        ends = time.monotonic() + PATIENCE
        while text not in (screen := self.tell("capture-pane", "-p")):
            assert time.monotonic() < ends, f"no {text!r} on the screen:\n{screen.rstrip()}"
            if pressing:
                self.type(pressing)
                time.sleep(1)
            time.sleep(0.1)
        return screen


@contextmanager
def terminal(place: Place, command: str, home: Path) -> Iterator[Terminal]:
    """The command in a terminal, with a home of its own: histories are offered as completions."""
    shown = Terminal(program("tmux", "tmux"))
    settings = {
        **{name: value for name, value in place.environment().items() if name.startswith("PG")},
        "HOME": str(home),
        "PAGER": "cat",
        "TERM": "xterm",
        "LC_ALL": "C.UTF-8",
    }
    line = shlex.join(["env", *(f"{n}={v}" for n, v in settings.items()), *shlex.split(command)])
    shown.tell("new-session", "-d", "-x", "100", "-y", "40", line)
    try:
        yield shown
    finally:
        shown.tell("kill-server")


def test_psql_completes_names_and_answers(direct, front, tmp_path):
    psql = program("psql", "postgresql-client")
    for place in (direct, front):
        with terminal(place, f"{psql} --no-psqlrc", tmp_path) as shown:
            shown.shows("=>")
            shown.type("SELECT count(*) FROM pat", "Tab")
            shown.shows("FROM patients")
            shown.type("WHERE se", "Tab")
            shown.shows("WHERE sex")
            shown.type("= 'male';", "Enter")
            shown.shows("(1 row)")
            shown.type("\\d vis", "Tab", "Enter")
            shown.shows("Foreign-key constraints")
            shown.type("SET TimeZone TO 'Asia/Tok", "Tab", "Enter")
            shown.shows("Asia/Tokyo")


def test_pgcli_starts_completes_and_answers(direct, front, tmp_path):
    pgcli = client_program("pgcli")
    for place in (direct, front):
        with terminal(place, f"{pgcli} --less-chatty --no-password", tmp_path) as shown:
            shown.shows("clinic>")
            shown.type("SELECT count(*) FROM pat")
            # It offers nothing until it has read the catalogue, and does not say when it has.
            shown.shows("FROM patients", pressing="Tab")
            shown.type("C-c")
            shown.type("SELECT count(*) FROM patients;", "Enter")
            shown.shows("SELECT 1")
            shown.type("\\d cities", "Enter")
            shown.shows("cities_pkey")


CATALOGUE = (r"\dt public.*", r"\d patients", r"\d cities", r"\l clinic")
ANSWERS = (
    "SELECT name FROM cities ORDER BY name",
    "SELECT sex, count(*) FROM patients GROUP BY sex ORDER BY sex",
)


@pytest.mark.parametrize("command", [*CATALOGUE, *ANSWERS])
def test_pgcli_says_the_same(command, direct, shadow, front, tmp_path):
    line = [client_program("pgcli"), "--less-chatty", "-c", command]
    quiet = {"HOME": str(tmp_path), "PGOPTIONS": "-c client_min_messages=warning"}
    wanted, got = (
        re.sub(r"(?m)^Time: .*\n", "", place.printed(line, **quiet))
        for place in (shadow if command in CATALOGUE else direct, front)
    )
    assert_same(wanted, got)
