"""What decisions are made from and on: commands, and what this process knows of the ledger.

A release moves along the arrows, and never back::

    reserved -> dispatched -> answered
       |            |
       v            v
     voided       failed          (reserved -> failed too, when its worker is gone,
                                   and for a replay, which touches no data)

``reserved`` counts as spent. Only ``voided`` gives the charge back, and only from ``reserved``: a
release is ``dispatched``, durably, before protected data is touched. So whatever crashes, and
whenever, no answer leaves that was not charged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from accountant.accounts import Account, AccountKey, loss_of
from accountant.losses import ZERO, Loss
from accountant.records import GENESIS, Chain, Receipt
from accountant.requests import Cells, Request

State = Literal["reserved", "dispatched", "answered", "failed", "voided"]

STATES: dict[str, State] = {
    "reserve": "reserved",
    "dispatch": "dispatched",
    "answer": "answered",
    "fail": "failed",
    "void": "voided",
}
"""The state of a release after an entry of the kind."""

STEPS = {"reserve": 0, "dispatch": 1, "answer": 2, "fail": 2, "void": 2}
"""How far a release is with an entry of the kind. It takes each step once."""

UNFINISHED: frozenset[State] = frozenset({"reserved", "dispatched"})
"""The states from which a release goes on."""

_MOST_ACCOUNTS = 20_000
"""How many accounts are remembered; with more, everything is read anew."""
_MOST_TRACKS = 1000
"""How many releases that go on are remembered, the newest; the others are read when they do."""


@dataclass(frozen=True, slots=True)
class Reserve:
    """Debit the charge, or find the answer that is there."""

    request: Request
    id: UUID
    """Of the release, if it becomes one."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Protected data is about to be touched."""

    id: UUID


@dataclass(frozen=True, slots=True)
class Settle:
    """Store the reply, and the noisy cells that it was made from."""

    id: UUID
    answer: str
    cells: Cells | None


@dataclass(frozen=True, slots=True)
class Fail:
    """Give up after data may have been touched."""

    id: UUID


@dataclass(frozen=True, slots=True)
class Void:
    """Give up before data was touched, and give the charge back."""

    id: UUID


Move = Dispatch | Settle | Fail | Void
Command = Reserve | Move


@dataclass(slots=True)
class Track:
    """What the journal says of one release so far."""

    reserved: dict[str, Any]
    """The record of its ``reserve``."""
    receipt: Receipt
    state: State
    answer: str | None = None

    @property
    def view(self) -> Loss:
        """The loss of all draws that are in its cells: what somebody pays who sees them first."""
        return loss_of(self.reserved.get("view") or self.reserved["loss"])


@dataclass(frozen=True, slots=True)
class Stored:
    """An answered release whose cells can be given again."""

    track: Track
    cells: Cells
    paid: frozenset[AccountKey]
    """The accounts that have paid for the cells."""


@dataclass(slots=True)
class Memory:
    """What a process knows of the ledger, as of one entry.

    All of it follows from the entries, so it is right for as long as nobody else appends one. What
    a key does not have was not looked for; None was, and is not there.
    """

    number: int = 0
    hash: bytes = GENESIS
    """Of the last entry that it knows of."""
    groups: dict[UUID, tuple[str, ...] | None] = field(default_factory=dict)
    """The groups of each analyst; None for who may not ask."""
    accounts: dict[AccountKey, Account | None] = field(default_factory=dict)
    ids: dict[AccountKey, int] = field(default_factory=dict)
    """Of the rows of the accounts that are there."""
    epochs: dict[str, int] = field(default_factory=dict)
    tracks: dict[str, Track] = field(default_factory=dict)
    """The releases that go on, by id; not all of them."""

    def of(self, chain: Chain) -> Memory:
        """This, where it is of the chain's end; else one that knows nothing."""
        known = (self.number, self.hash) == (chain.number, chain.hash)
        return self if known and len(self.accounts) <= _MOST_ACCOUNTS else Memory()


@dataclass(slots=True)
class Books:
    """What the ledger holds of all that a batch of commands asks for."""

    chain: Chain
    worker_id: int
    memory: Memory = field(default_factory=Memory)
    tracks: dict[str, Track] = field(default_factory=dict)
    """By the release's id."""
    requests: dict[tuple[str, str], Track] = field(default_factory=dict)
    """By analyst and request id; none that was voided."""
    stored: dict[tuple[str, str, str], list[Stored]] = field(default_factory=dict)
    """By data set, plan digest and the analyst who asks; of the current epoch, oldest first."""
    paced: dict[AccountKey, int] = field(default_factory=dict)
    """The last entries that set windows, as far as they are after what is voided."""
    alive: frozenset[int] = frozenset()
    touched: dict[AccountKey, None] = field(default_factory=dict)
    """The accounts that were changed, in order."""

    def account(self, key: AccountKey) -> Account | None:
        """The account in the present window, if it is there."""
        account = self.memory.accounts[key]
        return None if account is None else account.at(self.chain.at)

    def put(self, account: Account) -> None:
        """The account, as it is from now on."""
        self.memory.accounts[account.key] = account
        self.touched[account.key] = None

    def remembered(self) -> Memory:
        """What is known when all of this is committed."""
        memory = self.memory
        memory.number, memory.hash = self.chain.number, self.chain.hash
        for id_, track in self.tracks.items():
            if track.state in UNFINISHED:
                memory.tracks[id_] = track
            else:
                memory.tracks.pop(id_, None)
        for id_ in list(memory.tracks)[:-_MOST_TRACKS]:
            del memory.tracks[id_]
        return memory


def charged_keys(reserved: dict[str, Any]) -> list[AccountKey]:
    """The accounts that the record of a ``reserve`` charged."""
    return [AccountKey(reserved["dataset"], *key) for key in reserved["charged"]]


def own_charge(reserved: dict[str, Any]) -> Loss:
    """What the record of a ``reserve`` charged the analyst's own account."""
    own = any(scope == "analyst" for _, scope, _ in reserved["charged"])
    return loss_of(reserved["loss"]) if own else ZERO
