"""What the texts of one session hold, remembered for a while: tools repeat themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from analyzer.classify import Names, Piece, classify

_SHORT, _MANY = 2_000, 200
"""Of how many characters a text is that is remembered, and how many of them are."""
_READER = ThreadPoolExecutor(1, thread_name_prefix="epsql-classify")
"""Where longer texts are read, one after the other: up to a second; others go on meanwhile."""


class Texts:
    """Reads texts under the session's search path.

    Nothing is remembered for another session: how long it takes would tell what was asked there.

    Args:
        names: asked for those of the session's data set, which change when a public table does.
    """

    def __init__(self, names: Callable[[], Names]) -> None:
        self.search_path: tuple[str, ...] = ()
        """The schemas in which names are looked up."""
        self._names = names
        self._read: dict[tuple[str, tuple[str, ...], Names], tuple[Piece, ...]] = {}

    async def read(self, text: str) -> tuple[Piece, ...]:
        """The statements of a text. A long one is read in a thread: nobody else waits for it."""
        if len(text) <= _SHORT:
            return self.pieces(text)
        return await asyncio.get_running_loop().run_in_executor(_READER, self.pieces, text)

    def pieces(self, text: str) -> tuple[Piece, ...]:
        """The statements of a text."""
        names = self._names()
        asked = (text, self.search_path, names)
        if (pieces := self._read.get(asked)) is not None:
            return pieces
        pieces = classify(text, names, self.search_path)
        # A refusal is an exception, which is not to be raised twice.
        if len(text) <= _SHORT and not any(piece.refusal for piece in pieces):
            if len(self._read) >= _MANY:
                self._read.clear()
            self._read[asked] = pieces
        return pieces
