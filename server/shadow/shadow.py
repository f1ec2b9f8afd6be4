"""The shadow, as the wire front uses it: started, kept, and told what each analyst may see."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from analyzer.catalog import Catalog
from analyzer.classify import Names
from server.shadow import Asked, Balance


class Shadow:
    """One cluster, with a database for each data set and a role for each analyst."""

    def __init__(self, catalogs: Sequence[Catalog]) -> None:
        """Starts nothing yet: :meth:`open` does."""
        self._catalogs = catalogs

    @property
    def socket(self) -> Path:
        """The Unix socket. Log in with the analyst's name, the data set's name as the database, and
        no password: the directory lets nobody else in."""
        raise NotImplementedError

    def names(self, dataset: str) -> Names:
        """Which relations of a data set the gateway answers, for ``analyzer.classify``."""
        raise NotImplementedError

    async def open(self) -> Self:
        """Starts the cluster and mirrors every data set.

        Raises:
            ShadowFailed: it cannot be had or does not start.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Stops the cluster and removes it. Sessions are cut."""
        raise NotImplementedError

    async def admit(self, analyst: str) -> None:
        """Makes the analyst's role, unless it is there. Call it at every login.

        Raises:
            CannotAdmit: no role can have that name.
            ShadowFailed: the shadow is gone.
        """
        raise NotImplementedError

    async def show_budget(self, analyst: str, dataset: str, balances: Sequence[Balance]) -> None:
        """What the analyst sees in ``epsql.budget`` from now on."""
        raise NotImplementedError

    async def show_asked(self, analyst: str, dataset: str, asked: Sequence[Asked]) -> None:
        """Adds to what the analyst sees in ``epsql.history`` and ``epsql.releases``, or replaces
        what has the same release id."""
        raise NotImplementedError

    async def resync(self) -> None:
        """Copies the rows of public tables anew."""
        raise NotImplementedError

    async def healthy(self) -> bool:
        """Whether the cluster answers."""
        raise NotImplementedError
