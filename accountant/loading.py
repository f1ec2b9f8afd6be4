"""Between the ledger's tables and the values of ``books``: a few statements for a whole batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from accountant.accounts import Account, AccountKey, Window, keys_of
from accountant.books import (
    STATES,
    UNFINISHED,
    Books,
    Command,
    Memory,
    Reserve,
    Stored,
    Track,
    Void,
    charged_keys,
)
from accountant.filters import Budget, rho_cap
from accountant.losses import Loss
from accountant.records import Receipt
from accountant.requests import Request, cells_of
from accountant.workers import living

_GROUPS = text("""
    SELECT a.id, array(
        SELECT m.group_name FROM members m WHERE m.analyst_id = a.id ORDER BY 1
    ) AS groups
    FROM analysts a WHERE a.id = ANY (CAST(:ids AS uuid[])) AND a.disabled_at IS NULL
""")
_ACCOUNTS = text("""
    SELECT a.*, d.epoch
    FROM unnest(CAST(:datasets AS text[]), CAST(:units AS text[]), CAST(:scopes AS text[]),
                CAST(:holders AS text[])) AS k (dataset, unit, scope, holder)
    JOIN accounts a USING (dataset, unit, scope, holder)
    JOIN datasets d ON d.name = a.dataset
""")
# The last step of a release is what became of it.
_LAST = """
    SELECT r.number, r.doc, r.hash, last.kind, last.answer
    FROM {source}
    CROSS JOIN LATERAL (
        SELECT e.doc ->> 'kind' AS kind, e.answer FROM entries e
        WHERE e.doc ->> 'release' = r.doc ->> 'release' AND e.doc ? 'release'
        ORDER BY e.doc ->> 'step' DESC LIMIT 1
    ) AS last
"""
_RELEASES = text(
    _LAST.format(
        source="""unnest(CAST(:releases AS text[])) AS k (release)
        JOIN entries r ON r.doc ->> 'release' = k.release AND r.doc ? 'release'
            AND r.doc ->> 'step' = '0'"""
    )
)
_REQUESTS = text(
    _LAST.format(
        source="""unnest(CAST(:analysts AS text[]), CAST(:requests AS text[]))
            AS k (analyst, request)
        JOIN entries r ON r.doc ->> 'analyst' = k.analyst AND r.doc ->> 'request_id' = k.request
            AND r.doc ? 'request_id'"""
    )
)
# For each plan: the first answer that there is, and the asker's own newest.
_STORED = text("""
    SELECT k.dataset, k.plan, k.analyst, found.release, found.noises, found.cells
    FROM unnest(CAST(:datasets AS text[]), CAST(:plans AS text[]), CAST(:analysts AS text[]),
                CAST(:epochs AS bigint[])) AS k (dataset, plan, analyst, epoch)
    CROSS JOIN LATERAL (
        (SELECT e.number, e.doc ->> 'release' AS release, e.doc -> 'noises' AS noises, e.cells
         FROM entries e
         WHERE e.doc ->> 'plan_digest' = k.plan AND e.cells IS NOT NULL
           AND e.doc ->> 'dataset' = k.dataset AND CAST(e.doc ->> 'epoch' AS bigint) = k.epoch
         ORDER BY e.number LIMIT 1)
        UNION
        (SELECT e.number, e.doc ->> 'release' AS release, e.doc -> 'noises' AS noises, e.cells
         FROM entries e
         WHERE e.doc ->> 'plan_digest' = k.plan AND e.cells IS NOT NULL
           AND e.doc ->> 'dataset' = k.dataset AND CAST(e.doc ->> 'epoch' AS bigint) = k.epoch
           AND e.doc ->> 'analyst' = k.analyst
         ORDER BY e.number DESC LIMIT 1)
    ) AS found
    ORDER BY found.number
""")
# A charge counts as a payment once it cannot be given back any more.
_PAYERS = text("""
    SELECT k.release, r.doc
    FROM unnest(CAST(:releases AS text[])) AS k (release)
    JOIN entries r ON r.doc ->> 'source' = k.release AND r.doc ? 'source'
    WHERE EXISTS (
        SELECT FROM entries e
        WHERE e.doc ->> 'release' = r.doc ->> 'release' AND e.doc ? 'release'
          AND e.doc ->> 'kind' IN ('answer', 'fail')
    )
