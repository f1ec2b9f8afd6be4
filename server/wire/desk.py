"""What is answered to the statements that are ours: noisy rows, quotes, the budget."""

from __future__ import annotations

import time
from contextlib import suppress
from uuid import UUID

from accountant.errors import LedgerUnavailable, NoAccount
from accountant.ledger import Ledger
from analyzer.catalog import Catalog, Given
from analyzer.refusals import Unsupported
from analyzer.session_settings import SettingRefused
from analyzer.types import Type
from server.errors import rule_of
from server.identity import Identity, Principal
from server.observations import Broke, Name, Observer, Tripped
from server.replies import remaining_json
from server.shadow import ShadowFailed
from server.wire import answers, asks
from server.wire.asker import Answered, Asker
from server.wire.binding import Surroundings
from server.wire.own import Act, Own
from server.wire.people import People
from server.wire.sessions import Sessions
from server.wire.standing import Standing
from server.wire.steps import SessionEnds

_LOOK_SECONDS = 1.0
"""How long a token is believed to hold where only the shadow is asked."""
_UTC = {"UTC", "Etc/UTC", "GMT", "Etc/GMT", "UCT", "Etc/UCT", "Zulu", "Etc/Zulu"}


class Desk:
    """One session's desk.

    Args:
        principal: who is logged in.
        catalog: of the session's data set.
        asker: the way to the gateway.
        identity: says whether the credential still holds.
        ledger: says what is left.
        sessions: where other sessions of the analyst are.
        standing: brings the schema ``epsql`` up to date.
        shared: whether people share the login, and say who they are by a token of their own.
        observe: told what broke.
    """

    def __init__(
        self,
        principal: Principal,
        catalog: Catalog,
        asker: Asker,
        *,
        identity: Identity,
        ledger: Ledger,
        sessions: Sessions,
        standing: Standing,
        shared: bool,
        observe: Observer,
    ) -> None:
        assert principal.analyst_id is not None
        self._analyst: UUID = principal.analyst_id
        self._key_id = principal.key_id
        self._name = principal.name
        self._dataset = catalog.dataset
        self._zoned = any(
            column.type is Type.TIMESTAMPTZ
            for table in catalog.tables.values()
            for column in table.columns.values()
        )
        self._asker = asker
        self._identity = identity
        self._ledger = ledger
        self._sessions = sessions
        self._standing = standing
        self._shared = shared
        self._people = People(identity, standing, catalog.dataset)
        self._observe = observe
        self._looked = time.monotonic()

    async def answer(
        self, own: Own, parameters: tuple[Given, ...], around: Surroundings
    ) -> Answered:
        await self._must_hold()
        if own.act is Act.PERSON:
            if not self._shared:
                raise SettingRefused(
                    "This login is one analyst, and asks for nobody else.",
                    hint="The operator can name logins that people share:"
                    " EPSQL_WIRE_SHARED_LOGINS.",
                )
            return Answered((await self._people.handle(own.token),))
        analyst = self._analyst
        if around.person:
            person = await self._people.behind(around.person)
            assert person.analyst_id is not None
            analyst = person.analyst_id
        if own.act is Act.BUDGET:
            return Answered(answers.rows_json([[await self._budget(analyst)]]))
        if own.act is Act.SIGNAL:
            found = await self._sessions.signal(self._analyst, own.pid, ends=own.ends)
            return Answered(answers.rows_json([[True]] if found else []))
        question = asks.question(own.query, parameters, self._dataset, around.asks)
        if own.act is Act.EXPLAIN:
            options = {name: (value or "true").lower() for name, value in own.options}
            if options.get("analyze", "off") not in {"off", "false", "0"}:
                raise Unsupported(
                    "EXPLAIN ANALYZE is not supported.",
                    detail="How long the data takes is about the data.",
                    hint="EXPLAIN without ANALYZE gives the quote.",
                )
            as_json = options.get("format") == "json"
            return await self._asker.quote(analyst, question, as_json=as_json)
        notes: tuple[str, ...] = ()
        if self._zoned and around.zone not in _UTC:
            notes = ("Times in the query are read, and cut to days and hours, in UTC.",)
        return await self._asker.answer(analyst, question, around.seconds, notes)

    async def look(self, *, books: bool) -> None:
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            await self._must_hold()
        if books:
            try:
                await self._standing.show(self._analyst, self._name, self._dataset)
                await self._people.show()
            except (LedgerUnavailable, NoAccount, ShadowFailed) as error:
                # What was there is still true, only older.
                self._observe(Broke(Name("wire"), Name.of(error)))

    async def leave(self) -> None:
        """The session is over."""
        with suppress(ShadowFailed):  # and with it what it knew of people
            await self._people.leave()

    def broke(self, error: Exception) -> None:
        if rule_of(error).code == "internal_error":
            self._observe(Broke(Name("wire"), Name.of(error)))

    def tripped(self) -> None:
        self._observe(Tripped(Name(self._dataset), self._analyst))

    async def _must_hold(self) -> None:
        try:
            holds = await self._identity.holds(self._key_id)
        except LedgerUnavailable:
            raise SessionEnds("57P03", "The ledger is not available.") from None
        if not holds:
            raise SessionEnds(
                "28P01",
                "The token of this session is no longer valid.",
                hint="Log in with a new one.",
            )
        self._looked = time.monotonic()

    async def _budget(self, analyst: UUID) -> str:
        """What is left, in one line."""
        left = remaining_json(await self._ledger.balances(analyst, self._dataset))
        return "; ".join(
            f"{whose}: epsilon {left[scope]['epsilon']}, delta {left[scope]['delta']}"
            for scope, whose in (("analyst", "yours"), ("dataset", "of all"))
        )
