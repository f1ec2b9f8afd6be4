"""The ledger made anew from its records: accounts, releases, epochs, members, analysts.

It shares the arithmetic of accounts with the ledger, and nothing of its decisions.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from typing import Any
from uuid import UUID

from accountant.accounts import (
    Account,
    AccountKey,
    AccountState,
    Window,
    keys_of,
    loss_of,
    window_number,
)
from accountant.books import STATES, STEPS, State
from accountant.events import ThresholdEvent, from_json
from accountant.filters import Budget
from accountant.losses import DELTA_STEPS, ZERO, Loss, loss_of_events
from accountant.records import time_of

_BEFORE: dict[str, frozenset[State]] = {
    "dispatch": frozenset({"reserved"}),
    "answer": frozenset({"dispatched"}),
    "fail": frozenset({"reserved", "dispatched"}),
    "void": frozenset({"reserved"}),
}
"""The states that a release can take a step from. Of a replay, only an end."""
_DECIDED: dict[str, AccountState] = {"freeze": "frozen", "thaw": "open", "close": "closed"}
_NOTES = frozenset({"new token", "revoke token", "acknowledge", "carried note"})
"""Nothing follows from them for any account."""


class Wrong(Exception):
    """What an entry says cannot be."""


@dataclass(slots=True)
class MadeRelease:
    """A release, as its entries so far say."""

    state: State
    loss: Loss
    view: Loss
    """Of all draws in its cells."""
    question: list[Any]
    """Analyst, data set, question digest, epoch."""
    plan_digest: str
    source: str | None
    charged: list[AccountKey]
    at: datetime
    number: int
    """Of the entry that reserved it."""
    has_cells: bool = False


@dataclass(slots=True)
class Remade:
    """Give it every record in order with :meth:`apply`."""

    releases: dict[str, MadeRelease] = field(default_factory=dict)
    accounts: dict[AccountKey, Account] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    members: set[tuple[str, str]] = field(default_factory=set)
    """Groups with the ids of their members."""
    analysts: dict[str, bool] = field(default_factory=dict)
    """By id: whether the analyst is disabled."""
    _replays: dict[str, list[str]] = field(default_factory=dict)
    """The releases that replay one."""

    _paced: dict[AccountKey, int] = field(default_factory=dict)
    """The entries that set the windows of accounts last."""

    def apply(self, record: dict[str, Any]) -> None:
        """Carries out what a record says.

        Raises:
            Wrong: it cannot be.
            KeyError, TypeError, ValueError: it is not a record that epsql wrote.
        """
        kind = record["kind"]
        if kind in STEPS and record["step"] != STEPS[kind]:
            raise Wrong("it is not the step that it says")
        match kind:
            case "reserve":
                self._reserve(record)
            case "dispatch" | "answer" | "fail" | "void":
                self._move(record)
            case "open account":
                self._open_account(record)
            case "name unit":
                self._name_unit(record["dataset"], record["unit"])
            case "set cap":
                self._put(replace(self._named(record), cap=_cap(record)))
            case "freeze" | "thaw" | "close":
                self._put(replace(self._named(record), state=_DECIDED[kind]))
            case "set window":
                self._set_window(record)
            case "advance epoch":
                self._advance_epoch(record["dataset"], record["epoch"])
            case "join group":
                self.members.add((record["group"], record["analyst"]))
            case "leave group":
                self.members.remove((record["group"], record["analyst"]))
            case "add analyst" | "disable analyst" | "enable analyst":
                self.analysts[record["analyst"]] = kind == "disable analyst"
            case _ if kind not in _NOTES:
                raise Wrong("it is of a kind that epsql does not know")

    def _reserve(self, record: dict[str, Any]) -> None:
        if record["release"] in self.releases:
            raise Wrong("the release was reserved before")
        loss = loss_of(record["loss"])
        release = MadeRelease(
            "reserved",
            loss,
            loss,
            _question(record),
            record["plan_digest"],
            record.get("source"),
            [AccountKey(record["dataset"], *key) for key in record["charged"]],
            time_of(record["at"]),
            record["number"],
        )
        self.releases[record["release"]] = release
        for key in release.charged:  # before the checks: what is wrong here is wrong only once
            self._put(self._account(key).at(release.at).charged(loss))
        if release.source is None:
            self._check_loss(record, release)
        else:
            self._replays.setdefault(release.source, []).append(record["release"])
            self._check_replay(release)
        self._check_layers(record, release)
        self._check_accounts(release, carried=record.get("carried", False))

    def _check_loss(self, record: dict[str, Any], release: MadeRelease) -> None:
        """Whether the charge is at least what the mechanisms cost."""
        events = [from_json(event) for event in record["events"]]
        thresholds = sum((e.delta for e in events if isinstance(e, ThresholdEvent)), Fraction(0))
        conversion = Fraction(release.loss.delta, DELTA_STEPS) - thresholds
        try:
            covered = release.loss.covers(loss_of_events(events, conversion))
        except ValueError:
            covered = False
        if not covered:
            raise Wrong("its charge is less than what its mechanisms cost")
        base = record.get("builds_on")
        if base is not None:
            earlier = self.releases[base]
            if earlier.question != release.question or earlier.state != "answered":
                raise Wrong("it builds on a release of something else")
            if set(release.charged) - set(earlier.charged):
                raise Wrong("it builds on a release that one of its accounts did not pay for")
            release.view = earlier.view + release.loss
        if loss_of(record.get("view", record["loss"])) != release.view:
            raise Wrong("what its cells tell is not the sum of what went into them")

    def _check_replay(self, release: MadeRelease) -> None:
        source = self.releases[release.source or ""]
        if not source.has_cells or source.plan_digest != release.plan_digest:
            raise Wrong("it replays cells that are not there, or of another plan")
        if (source.question[1], source.question[3]) != (release.question[1], release.question[3]):
            raise Wrong("it replays cells of other data")
        if release.loss != source.view:
            raise Wrong("it charges something else than what the cells tell")

    def _check_layers(self, record: dict[str, Any], release: MadeRelease) -> None:
        """Whether all layers were charged, or for a replay all that had not paid."""
        if self.analysts.get(record["analyst"], record.get("carried") is not True):
            raise Wrong("its analyst is disabled or unknown")
        groups = sorted(group for group, member in self.members if member == record["analyst"])
        keys = keys_of(
            record["dataset"], tuple(record["units"]), UUID(record["analyst"]), tuple(groups)
        )
        wanted = [key for key in keys if key in self.accounts or key.scope != "group"]
        if release.source is not None:
            wanted = [
                key
                for key in wanted
                if key.scope != "everyone" and not self._has_paid(key, release.source)
            ]
        if sorted(wanted) != sorted(release.charged):
            raise Wrong("it does not charge the accounts that it has to")
        if record["epoch"] != self.epochs.get(record["dataset"]):
            raise Wrong("it is not of the present epoch")

    def _has_paid(self, key: AccountKey, source: str) -> bool:
        """Whether the account was charged for the cells, by what can no more be given back."""
        ways = (self.releases[id_] for id_ in (source, *self._replays.get(source, [])))
        return any(key in way.charged and way.state in {"answered", "failed"} for way in ways)

    def _check_accounts(self, release: MadeRelease, *, carried: bool) -> None:
        """Whether the accounts, as they are after the charge, could take it."""
        for key in release.charged:
            account = self.accounts[key]
            if account.state != "open":
                raise Wrong("it charges an account that is not open")
            if not account.sound() and not carried:
                raise Wrong(f"it takes {name_of(key)} over its cap")

    def _move(self, record: dict[str, Any]) -> None:
        release, kind = self.releases[record["release"]], record["kind"]
        before = _BEFORE[kind]
        if release.source is not None:
            before = frozenset() if kind == "dispatch" else _BEFORE["void"]
        if release.state not in before:
            raise Wrong(f"a release that is {release.state} cannot take this step")
        release.state = STATES[kind]
        release.has_cells = "cells" in record
        filed = [record.get("plan_digest"), _question(record)] if release.has_cells else []
        if release.has_cells and filed != [release.plan_digest, release.question]:
            raise Wrong("its cells are filed under another question")
        if kind == "void":
            for key in release.charged:
                account = self._account(key).at(time_of(record["at"]))
                paced = self._paced.get(key, 0) < release.number
                self._put(account.given_back(release.loss, release.at, paced=paced))

    def _account(self, key: AccountKey) -> Account:
        account = self.accounts.get(key)
        if account is None:
            raise Wrong(f"{name_of(key)} was never opened")
        return account

    def _named(self, record: dict[str, Any]) -> Account:
        account = self._account(_key(record)).at(time_of(record["at"]))
        if account.state == "closed":
            raise Wrong("it changes an account that is closed")
        return account

    def _put(self, account: Account) -> None:
        self.accounts[account.key] = account

    def _open_account(self, record: dict[str, Any]) -> None:
        key = _key(record)
        if key in self.accounts:
            raise Wrong(f"{name_of(key)} was opened before")
        self._put(Account(key, _cap(record)))
        self.epochs.setdefault(key.dataset, 1)

    def _name_unit(self, dataset: str, unit: str) -> None:
        def named(key: AccountKey) -> AccountKey:
            nameless = key.dataset == dataset and not key.unit
            return key._replace(unit=unit) if nameless else key

        self.accounts = {
            named(key): replace(account, key=named(key)) for key, account in self.accounts.items()
        }
        for release in self.releases.values():
            release.charged = [named(key) for key in release.charged]

    def _set_window(self, record: dict[str, Any]) -> None:
        account, kind = self._named(record), record["window"]
        window = account.window
        if kind is None:
            window = None
        elif window is not None and window.kind == kind:
            window = replace(window, cap=_cap(record))
        else:
            number = window_number(kind, time_of(record["at"]))
            window = Window(kind, _cap(record), number, ZERO)
        self._put(replace(account, window=window))
        self._paced[account.key] = record["number"]

    def _advance_epoch(self, dataset: str, epoch: int) -> None:
        if epoch != self.epochs[dataset] + 1:
            raise Wrong("the epoch does not follow the one before")
        self.epochs[dataset] = epoch


def _key(record: dict[str, Any]) -> AccountKey:
    return AccountKey(record["dataset"], record["unit"], record["scope"], record["holder"])


def _cap(record: dict[str, Any]) -> Budget:
    return Budget(record["epsilon_cap"], record["delta_cap"])


def _question(record: dict[str, Any]) -> list[Any]:
    return [record[name] for name in ("analyst", "dataset", "question_digest", "epoch")]


def name_of(key: AccountKey) -> str:
    """An account in words."""
    holder = "everyone" if key.scope == "everyone" else f"{key.scope} {key.holder}"
    return f"the account of {holder} on {key.dataset}, unit {key.unit}"
