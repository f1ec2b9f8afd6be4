"""Events: the ledger's words, exact through JSON and back, refused where they are not known."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountant.events import (
    Event,
    GaussianEvent,
    LaplaceEvent,
    ThresholdEvent,
    from_json,
    to_json,
)

scales = st.one_of(
    st.fractions(min_value=Fraction(1, 10**30)).filter(bool),
    st.floats(2.0**-1000, 2.0**1000).map(Fraction),
)
events = st.one_of(
    st.builds(LaplaceEvent, scales, st.integers(0, 10**40)),
    st.builds(GaussianEvent, scales, st.integers(0, 10**40)),
    st.builds(ThresholdEvent, st.fractions(0, 1)),
)


@given(events)
def test_an_event_survives_json_exactly(event: Event) -> None:
    back = from_json(json.loads(json.dumps(to_json(event))))
    assert back == event
    assert type(back) is type(event)
    assert [type(getattr(back, name)) for name in event.__dataclass_fields__] == [
        type(getattr(event, name)) for name in event.__dataclass_fields__
    ]


@pytest.mark.parametrize(
    "event, text",
    [
        (
            LaplaceEvent(Fraction(5, 2), 3),
            {"kind": "discrete_laplace", "scale": "5/2", "l1_sensitivity": 3},
        ),
        (
            GaussianEvent(Fraction(4), 9),
            {"kind": "discrete_gaussian", "sigma": "4", "l2_sensitivity_squared": 9},
        ),
        (ThresholdEvent(Fraction(1, 10**9)), {"kind": "key_threshold", "delta": "1/1000000000"}),
    ],
)
def test_the_text_of_old_entries_keeps_its_meaning(event: Event, text: dict[str, object]) -> None:
    """These texts are in ledgers: a change here makes old entries unreadable."""
    assert to_json(event) == text
    assert from_json(dict(text)) == event


@pytest.mark.parametrize(
    "body",
    [{}, {"kind": "laplace", "scale": "1", "l1_sensitivity": 1}, {"scale": "1"}, {"kind": ""}],
)
def test_an_unknown_kind_is_not_guessed(body: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="unknown event kind"):
        from_json(body)


def test_reading_leaves_the_body_as_it_was() -> None:
    body = to_json(LaplaceEvent(Fraction(1), 1))
    before = dict(body)
    from_json(body)
    assert body == before


def test_an_event_cannot_be_changed() -> None:
    event = LaplaceEvent(Fraction(1), 1)
    with pytest.raises(FrozenInstanceError):
        event.scale = Fraction(2)  # type: ignore[misc]
