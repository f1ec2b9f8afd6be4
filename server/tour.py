"""The demo's guided tour: questions asked over HTTP and as psql asks, and why the answers hold.

It is a client like any other. Only where it shows what an attack gets from exact answers does it
look into the demo's database itself, which no analyst can.
"""

from __future__ import annotations

import json
import textwrap
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

_WIDTH = 96


class TourFailed(Exception):
    """The server did not answer as the tour promises: the demo is broken, and says so."""


@dataclass(frozen=True, slots=True)
class Client:
    """The least that an analyst needs: one address, one token."""

    url: str
    token: str
    psql_url: str = ""
    """Where Postgres clients connect, without the password, which is the token."""

    def ask(self, sql: str, **ask: str) -> dict[str, Any]:
        """The reply to a query: an answer, or the error's one shape, which has a ``code``."""
        body = json.dumps({"sql": sql, **ask}).encode()
        request = urllib.request.Request(  # noqa: S310 - the demo's own address
            f"{self.url}/v1/query",
            body,
            {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as response:  # noqa: S310
                return dict(json.load(response))
        except urllib.error.HTTPError as error:
            return dict(json.load(error))


class Tour:
    """Nine stops. ``alice`` has the policy's budget, ``bob`` a small one."""

    def __init__(
        self, alice: Client, bob: Client, data_url: str, say: Callable[[str], None] = print
    ) -> None:
        """``data_url`` is the owner's way into the demo database, for exact answers."""
        self._alice = alice
        self._bob = bob
        self._data_url = data_url
        self._say = say

    def walk(self) -> None:
        """Every stop, in order.

        Raises:
            TourFailed: an answer is not what the tour promises.
        """
        self._count()
        self._groups()
        self._join()
        self._psql()
        self._unknown_keys()
        self._rows()
        self._differencing()
        self._outlier()
        self._budget()

    def _count(self) -> None:
        self._title(
            "How many patients?",
            "The answer is noisy, and says how noisy. Ask for it a thousand times: you hear the"
            " same, and pay once.",
        )
        self._answered("SELECT count(*) FROM patients", epsilon="0.1")

    def _groups(self) -> None:
        self._title(
            "Counts by group",
            "The values of sex and died are declared, so every combination appears, also an"
            " empty one. A patient is in one group only, so four counts cost what one costs.",
        )
        self._answered(
            "SELECT sex, died, count(*) AS patients, avg(age) AS average_age\n"
            "FROM patients GROUP BY sex, died",
            epsilon="0.25",
        )

    def _join(self) -> None:
        self._title(
            "An average per test and sex, across a join",
            "400,123 measurements, up to 513 of one patient. PostgreSQL weighs each patient down to"
            " 20 rows and keeps values between 0 and 300 before anything is added up. Tests with"
            " few measurements get wide error bars: read them.",
        )
        self._answered(
            "SELECT l.test, p.sex, avg(l.value) AS mean\n"
            "FROM patients p JOIN labs l ON l.patient_id = p.id\n"
            "GROUP BY l.test, p.sex ORDER BY l.test, p.sex",
            epsilon="0.5",
        )

    def _psql(self) -> None:
        self._title(
            "From any Postgres client",
            "psql, a driver, a BI tool: the same account, the same token as password. The catalog"
            " is there as in any Postgres; what an answer costs is a setting of the session.",
        )
        sql = "SELECT died, count(*) AS patients FROM patients WHERE age >= 65 GROUP BY died"
        alice = self._alice
        with psycopg.connect(alice.psql_url, password=alice.token, autocommit=True) as session:
            session.add_notice_handler(lambda said: self._say(f"  NOTICE:  {said.message_primary}"))
            for statement in ("SET epsql.epsilon = '0.1'", sql):
                self._say(f"  > {statement};")
                cursor = session.execute(statement.encode())
            assert cursor.description is not None
            self._say("  " + " | ".join(column.name for column in cursor.description))
            for row in cursor:
                self._say("  " + " | ".join(str(value) for value in row))

    def _unknown_keys(self) -> None:
        self._title(
            "Keys that nobody declared",
            "Which diagnoses occur is about patients too. One appears only when its noisy number of"
            " patients passes a threshold; there are ten kinds in the data.",
        )
        self._answered(
            "SELECT event, count(*) AS n FROM events GROUP BY event ORDER BY n DESC",
            epsilon="0.25",
        )

    def _rows(self) -> None:
        self._title("Rows do not leave", "The refusal costs nothing, and its hint works.")
        refusal = self._refused("SELECT * FROM patients", "42501")
        hint = str(refusal["hint"])
        self._answered(hint[hint.index("SELECT") :], epsilon="0.1")

    def _differencing(self) -> None:
        with psycopg.connect(self._data_url) as data:
            row = data.execute("SELECT min(id), count(*) FROM public.patients").fetchone()
            assert row is not None
            victim, everybody = int(row[0]), int(row[1])
        self._title(
            "The differencing attack",
            f"How old is patient {victim}? Ask for the average age of everybody, and of everybody"
            " else. Both groups are huge, so a rule such as 'groups of at least 50' sees nothing"
            " wrong.",
        )
        queries = (
            "SELECT avg(age) FROM patients",
            f"SELECT avg(age) FROM patients WHERE id <> {victim}",
        )
        with psycopg.connect(self._data_url) as data:
            data.execute("SET search_path = public")
            exact = [float(data.execute(q.encode()).fetchone()[0]) for q in queries]  # type: ignore[index]
            guarded = [
                float(data.execute(f"{q} HAVING count(*) >= 50".encode()).fetchone()[0])  # type: ignore[index]
                for q in queries
            ]
            truth = data.execute(
                "SELECT age FROM public.patients WHERE id = %s", [victim]
            ).fetchone()
        assert truth is not None
        noisy = [self._answered(q, epsilon="0.1") for q in queries]
        means = [float(answer["rows"][0][0]) for answer in noisy]

        def age(pair: Sequence[float]) -> float:
            return pair[0] * everybody - pair[1] * (everybody - 1)

        bar = everybody * sum(float(a["error_bars"][0][0]) ** 2 for a in noisy) ** 0.5
        self._say(f"  age = {everybody} x first - {everybody - 1} x second:")
        self._say(f"    from exact answers                   {age(exact):>12.1f} years")
        self._say(f"    from exact answers of groups >= 50   {age(guarded):>12.1f} years")
        self._say(f"    from epsql's answers                 {age(means):>12.1f} years ± {bar:.0f}")
        self._say(f"  Patient {victim} is {truth[0]} years old.")
        if round(age(exact)) != truth[0] or round(age(guarded)) != truth[0] or bar < 100:
            raise TourFailed("the differencing attack did not go as told")

    def _outlier(self) -> None:
        self._title(
            "An outlier that cannot move the answer",
            "Some blood pressure was noted as 13,682. In the exact average it is plain to see; in"
            " epsql's it counts as 300, like any value that is too large.",
        )
        with psycopg.connect(self._data_url) as data:
            row = data.execute(
                "SELECT max(value), avg(value), avg(value) FILTER (WHERE value < 10000)"
                " FROM public.labs WHERE test = 'sbp'"
            ).fetchone()
        assert row is not None
        self._say(
            f"  exact: largest {row[0]:,.0f}; average {row[1]:.3f} with, {row[2]:.3f} without"
        )
        sql = "SELECT avg(value) FROM labs WHERE test = 'sbp'"
        for question in (sql, f"{sql} AND value < 10000"):
            self._answered(question, epsilon="0.25")

    def _budget(self) -> None:
        self._title(
            "The budget runs out",
            "Bob has epsilon 0.3. His second question would pass it, and is refused by name before"
            " the data is asked. Nothing is charged for a refusal.",
        )
        self._answered("SELECT count(*) FROM patients WHERE died", self._bob, epsilon="0.2")
        another = "SELECT count(*) FROM patients WHERE age < 30"
        self._refused(another, "ZP001", self._bob, epsilon="0.2")

    def _title(self, title: str, story: str) -> None:
        self._say("")
        self._say(f"── {title} " + "─" * (_WIDTH - len(title) - 4))
        self._say(textwrap.fill(story, _WIDTH))

    def _answered(self, sql: str, client: Client | None = None, **ask: str) -> dict[str, Any]:
        reply = self._asked(sql, client, **ask)
        if "code" in reply:
            raise TourFailed(f"{reply['code']}: {reply['message']}")
        for line in table(reply):
            self._say(f"  {line}")
        left = reply["remaining"]["analyst"]["epsilon"]
        names = ", ".join(dict.fromkeys(m["name"].replace("_", " ") for m in reply["mechanisms"]))
        self._say(f"  cost: epsilon {reply['loss']['epsilon']}; left: {left}   ({names})")
        return reply

    def _refused(
        self, sql: str, sqlstate: str, client: Client | None = None, **ask: str
    ) -> dict[str, Any]:
        reply = self._asked(sql, client, **ask)
        if reply.get("sqlstate") != sqlstate:
            raise TourFailed(f"expected a refusal {sqlstate}")
        self._say(f"  refused: {reply['sqlstate']} {reply['message']}")
        for part in ("detail", "hint"):
            if reply.get(part):
                self._say(f"  {part}: {reply[part]}")
        return reply

    def _asked(self, sql: str, client: Client | None, **ask: str) -> dict[str, Any]:
        self._say("")
        for line in sql.splitlines():
            self._say(f"  > {line}")
        return (client or self._alice).ask(sql, **ask)


def table(reply: Mapping[str, Any]) -> list[str]:
    """The rows of an answer as aligned lines, each noisy number with its error bar."""
    header = [column["name"] for column in reply["columns"]]
    rows = [
        [_shown(value, bar) for value, bar in zip(values, bars, strict=True)]
        for values, bars in zip(reply["rows"], reply["error_bars"], strict=True)
    ]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [header, *rows]
    ]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]


def _shown(value: Any, bar: float | None) -> str:
    if value is None:
        return "null"
    if bar is None or isinstance(value, bool | str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(value, int):
        return f"{value:,} ± {bar:,}"
    digits = 0 if bar >= 100 else 1 if bar >= 10 else 2 if bar >= 1 else 3
    return f"{value:,.{digits}f} ± {bar:,.{digits}f}"
