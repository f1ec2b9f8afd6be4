"""pgcli: what it reads for its completion, and what it then offers."""

from __future__ import annotations

import os

from canonical import say
from pgcli.completion_refresher import CompletionRefresher
from pgcli.pgcompleter import PGCompleter
from pgcli.pgexecute import PGExecute
from pgspecial import PGSpecial
from prompt_toolkit.document import Document


def main() -> None:
    e = os.environ
    executor = PGExecute(
        e["PGDATABASE"],
        e["PGUSER"],
        e["PGPASSWORD"],
        e["PGHOST"],
        e["PGPORT"],
        sslmode=e["PGSSLMODE"],
    )
    say("search path", executor.search_path())
    say("schemas", sorted(set(executor.schemata()) - {"epsql"}))
    say("tables", [t for t in sorted(executor.tables()) if t[0] == "public"])
    say("columns", [tuple(c) for c in sorted(executor.table_columns()) if c[0] == "public"])
    say("keys", [tuple(key) for key in executor.foreignkeys()])
    say("views", [v for v in sorted(executor.views()) if v[0] == "public"])
    say("databases", e["PGDATABASE"] in executor.databases())
    say("types", [t for t in sorted(executor.datatypes()) if t[0] == "public"])
    say("functions", [f.func_name for f in executor.functions() if f.schema_name == "public"])
    completer = made(executor)
    for text in (
        "SELECT * FROM pat",
        "SELECT count(*) FROM visits v JOIN ",
        "SELECT pa.se FROM patients pa",
    ):
        place = len("SELECT pa.se") if text.startswith("SELECT pa.se") else len(text)
        found = completer.get_completions(Document(text, place), None)
        say(f"completion of {text}", [c.text for c in found][:5])


def made(executor: PGExecute) -> PGCompleter:
    """The completer, once it has read the catalogue."""
    done: list[PGCompleter] = []
    refresher = CompletionRefresher()
    refresher.refresh(executor, PGSpecial(), done.append)
    refresher._completer_thread.join()
    return done[0]


if __name__ == "__main__":
    main()