""")
_PACED = text("""
    SELECT e.number, e.doc ->> 'dataset' AS dataset, e.doc ->> 'unit' AS unit,
           e.doc ->> 'scope' AS scope, e.doc ->> 'holder' AS holder
    FROM entries e WHERE e.number > :after AND e.doc ->> 'kind' = 'set window' ORDER BY e.number
""")
_PARTS = ("epsilon", "delta", "rho", "slack")
_SENT = ("id", *_PARTS, "number", *(f"window_{part}" for part in _PARTS))
# Texts with commas between the numbers: an array would be sent element by element.
_STORE = text(
    f"""
    UPDATE accounts a SET
        {", ".join(f"{part}_spent = n.{part}" for part in _PARTS)},
        window_number = n.number,
        {", ".join(f"window_{part}_spent = n.window_{part}" for part in _PARTS)}
    FROM unnest({", ".join(f"CAST(string_to_array(:{n}, ',') AS bigint[])" for n in _SENT)})
        AS n ({", ".join(_SENT)})
    WHERE a.id = n.id
"""
)


async def load(connection: AsyncConnection, books: Books, commands: Sequence[Command]) -> None:
    """Reads into the books what the commands ask for and is not remembered."""
    requests = [command.request for command in commands if isinstance(command, Reserve)]
    await _load_tracks(connection, books, commands, requests)
    await _load_groups(connection, books.memory, requests)
    await _load_accounts(connection, books, commands, requests)
    await _load_paced(connection, books, commands)
    await _load_stored(connection, books, requests)


async def load_living(connection: AsyncConnection, books: Books) -> None:
    """Reads which servers live, as far as the books name them; nobody dies before the end."""
    unfinished = [t for t in books.requests.values() if t.state in UNFINISHED]
    workers = {books.worker_id, *(track.reserved["worker"] for track in unfinished)}
    books.alive = await living(connection, workers)


async def _load_tracks(
    connection: AsyncConnection,
    books: Books,
    commands: Sequence[Command],
    requests: Sequence[Request],
) -> None:
    known = books.memory.tracks
    moved = [str(command.id) for command in commands if not isinstance(command, Reserve)]
    moved += [str(r.builds_on) for r in requests if r.builds_on is not None]
    books.tracks = {release: known[release] for release in moved if release in known}
    if unknown := [release for release in moved if release not in known]:
        rows = await connection.execute(_RELEASES, {"releases": unknown})
        books.tracks |= {row.doc["release"]: track_of(row) for row in rows}
    named = [r for r in requests if r.request_id is not None]
    if named:
        keys = {
            "analysts": [str(request.analyst_id) for request in named],
            "requests": [request.request_id for request in named],
        }
        for row in await connection.execute(_REQUESTS, keys):
            # One that is voided in this batch is moved by the same track.
            track = books.tracks.setdefault(row.doc["release"], track_of(row))
            track.answer = row.answer
            if track.state != "voided":
                books.requests[row.doc["analyst"], row.doc["request_id"]] = track


async def _load_groups(
    connection: AsyncConnection, memory: Memory, requests: Sequence[Request]
) -> None:
    unknown = {r.analyst_id for r in requests} - memory.groups.keys()
    if unknown:
        memory.groups |= dict.fromkeys(unknown)
        for row in await connection.execute(_GROUPS, {"ids": list(unknown)}):
            memory.groups[row.id] = tuple(row.groups)


async def _load_accounts(
    connection: AsyncConnection,
    books: Books,
    commands: Sequence[Command],
    requests: Sequence[Request],
) -> None:
    memory = books.memory
    keys: set[AccountKey] = set()
    for request in requests:
        groups = memory.groups[request.analyst_id] or ()
        keys.update(keys_of(request.dataset, request.units, request.analyst_id, groups))
    for track in _voided(books, commands):
        keys.update(charged_keys(track.reserved))
    unknown = keys - memory.accounts.keys()
    if not unknown:
        return
    memory.accounts |= dict.fromkeys(unknown)
    for row in await connection.execute(_ACCOUNTS, _key_columns(unknown)):
        account = account_of(row)
        memory.accounts[account.key] = account
        memory.ids[account.key] = row.id
        memory.epochs[account.key.dataset] = row.epoch


async def _load_paced(
    connection: AsyncConnection, books: Books, commands: Sequence[Command]
) -> None:
    """A charge is given back to a window only if it was not set after the charge."""
    if voided := _voided(books, commands):
        first = min(track.receipt.number for track in voided)
        for row in await connection.execute(_PACED, {"after": first}):
            key = AccountKey(row.dataset, row.unit, row.scope, row.holder)
            books.paced[key] = row.number


def _voided(books: Books, commands: Sequence[Command]) -> list[Track]:
    named = (books.tracks.get(str(c.id)) for c in commands if isinstance(c, Void))
    return [track for track in named if track is not None]


async def _load_stored(
    connection: AsyncConnection, books: Books, requests: Sequence[Request]
) -> None:
    wanted = {
        (r.dataset, r.plan_digest, str(r.analyst_id), books.memory.epochs[r.dataset])
        for r in requests
        if r.replayable and r.dataset in books.memory.epochs
    }
    if not wanted:
        return
    columns = zip(*wanted, strict=True)
    names = ("datasets", "plans", "analysts", "epochs")
    keys = {name: list(column) for name, column in zip(names, columns, strict=True)}
    found = (await connection.execute(_STORED, keys)).all()
    if not found:
        return
    releases = list({row.release for row in found})
    rows = await connection.execute(_RELEASES, {"releases": releases})
    tracks = {row.doc["release"]: track_of(row) for row in rows}
    paid = {release: set(charged_keys(track.reserved)) for release, track in tracks.items()}
    for row in await connection.execute(_PAYERS, {"releases": releases}):
        paid[row.release] |= set(charged_keys(row.doc))
    for row in found:
        books.stored.setdefault((row.dataset, row.plan, row.analyst), []).append(
            Stored(
                tracks[row.release],
                cells_of(row.cells, row.noises),
                frozenset(paid[row.release]),
            )
        )


async def store(connection: AsyncConnection, books: Books) -> None:
    """Writes the accounts that the commands changed."""
    if not books.touched:
        return
    memory = books.memory
    rows = [
        (memory.ids[key], *_numbers(account))
        for key in books.touched
        if (account := memory.accounts[key]) is not None
    ]
    columns = (",".join(map(str, column)) for column in zip(*rows, strict=True))
    await connection.execute(_STORE, dict(zip(_SENT, columns, strict=True)))


def _numbers(account: Account) -> tuple[int, ...]:
    """What a charge changes, in the order of :data:`_SENT`."""
    spent, window = account.spent, account.window
    paced = (0, 0, 0, 0, 0)
    if window is not None:
        paced = (window.number, *_parts(window.spent))
    return (*_parts(spent), *paced)


def _parts(loss: Loss) -> tuple[int, int, int, int]:
    return (loss.epsilon, loss.delta, loss.rho, loss.slack)


def track_of(row: Row[Any]) -> Track:
    """The release of a row with ``number``, ``doc``, ``hash`` and the ``kind`` of its last step."""
    return Track(row.doc, Receipt(row.number, row.hash.hex()), STATES[row.kind])


def account_of(row: Row[Any]) -> Account:
    """The account in a row of the table ``accounts``."""
    window = None
    if row.window_kind is not None:
        window = Window(
            row.window_kind,
            Budget(row.window_epsilon_cap, row.window_delta_cap),
            row.window_number,
            Loss(
                row.window_epsilon_spent,
                row.window_delta_spent,
                row.window_rho_spent,
                row.window_slack_spent,
            ),
        )
    return Account(
        AccountKey(row.dataset, row.unit, row.scope, row.holder),
        Budget(row.epsilon_cap, row.delta_cap),
        Loss(row.epsilon_spent, row.delta_spent, row.rho_spent, row.slack_spent),
        row.state,
        window,
    )


def cap_columns(cap: Budget) -> Mapping[str, int]:
    """The columns of a row of ``accounts`` that hold its cap."""
    return {"epsilon_cap": cap.epsilon, "delta_cap": cap.delta, "rho_cap": rho_cap(cap)}


def _key_columns(keys: Iterable[AccountKey]) -> dict[str, list[str]]:
    columns = list(zip(*keys, strict=True))
    names = ("datasets", "units", "scopes", "holders")
    return {name: list(column) for name, column in zip(names, columns, strict=True)}
