"""Statements of DBeaver, Grafana, Metabase, pgAdmin, Power BI, Superset and Tableau."""

from __future__ import annotations

from contextlib import ExitStack
from types import SimpleNamespace

import psycopg
import pytest

from tests.clients.replay import outcome, statements

ALL = statements()


@pytest.fixture(scope="module")
def sessions(direct, shadow, front):
    """A session at each place. The tools' settings stay in them, as they do for the tools."""
    with ExitStack() as stack:
        yield SimpleNamespace(
            **{
                name: stack.enter_context(psycopg.connect(place.conninfo(), autocommit=True))
                for name, place in (("direct", direct), ("shadow", shadow), ("front", front))
            }
        )


@pytest.mark.parametrize("simple", [True, False], ids=["simple", "prepared"])
@pytest.mark.parametrize("statement", ALL, ids=str)
def test_what_comes_of_it(statement, simple, sessions, epsql, front):
    if statement.simple_only and not simple:
        pytest.skip("several statements in one text are not for the extended protocol")
    before = epsql.spent(front)
    got = outcome(sessions.front, statement, simple=simple)
    if statement.refused:
        assert got.startswith(tuple(f"! {code} " for code in statement.refused.split())), got
    else:
        # What is not about people is what the shadow says by itself.
        place = sessions.direct if statement.answered or statement.empty else sessions.shadow
        assert got == outcome(place, statement, simple=simple)
    if not statement.answered:
        assert epsql.spent(front) == before
