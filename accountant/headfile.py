"""The end of the journal, written down outside of the ledger's database.

A ledger that is restored from an old backup gives back what was spent since. The database cannot
know; this file can. After each commit it gets one line, ``number hash time``, appended in one
write. A server starts only on a ledger that has the entry of the last line, with its hash.
Servers that share a file write their lines out of order, so the greatest number counts; after an
operator's acknowledgement (a line that ends in that word), only lines from there on.
"""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from accountant.errors import LedgerBehind
from accountant.outages import ledger_outage
from accountant.records import time_text

_TAIL = 1 << 16
"""How many bytes of the end are read: hundreds of lines, more than servers are out of order by."""
_ACKNOWLEDGED = "acknowledged"
_LINE = re.compile(rf"([0-9]{{1,19}}) ([0-9a-f]{{64}}) \S+( {_ACKNOWLEDGED})?")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a journal."""

    number: int
    hash: str
    """64 hexadecimal digits."""


class HeadFile:
    """One file, which only grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._owed = b""

    def append(
        self, number: int, hash_: bytes, at: datetime, *, acknowledged: bool = False
    ) -> None:
        """Writes the line of a commit.

        Raises:
            LedgerUnavailable: it cannot be written. It is owed then: nothing more is committed
                before it is.
        """
        # An acknowledgement begins a line of its own, whatever stands before it.
        before, after = ("\n", f" {_ACKNOWLEDGED}") if acknowledged else ("", "")
        self._owed += f"{before}{number} {hash_.hex()} {time_text(at)}{after}\n".encode()
        self.catch_up()

    def catch_up(self) -> None:
        """Writes what is owed.

        Raises:
            LedgerUnavailable: it still cannot be written.
        """
        if not self._owed:
            return
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                written = os.write(file, self._owed)
            finally:
                os.close(file)
        except OSError as error:
            reason = f"its head file cannot be written: {type(error).__name__}"
            raise ledger_outage(_log, reason, error) from None
        self._owed = self._owed[written:]
        if self._owed:
            raise ledger_outage(_log, "its head file takes no more", OSError())

    def last(self) -> Head | None:
        """The newest head that was written down; None if there is none.

        Raises:
            LedgerBehind: the file is there and cannot be read, or its end is no line of ours.
        """
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _TAIL))
                lines = [line for line in file.read().decode("ascii").split("\n") if line]
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            raise LedgerBehind("the head file cannot be read; look at EPSQL_LEDGER_HEAD") from None
        if size > _TAIL:
            del lines[0]
        newest: Head | None = None
        broken = False
        for line in lines:
            match = _LINE.fullmatch(line)
            if match is None:
                broken = True
                continue
            head, acknowledged = Head(int(match[1]), match[2]), match[3] is not None
            if newest is None or acknowledged or head.number > newest.number:
                newest = head
            broken = broken and not acknowledged
        if broken:
            raise LedgerBehind("the head file has a line that is not one of epsql's")
        return newest
