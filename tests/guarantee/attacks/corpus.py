"""The corpus of attacks as typed values, read from the TOML files beside this module.

A file that says something unknown, or leaves something out, does not load: a case that nobody runs
must not look like a case.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CLASSES = ("RAW", "SEN", "ERR", "TIM", "KEY", "PAR", "FUN", "LED", "NOI", "WIR", "OWN")
ORACLES = frozenset(f"T{n}" for n in range(1, 10))
_OUTCOME = re.compile(r"A|[RF] [0-9A-Z]{5}")
_CASE = frozenset(
    {"id", "leak", "expected", "catalogue", "why", "oracles", "texts", "checks", "see"}
)
_TEXT = frozenset({"sql", "pieces", "body", "parameters", "ask", "expected", "l1", "hole"})


@dataclass(frozen=True, slots=True)
class Text:
    """One request of an analyst, and what has to come of it."""

    name: str
    """The case's id and a number, ``RAW-02.1``."""
    case: str
    sql: str
    body: str | None
    """The whole body of the request, as it is sent; None: it is made of the other fields."""
    parameters: tuple[Any, ...]
    ask: Mapping[str, Any]
    """More fields of the request: epsilon, delta, dataset, contribution bounds, request_id."""
    expected: str
    """``A``, or ``R`` or ``F`` and the code."""
    l1: Mapping[str, float]
    """The L1 sensitivity that an answer has to declare for a draw, in the units of the data."""
    hole: str
    """Why it does not come out as it should: a hole that is known and not yet closed."""

    @property
    def answered(self) -> bool:
        return self.expected == "A"


@dataclass(frozen=True, slots=True)
class Case:
    """One attack."""

    id: str
    leak: str
    """What a proxy that does not think of it gives away."""
    expected: str
    """What is expected of texts that do not say it themselves."""
    catalogue: str
    """What the catalogue expects, where that is not what we do."""
    why: str
    oracles: tuple[str, ...]
    texts: tuple[Text, ...]
    checks: tuple[str, ...]
    """Tests of this folder, ``test_file::test_name``, that carry out what is no single request."""
    see: tuple[str, ...]
    """Tests elsewhere that go deeper, ``tests/room/test_file.py::test_name``."""

    @property
    def kind(self) -> str:
        return self.id.partition("-")[0]


@cache
def cases(kind: str) -> tuple[Case, ...]:
    """The cases of a class, in the order of the file.

    Raises:
        ValueError: the file says something that is not understood, or leaves something out.
    """
    raw = tomllib.loads((HERE / f"{kind.lower()}.toml").read_text(encoding="utf-8"))
    if set(raw) != {"case"}:
        raise ValueError(f"{kind}: a file holds [[case]] tables and nothing else")
    return tuple(_case(kind, one) for one in raw["case"])


@cache
def every_case() -> tuple[Case, ...]:
    return tuple(case for kind in CLASSES for case in cases(kind))


@cache
def every_text() -> tuple[Text, ...]:
    return tuple(text for case in every_case() for text in case.texts)


def _case(kind: str, raw: dict[str, Any]) -> Case:
    name = str(raw.get("id"))
    _known(name, raw, _CASE)
    if not re.fullmatch(rf"{kind}-[0-9]{{2}}", name):
        raise ValueError(f"{name} is no id of class {kind}")
    expected = _outcome(name, raw.get("expected"))
    oracles = tuple(raw.get("oracles", ()))
    if not raw.get("leak") or not oracles or not set(oracles) <= ORACLES:
        raise ValueError(f"{name}: a case says what leaks and which oracles judge it")
    if ("catalogue" in raw) != ("why" in raw):
        raise ValueError(f"{name}: where we differ from the catalogue, the reason is said")
    texts = tuple(
        _text(f"{name}.{number}", name, one, expected)
        for number, one in enumerate(raw.get("texts", ()), start=1)
    )
    checks, see = tuple(raw.get("checks", ())), tuple(raw.get("see", ()))
    if not (texts or checks or see):
        raise ValueError(f"{name}: nothing carries it out")
    return Case(
        name,
        raw["leak"],
        expected,
        raw.get("catalogue", ""),
        raw.get("why", ""),
        oracles,
        texts,
        checks,
        see,
    )


def _text(name: str, case: str, raw: str | dict[str, Any], expected: str) -> Text:
    fields: dict[str, Any] = {"sql": raw} if isinstance(raw, str) else raw
    _known(name, fields, _TEXT)
    if len({"sql", "pieces", "body"} & set(fields)) != 1:
        raise ValueError(f"{name}: a text is one of sql, pieces and body")
    pieces = fields.get("pieces", ())
    sql = fields.get("sql") or "".join(piece * times for piece, times in pieces)
    return Text(
        name,
        case,
        sql,
        fields.get("body"),
        tuple(fields.get("parameters", ())),
        fields.get("ask", {}),
        _outcome(name, fields["expected"]) if "expected" in fields else expected,
        fields.get("l1", {}),
        fields.get("hole", ""),
    )


def _outcome(name: str, raw: Any) -> str:
    if not isinstance(raw, str) or not _OUTCOME.fullmatch(raw):
        raise ValueError(f"{name}: an outcome is A, or R or F and a code")
    return raw


def _known(name: str, raw: dict[str, Any], known: frozenset[str]) -> None:
    unknown = set(raw) - known
    if unknown:
        raise ValueError(f"{name}: {', '.join(sorted(unknown))} is not known")
