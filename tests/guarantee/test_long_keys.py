"""A thresholded key may be as long as a column can hold: such a row never leaves the database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from analyzer.analyze import analyze
from analyzer.emit_keys import MAX_KEY_BYTES
from tests.fixture import catalog, clinic, load
from tests.guarantee.replay import Replay
from tests.postgres import Postgres


@pytest.fixture(scope="module")
def source(postgres: Postgres) -> Iterator[Replay]:
    """A clinic with one diagnosis that is as long as a key may be, one that is longer by a byte,
    and one of fewer characters than that, but of more bytes."""
    uri = load(postgres.fresh(), clinic(50, 60))
    with Replay(uri, planned_once=False) as replay:
        for number, text, count in (
            (1, "x", MAX_KEY_BYTES),
            (2, "x", MAX_KEY_BYTES + 1),
            (3, "\u00e5", MAX_KEY_BYTES // 2 + 1),
        ):
            replay.execute(
                "UPDATE public.visits SET patient_id = 7, diagnosis = repeat($1::text, $2::integer)"
                " WHERE id = $3::bigint RETURNING 1",
                [text, str(count), str(number)],
            )
        yield replay


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT diagnosis, count(*) FROM visits GROUP BY 1",
        "SELECT lower(diagnosis), count(DISTINCT patient_id) FROM visits GROUP BY 1",
        "SELECT kind, diagnosis, avg(cost) FROM visits GROUP BY GROUPING SETS ((1, 2), (2))",
        "SELECT diagnosis, percentile_cont(0.5) WITHIN GROUP (ORDER BY cost) FROM visits GROUP BY 1",
    ],
)
def test_rows_with_a_longer_key_are_left_out(source, sql):
    (rows,) = source.exact(analyze(sql, catalog()))
    texts = [value for row in rows for value in row if isinstance(value, str)]
    assert max(len(text.encode()) for text in texts) == MAX_KEY_BYTES


def test_a_key_that_is_cut_needs_no_leaving_out():
    plan = analyze("SELECT left(diagnosis, 50), count(*) FROM visits GROUP BY 1", catalog())
    assert "octet_length" not in plan.blocks[0].exact.sql
    assert not any("bytes" in notice for notice in plan.notices)
