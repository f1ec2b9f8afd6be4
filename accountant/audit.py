"""Reads the journal from its first line, and holds everything against it.

The auditor trusts no table and no column but the texts: it follows the hashes, holds replies and
cells against their digests, each release against the arrows of its states, each charge against the
mechanisms that were used, and adds up every account. It needs no database: an exported journal is
enough. With one, the tables are held against what it made.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from accountant.accounts import Account, AccountKey
from accountant.books import State
from accountant.records import GENESIS, Entry, canonical, digest, link, time_of
from accountant.remaking import Remade, Wrong, name_of


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not fit."""

    entry: int | None
    """Where; None where it is not in one entry."""
    what: str

    def __str__(self) -> str:
        return self.what if self.entry is None else f"entry {self.entry}: {self.what}"


@dataclass(frozen=True, slots=True)
class Tables:
    """What the ledger's tables hold that follows from the journal."""

    head: tuple[int, bytes]
    accounts: Mapping[AccountKey, Account]
    epochs: Mapping[str, int]
    members: frozenset[tuple[str, str]]
    analysts: Mapping[str, bool]


@dataclass(slots=True)
class Auditor:
    """Give it every entry in order with :meth:`read`; then ask what there is."""

    number: int = 0
    hash: bytes = GENESIS
    made: Remade = field(default_factory=Remade)
    findings: list[Finding] = field(default_factory=list)
    _at: datetime | None = None

    def read(self, entry: Entry) -> None:
        """The next entry. What is wrong with it is one of the findings."""
        if entry.number != self.number + 1:
            self._find(entry, f"it comes after entry {self.number}")
        if entry.hash != link(self.hash, entry.record):
            self._find(entry, "its hash is not that of its record after the entry before")
        self.number, self.hash = entry.number, entry.hash
        try:
            record = json.loads(entry.record)
            self._check_texts(entry, record)
            self.made.apply(record)
        except Wrong as wrong:
            self._find(entry, str(wrong))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self._find(entry, f"its record cannot be read ({type(error).__name__})")

    def compare(self, tables: Tables) -> None:
        """Holds the tables against what the journal says."""
        if tables.head != (self.number, self.hash):
            self.findings.append(Finding(None, "the head is not the last entry"))
        made, there = self._now(self.made.accounts), self._now(tables.accounts)
        for key in sorted(made.keys() | there.keys()):
            if made.get(key) != there.get(key):
                what = f"{name_of(key)} is not what its entries say"
                self.findings.append(Finding(None, what))
        for what, follows, found in (
            ("the epochs are", self.made.epochs, tables.epochs),
            ("the members of groups are", self.made.members, tables.members),
            ("the analysts who may ask are", self.made.analysts, tables.analysts),
        ):
            if follows != found:
                self.findings.append(Finding(None, f"{what} not what their entries say"))

    def _now(self, accounts: Mapping[AccountKey, Account]) -> dict[AccountKey, Account]:
        """The accounts in the window of the last entry: an old window is an empty one."""
        at = self._at
        return {key: account if at is None else account.at(at) for key, account in accounts.items()}

    @property
    def states(self) -> Counter[State]:
        """How many releases there are in each state."""
        return Counter(release.state for release in self.made.releases.values())

    def _find(self, entry: Entry, what: str) -> None:
        self.findings.append(Finding(entry.number, what))

    def _check_texts(self, entry: Entry, record: dict[str, Any]) -> None:
        if canonical(record) != entry.record:
            self._find(entry, "its record is not canonical")
        if record["number"] != entry.number:
            self._find(entry, "its record has another number")
        at = time_of(record["at"])
        if self._at is not None and at < self._at:
            self._find(entry, "its time is before that of the entry before")
        self._at = at
        for name, text in (("answer", entry.answer), ("cells", entry.cells)):
            if (text is None) != (name not in record):
                self._find(entry, f"the {name} beside it are missing, or were added")
            elif text is not None and digest(text) != record[name]:
                self._find(entry, f"the {name} beside it are not those that were stored")
