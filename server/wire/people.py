"""Who asks in a session of a login that people share: one token after the other, by a handle each.

The shadow keeps the handle as the session's setting, so that a rollback or RESET treats it like any
other. It is no token: it stands for a person in this session alone.
"""

from __future__ import annotations

import secrets

from analyzer.session_settings import SettingRefused
from server.identity import Identity, NotAuthenticated, Principal
from server.wire.standing import Standing


class People:
    """The people of one session.

    Args:
        identity: says whose a token is, and whether it still holds.
        standing: shows each of them their own rows of the schema ``epsql``.
        dataset: of the session.
    """

    def __init__(self, identity: Identity, standing: Standing, dataset: str) -> None:
        self._identity = identity
        self._standing = standing
        self._dataset = dataset
        self._people: dict[str, Principal] = {}

    async def handle(self, token: str) -> str:
        """What stands for the person whose token it is.

        Raises:
            SettingRefused: the token is nobody's.
            ShadowFailed: the shadow is gone.
        """
        try:
            person = await self._identity.verify(token)
        except NotAuthenticated:
            raise SettingRefused("This token is not valid.") from None
        if person.analyst_id is None:
            raise SettingRefused("This token belongs to no analyst.")
        for handle, known in self._people.items():
            if known.key_id == person.key_id:
                return handle
        handle = f"{person.name} {secrets.token_hex(16)}"
        await self._standing.know(handle, person.name, self._dataset)
        self._people[handle] = person
        return handle

    async def behind(self, handle: str) -> Principal:
        """The person that a handle stands for.

        Raises:
            SettingRefused: the person's token does not hold any more.
        """
        person = self._people.get(handle)
        if person is None or not await self._identity.holds(person.key_id):
            raise SettingRefused(
                "The token of the person who asks is no longer valid.",
                hint="SET epsql.analyst_token to a new one, or RESET it.",
            )
        return person

    async def show(self) -> None:
        """Brings what each of them sees up to date; whose token has ended sees it no more.

        Raises:
            LedgerUnavailable, NoAccount, ShadowFailed: it stays as it was.
        """
        for handle, person in list(self._people.items()):
            if await self._identity.holds(person.key_id):
                assert person.analyst_id is not None
                await self._standing.show(person.analyst_id, person.name, self._dataset)
            else:
                del self._people[handle]
                await self._standing.forget([handle], self._dataset)

    async def leave(self) -> None:
        """The session is over.

        Raises:
            ShadowFailed: the shadow is gone.
        """
        if self._people:
            await self._standing.forget(list(self._people), self._dataset)
