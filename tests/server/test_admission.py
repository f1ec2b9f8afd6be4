"""A unit that a policy gets later: who has no account for it is named, and gets none by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from accountant.ledger import Ledger
from accountant.transactions import ledger_engine
from analyzer.catalog import PrivacyUnit
from migrations import migrate
from server.admission import admit_analyst, open_datasets
from server.commands import _missing
from tests.postgres import Postgres
from tests.server.fakes import catalog


async def test_accounts_that_a_new_unit_lacks(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = catalog()
    later = replace(first, units=(*first.units, PrivacyUnit("households", "id")))
    monkeypatch.delenv("EPSQL_LEDGER_URL", raising=False)
    assert await _missing(later) == []
    monkeypatch.setenv("EPSQL_LEDGER_URL", postgres.fresh())
    assert await _missing(later) == [], "it was not migrated yet"

    url = postgres.fresh(postgres.template("ledger", migrate))
    monkeypatch.setenv("EPSQL_LEDGER_URL", url)
    engine = ledger_engine(url)
    ledger = Ledger(engine)
    try:
        await open_datasets(ledger, [first], by="test")
        await admit_analyst(ledger, [first], "ada", by="test")
        assert await _missing(first) == []
        await open_datasets(ledger, [later], by="test")
        await admit_analyst(ledger, [later], "bob", by="test")
        (finding,) = await _missing(later)
        assert str(finding) == (
            "warning: analyst ada: there is no budget for the unit households, so questions about"
            " it are refused. epsql budget set clinic --analyst ada --unit households --epsilon ..."
        )
        ada = (await ledger.find_analyst("ada")).id
        await ledger.open_account(ada, "clinic", 1, 0)
        assert await _missing(later) == []
    finally:
        await engine.dispose()
