"""Random sequences of messages, as no client would send them and any client might.

Everything hangs on the seed. A third of what is drawn is a whole conversation (parse, bind, describe,
execute, sync) with something wrong in it now and then; the rest is single messages in any order.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

from tests.clients.fuzz.messages import (
    FLUSH,
    SYNC,
    Cancel,
    Message,
    bind,
    close,
    describe,
    execute,
    parse,
    query,
    together,
)

STATEMENTS = ("", "a", "b")
PORTALS = ("", "p", "q")
INT4, TEXT, INT8 = 23, 25, 20

PROTECTED = (
    "SELECT count(*) FROM patients",
    "SELECT sex, count(*) AS n, sum(age) AS years FROM patients GROUP BY sex ORDER BY sex",
    "SELECT count(*) AS twice, count(*) AS twice FROM patients WHERE active",
    "SELECT sum(i.quantity) FROM items i",
    "SELECT sex, count(*) FROM patients GROUP BY sex ORDER BY sex LIMIT 0",
    "SELECT count(id) AS n FROM patients WHERE sex = 'male' -- a comment",
)
PROTECTED_1 = (
    "SELECT count(*) FROM patients WHERE age >= $1",
    "SELECT sex, count(*) FROM patients WHERE age > $1 GROUP BY sex HAVING count(*) > 0 ORDER BY sex",
)
PROTECTED_2 = (
    "SELECT count(*) FROM patients WHERE age >= $1 AND sex = $2",
    "SELECT count(*) FROM patients WHERE sex <> $2 AND age BETWEEN $1 AND 90",
)
PUBLIC = (
    "SELECT name FROM cities ORDER BY name",
    "SELECT generate_series(1, 4) AS n",
    "SELECT 1 AS one, 'two' AS two, NULL AS three, 4.5 AS four",
    "VALUES (1, 'x'), (2, NULL)",
    "SHOW TimeZone",
    "SELECT current_setting('DateStyle')",
    "SELECT",
    "",
)
PUBLIC_1 = ("SELECT $1::int + 1", "SELECT 10 / $1::int", "SELECT n FROM generate_series(1, $1) n")
PUBLIC_2 = ("SELECT $2::text, $1::int", "SELECT name FROM cities WHERE name < $2 LIMIT $1")
WRONG = (
    "SELECT nope FROM patients",
    "SELECT count(*) FROM nowhere",
    "SELEC 1",
    "SELECT 1/0",
    "SELECT count(*) FROM patients WHERE age = 'old'",
    "SELECT 'open",
)
CONTROL = (
    "BEGIN",
    "BEGIN",
    "START TRANSACTION READ ONLY",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT s",
    "ROLLBACK TO s",
    "RELEASE s",
    "DEALLOCATE a",
    "DEALLOCATE ALL",
    "DISCARD ALL",
    "PREPARE sql AS SELECT name FROM cities ORDER BY name LIMIT 2",
    "EXECUTE sql",
    "DEALLOCATE sql",
    "SET TimeZone = 'Asia/Tokyo'",
    "SET LOCAL DateStyle = 'German'",
    "RESET ALL",
)
CURSORS = (
    "DECLARE c CURSOR FOR SELECT sex, count(*) AS n FROM patients GROUP BY sex ORDER BY sex",
    "DECLARE c SCROLL CURSOR FOR SELECT sex, sum(age) FROM patients GROUP BY sex ORDER BY sex",
    "DECLARE c CURSOR FOR SELECT name FROM cities ORDER BY name",
    "FETCH 1 FROM c",
    "FETCH ALL FROM c",
    "FETCH BACKWARD 1 FROM c",
    "MOVE 1 FROM c",
    "FETCH 1 FROM p",
    "CLOSE c",
    "CLOSE ALL",
)
COPIES = (
    "COPY (SELECT sex, count(*) FROM patients GROUP BY sex ORDER BY sex) TO STDOUT",
    "COPY (SELECT count(*) AS n FROM patients) TO STDOUT WITH (FORMAT csv, HEADER)",
    "COPY (SELECT sex, count(*) FROM patients GROUP BY sex ORDER BY sex) TO STDOUT (FORMAT binary)",
    "COPY (SELECT name FROM cities ORDER BY name) TO STDOUT",
    "COPY (SELECT nope FROM patients) TO STDOUT",
)


BLOCKS = (
    (),
    ("BEGIN",),
    ("BEGIN", "SAVEPOINT s"),
    ("BEGIN", CURSORS[0], "FETCH 1 FROM c"),
    ("SELECT count(*) FROM patients",),
)
"""Where a cancel comes."""
ENDLESS = """
SELECT repeat('x', n) FROM (VALUES (9000), (20000)) AS v (n)
UNION ALL SELECT count(*)::text FROM (SELECT generate_series(1, 100000000000)) AS n
"""
"""It takes no memory, and nobody may call pg_sleep behind epsql. The first rows do not fit into what
Postgres holds back: when one of them has come whole, the other is on its way, and no more will be."""


def sequence(seed: int) -> list[Message | Cancel]:
    """The messages of one session, between login and the end."""
    author = _Author(seed)
    found: list[Message | Cancel] = []
    for _ in range(author.chance.randint(2, 9)):
        found += author.part()
    return found


class _Author:
    """Writes messages, and remembers what it has prepared, to mostly ask for what is there."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self._values: dict[str, list[bytes | None]] = {}

    def part(self) -> Sequence[Message | Cancel]:
        """Some messages that belong together, or one that belongs to nothing."""
        parts: Sequence[Callable[[], Sequence[Message | Cancel]]] = (
            self._conversation,
            self._once_more,
            self._queries,
            self._skipped,
            self._transaction,
            self._anything,
            self._cancel,
        )
        return self.chance.choices(parts, (12, 6, 10, 2, 2, 6, 1))[0]()

    def _one(self, *of: list[Message]) -> list[Message]:
        return self.chance.choice(of)

    def _conversation(self) -> list[Message]:
        """A client that knows what it does, most of the time."""
        chance = self.chance
        name, portal = chance.choice(STATEMENTS), chance.choice(PORTALS)
        text, values = self._text_and_values()
        self._values[name] = values
        found = [
            *self._one([], [close("S", name), close("P", portal)]),
            parse(name, text, self._types(len(values))),
            *self._one([], [describe("S", name)], [FLUSH], [describe("S", name), SYNC]),
            self._bound(portal, name, values),
            *self._one([], [describe("P", portal)]),
            execute(portal, chance.choice((0, 0, 1, 2))),
            *self._one([], [execute(portal, 0)], [execute(portal, 1), FLUSH]),
            *self._one([], [close("P", portal)], [close("S", name)]),
            SYNC,
        ]
        if chance.random() < 0.2:
            del found[chance.randrange(len(found))]
        if chance.random() < 0.1:
            found.insert(chance.randrange(len(found)), chance.choice((SYNC, FLUSH, *found)))
        return found

    def _once_more(self) -> list[Message]:
        """A statement that was prepared is bound and executed again."""
        chance = self.chance
        name = chance.choice((*(self._values or STATEMENTS), chance.choice(STATEMENTS)))
        portal = chance.choice(PORTALS)
        return [
            *self._one([], [close("P", portal)]),
            self._bound(portal, name, self._values.get(name, [])),
            execute(portal, chance.choice((0, 1, 2))),
            chance.choice((SYNC, FLUSH)),
        ]

    def _queries(self) -> list[Message]:
        """The simple protocol, with one to three statements in a text."""
        chance = self.chance
        pools: Sequence[Sequence[str]] = (PROTECTED, PUBLIC, WRONG, CONTROL, CURSORS, COPIES)
        texts = [
            chance.choice(chance.choices(pools, (5, 3, 1, 4, 4, 2))[0])
            for _ in range(chance.choice((1, 1, 1, 2, 3)))
        ]
        whole = chance.choice(("; ", ";\n", " ;; ")).join(texts) + chance.choice(("", ";"))
        # Without the Sync, a Query after a portal that was not read to its end leaves Postgres
        # itself in a state that it calls unexpected.
        return [SYNC, query(whole)]

    def _skipped(self) -> list[Message]:
        """After an error everything is skipped up to Sync, queries too."""
        failing = parse("", self.chance.choice(WRONG[:3]))
        return [failing, self._queries()[-1], *self._anything(), SYNC]

    def _transaction(self) -> list[Message]:
        """A block with a cursor in it, by the simple protocol."""
        chance = self.chance
        inside = [query(chance.choice(CURSORS)) for _ in range(chance.randint(1, 4))]
        return [SYNC, query("BEGIN"), query(chance.choice(CURSORS[:3])), *inside, query("COMMIT")]

    def _cancel(self) -> list[Cancel]:
        """What would run for ever is cancelled, by either protocol; or there is nothing to cancel.

        Nothing else runs meanwhile: which of two statements is hit would hang on the time.
        """
        chance = self.chance
        block = tuple(map(query, chance.choice(BLOCKS)))
        match chance.choice(("nothing", "a failed block", "simple", "extended")):
            case "nothing":
                return [Cancel(block, None)]
            case "a failed block":
                return [Cancel((query("BEGIN"), query("SELECT 1/0")), None)]
            case "simple":
                more = chance.choice(("", "; SELECT 2", "; SELECT count(*) FROM patients"))
                return [Cancel(block, query(ENDLESS + more))]
        bound = together(parse("", ENDLESS), bind("", ""), SYNC)
        running = together(execute(""), chance.choice((SYNC, FLUSH)))
        return [Cancel((query("BEGIN"), *block, bound), running)]

    def _anything(self) -> list[Message]:
        """One message, whatever came before."""
        chance = self.chance
        name, portal = chance.choice(STATEMENTS), chance.choice(PORTALS)
        text, values = self._text_and_values()
        others = (*CONTROL, *CURSORS, *COPIES, *WRONG)
        return [
            chance.choice(
                (
                    parse(name, text, self._types(len(values))),
                    parse(name, chance.choice(others)),
                    self._bound(portal, name, values),
                    describe("S", name),
                    describe("P", portal),
                    execute(portal, chance.choice((0, 1, 2, -1))),
                    close("S", name),
                    close("P", portal),
                    FLUSH,
                    SYNC,
                    SYNC,
                )
            )
        ]

    def _text_and_values(self) -> tuple[str, list[bytes | None]]:
        chance = self.chance
        pools: Sequence[tuple[Sequence[str], int]] = (
            (PROTECTED, 0),
            (PROTECTED_1, 1),
            (PROTECTED_2, 2),
            (PUBLIC, 0),
            (PUBLIC_1, 1),
            (PUBLIC_2, 2),
            (WRONG, 0),
            (CONTROL, 0),
            (CURSORS, 0),
            (COPIES, 0),
        )
        pool, count = chance.choices(pools, (6, 4, 4, 3, 2, 2, 1, 1, 2, 1))[0]
        if chance.random() < 0.03:
            count = chance.randint(0, 3)
        first = chance.choice((b"30", b"50", b"30", b"2", b"2", b"0", b"x", None))
        values = [first, b"male", b"3"]
        return chance.choice(pool), values[:count]

    def _types(self, count: int) -> list[int]:
        likely: list[list[int]] = [[], [], [0] * count, [INT4, TEXT][:count]]
        return self.chance.choice([*likely, *likely, [INT8], [TEXT, TEXT]])

    def _bound(self, portal: str, name: str, values: list[bytes | None]) -> Message:
        """Formats are those of the values; those of the results are right, or one of few wrong."""
        chance = self.chance
        formats = chance.choice(([], [0], [0] * len(values)))
        first = values[0] if values else None
        if first and first.isdigit() and chance.random() < 0.4:
            formats = [1] + [0] * (len(values) - 1)
            values = [struct.pack("!i", int(first)), *values[1:]]
        results = chance.choice(([], [], [], [0], [1], [1], [0, 1]))
        return bind(portal, name, formats, values, results)
