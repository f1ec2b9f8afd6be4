"""Decisions: what a command does to the ledger, as a pure function of what the ledger holds.

A stored answer may be given again, as *replay*: its cells have noise already, so no data is touched
and it goes from ``reserved`` to ``answered`` or ``failed``. The account over everyone has paid for
those cells; an analyst or a group pays only the first time, because only then do they learn
something.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from accountant.accounts import Account, Balances, keys_of, loss_json, loss_of
from accountant.books import (
    STATES,
    STEPS,
    Books,
    Command,
    Dispatch,
    Fail,
    Reserve,
    Settle,
    State,
    Stored,
    Track,
    Void,
    charged_keys,
    own_charge,
)
from accountant.errors import (
    AccountShut,
    BudgetExceeded,
    NoAccount,
    RequestFailed,
    RequestIdConflict,
    RequestInProgress,
    WrongState,
)
from accountant.events import to_json
from accountant.losses import ZERO, Loss
from accountant.records import time_of
from accountant.requests import Cells, Replay, Request, Reservation, noises_json


def decide(books: Books, command: Command) -> Reservation | Replay | None:
    """Carries out one command on the books and appends its entries, or raises and does nothing.

    Raises:
        LedgerError: as the methods of :class:`accountant.ledger.Ledger` say.
    """
    match command:
        case Reserve(request, id_):
            return _reserve(books, request, id_)
        case Dispatch(id_):
            track = _track(books, id_, "dispatched", {"reserved"}, replay=False)
            _advance(books, track, "dispatch", {})
        case Settle(id_, answer, cells):
            _settle(books, id_, answer, cells)
        case Fail(id_):
            _advance(books, _last_step(books, id_, "failed"), "fail", {})
        case Void(id_):
            track = _track(books, id_, "voided", {"reserved"})
            loss, at = loss_of(track.reserved["loss"]), time_of(track.reserved["at"])
            for key in charged_keys(track.reserved):
                account = books.account(key)
                assert account is not None
                paced = books.paced.get(key, 0) < track.receipt.number
                books.put(account.given_back(loss, at, paced=paced))
            _advance(books, track, "void", {})
            books.requests.pop(_request_key(track.reserved), None)
    return None


def _reserve(books: Books, request: Request, id_: UUID) -> Reservation | Replay:
    accounts = _accounts(books, request)
    if request.request_id is not None:
        track = books.requests.get((str(request.analyst_id), request.request_id))
        if track is not None:
            return _again(books, request, track)
    stored, owing = _stored(books, request, accounts)
    if stored and not owing and request.request_id is None:
        return _given(stored, accounts)
    view = stored.track.view if stored else _view(books, request, accounts)
    loss = view if stored else request.loss
    for account in [_debited(account, loss) for account in owing]:
        books.put(account)
    record = _record(books, request, str(id_), loss, owing)
    if stored:
        record["source"] = stored.track.reserved["release"]
    elif view != loss:
        record["view"] = loss_json(view)
    receipt = books.chain.append("reserve", record).receipt
    track = books.tracks[record["release"]] = Track(record, receipt, "reserved")
    if request.request_id is not None:
        books.requests[_request_key(record)] = track
    known = books.memory.accounts
    return Reservation(
        id_,
        Balances(tuple(known[account.key] or account for account in accounts)),
        stored.cells if stored else None,
        True,
        loss if any(account.key.scope == "analyst" for account in owing) else ZERO,
        receipt,
    )


def found(books: Books, request: Request) -> Reservation | Replay | None:
    """What a request comes to that needs no charge and no entry; None where it needs one, or is
    refused. It is what :func:`decide` would come to."""
    try:
        accounts = _accounts(books, request)
    except NoAccount:
        return None
    if request.request_id is not None:
        track = books.requests.get((str(request.analyst_id), request.request_id))
        answered = track is not None and track.state == "answered"
        return _again(books, request, track) if track is not None and answered else None
    stored, owing = _stored(books, request, accounts)
    return _given(stored, accounts) if stored and not owing else None


def _given(stored: Stored, accounts: Iterable[Account]) -> Reservation:
    """Stored cells, for nothing."""
    first = stored.track
    release, balances = UUID(first.reserved["release"]), Balances(tuple(accounts))
    return Reservation(release, balances, stored.cells, False, ZERO, first.receipt)


def _accounts(books: Books, request: Request) -> list[Account]:
    """The accounts of all layers; a group need not have one."""
    groups = books.memory.groups[request.analyst_id]
    if groups is None:
        raise NoAccount
    found = []
    for key in keys_of(request.dataset, request.units, request.analyst_id, groups):
        account = books.account(key)
        if account is not None:
            found.append(account)
        elif key.scope != "group":
            raise NoAccount(key.unit)
    return found


def _again(books: Books, request: Request, track: Track) -> Replay:
    """What the request id already stands for."""
    reserved = track.reserved
    if (reserved["request_digest"], reserved["dataset"]) != (
        request.request_digest,
        request.dataset,
    ):
        raise RequestIdConflict
    if track.state == "answered":
        assert track.answer is not None
        release = UUID(reserved["release"])
        return Replay(release, json.loads(track.answer), own_charge(reserved))
    if track.state != "failed" and reserved["worker"] in books.alive:
        raise RequestInProgress
    raise RequestFailed


def _stored(
    books: Books, request: Request, accounts: list[Account]
) -> tuple[Stored | None, list[Account]]:
    """The stored release that the asker owes least for, and who owes; else everybody owes."""
    if not request.replayable:
        return None, accounts
    key = (request.dataset, request.plan_digest, str(request.analyst_id))
    best: tuple[Stored | None, list[Account]] = (None, accounts)
    for stored in books.stored.get(key, []):
        owing = [
            account
            for account in accounts
            if account.key.scope != "everyone" and account.key not in stored.paid
        ]
        # Whoever builds on an earlier release owes the difference alone, as the quote said.
        if len(owing) < len(best[1]) and not (owing and request.builds_on):
            best = (stored, owing)
    return best


def _view(books: Books, request: Request, accounts: Iterable[Account]) -> Loss:
    """The loss of the new draws, with that of the cells that they are put together with.

    Those cells are paid for by all accounts that see the new ones: a group that the analyst has
    come to since has not.

    Raises:
        WrongState: the earlier release is not one that this one can build on, or not any more.
    """
    if request.builds_on is None:
        return request.loss
    track = books.tracks.get(str(request.builds_on))
    wanted = (
        str(request.analyst_id),
        request.dataset,
        request.question_digest,
        books.memory.epochs.get(request.dataset),
    )
    if (
        track is None
        or track.state != "answered"
        or wanted
        != tuple(
            track.reserved[name] for name in ("analyst", "dataset", "question_digest", "epoch")
        )
        or not {account.key for account in accounts} <= set(charged_keys(track.reserved))
    ):
        raise WrongState(request.builds_on, "the base of another release")
    return track.view + request.loss


def _debited(account: Account, charge: Loss) -> Account:
    """The account after the charge.

    Raises:
        AccountShut, BudgetExceeded: it does not take the charge.
    """
    if account.state != "open":
        raise AccountShut(account.key.scope, account.state)
    debited = account.charged(charge)
    if not debited.sound():
        paced = account.paces(charge)
        raise BudgetExceeded(account.key.scope, account.remaining, charge, paced=paced)
    return debited


def _record(
    books: Books, request: Request, id_: str, loss: Loss, owing: Iterable[Account]
) -> dict[str, Any]:
    record: dict[str, Any] = {
        "release": id_,
        "step": STEPS["reserve"],
        "analyst": str(request.analyst_id),
        "dataset": request.dataset,
        "units": list(request.units),
        "request_digest": request.request_digest,
        "plan_digest": request.plan_digest,
        "question_digest": request.question_digest,
        "epoch": books.memory.epochs.get(request.dataset, 1),
        "sql": request.sql,
        "events": [to_json(event) for event in request.events],
        "loss": loss_json(loss),
        "charged": [list(account.key[1:]) for account in owing],
        "worker": books.worker_id,
        "at": books.chain.stamp,
    }
    if request.request_id is not None:
        record["request_id"] = request.request_id
    if request.builds_on is not None:
        record["builds_on"] = str(request.builds_on)
    return record


def _settle(books: Books, id_: UUID, answer: str, cells: Cells | None) -> None:
    track = _last_step(books, id_, "answered")
    replay = "source" in track.reserved
    facts: dict[str, Any] = {}
    if cells is not None and not replay:
        facts = {
            name: track.reserved[name]
            for name in ("analyst", "dataset", "plan_digest", "question_digest", "epoch")
        }
        facts["noises"] = noises_json(cells.noises)
    rows = cells.rows if cells is not None and not replay else None
    _advance(books, track, "answer", facts, answer=answer, cells=rows)
    track.answer = answer


def _last_step(books: Books, id_: UUID, wanted: str) -> Track:
    """The release, if it can be answered or fail: a replay, which touches no data, at once."""
    track = books.tracks.get(str(id_))
    replay = track is not None and "source" in track.reserved
    return _track(books, id_, wanted, {"reserved" if replay else "dispatched"})


def _track(
    books: Books, id_: UUID, wanted: str, sources: set[State], *, replay: bool | None = None
) -> Track:
    """The release, if it is in one of the states that it can become ``wanted`` from."""
    track = books.tracks.get(str(id_))
    if (
        track is None
        or track.state not in sources
        or (replay is not None and replay != ("source" in track.reserved))
    ):
        raise WrongState(id_, wanted)
    return track


def _advance(
    books: Books,
    track: Track,
    kind: str,
    facts: dict[str, Any],
    *,
    answer: str | None = None,
    cells: str | None = None,
) -> None:
    facts = {**facts, "release": track.reserved["release"], "step": STEPS[kind]}
    books.chain.append(kind, facts, answer=answer, cells=cells)
    track.state = STATES[kind]


def _request_key(reserved: dict[str, Any]) -> tuple[str, str]:
    return reserved["analyst"], reserved.get("request_id", "")
