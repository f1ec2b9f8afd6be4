"""The corpus is whole: every case of the catalogue, each carried out by something that exists."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.guarantee.attacks.corpus import CLASSES, HERE, Case, cases, every_case

ROOT = HERE.parents[2]
CATALOGUE = {
    "RAW": 19,
    "SEN": 37,
    "ERR": 19,
    "TIM": 11,
    "KEY": 14,
    "PAR": 27,
    "FUN": 17,
    "LED": 19,
    "NOI": 11,
    "WIR": 10,
}
"""How many cases the catalogue of attacks has in each class: 184 in all."""


@pytest.mark.parametrize("kind", CATALOGUE)
def test_every_case_of_the_catalogue_is_there(kind: str) -> None:
    assert [case.id for case in cases(kind)] == [
        f"{kind}-{number:02}" for number in range(1, CATALOGUE[kind] + 1)
    ]


def test_there_are_forty_cases_of_our_own_or_more() -> None:
    own = [case.id for case in cases("OWN")]
    assert own == [f"OWN-{number:02}" for number in range(1, len(own) + 1)]
    assert len(own) >= 40
    assert sum(CATALOGUE.values()) == 184
    assert len(every_case()) == 184 + len(own)


@pytest.mark.parametrize("kind", CLASSES)
def test_everything_that_a_case_names_exists(kind: str) -> None:
    missing = [
        f"{case.id}: {place}"
        for case in cases(kind)
        for place in [*(_here(check) for check in case.checks), *case.see]
        if not _exists(place)
    ]
    assert not missing


def test_every_check_of_this_folder_belongs_to_a_case() -> None:
    named = {check for case in every_case() for check in case.checks}
    files = (
        "ledger",
        "values",
        "errors",
        "http",
        "statements",
        "noise",
        "configuration",
        "own",
        "time",
    )
    found = {
        f"test_{file}::{name}"
        for file in files
        for name in _tests(str((HERE / f"test_{file}.py").relative_to(ROOT)))
    }
    assert found == named


def test_leaks_are_told_once_each() -> None:
    told = Counter(case.leak for case in every_case())
    assert [leak for leak, times in told.items() if times > 1] == []


@pytest.mark.parametrize("kind", CLASSES)
def test_oracles_have_something_to_judge(kind: str) -> None:
    """Requests that are answered are judged by T2 and T3, which needs to be said."""
    wrong = [case.id for case in cases(kind) if not _judged(case)]
    assert not wrong


def _judged(case: Case) -> bool:
    answered = [text for text in case.texts if text.answered]
    return (
        not answered
        or bool({"T2", "T3", "T5", "T6", "T7", "T8"} & set(case.oracles))
        or any(not text.answered for text in case.texts)
    )


def _here(check: str) -> str:
    file, _, name = check.partition("::")
    return f"{HERE.relative_to(ROOT)}/{file}.py::{name}"


def _exists(place: str) -> bool:
    file, _, name = place.partition("::")
    return (ROOT / file).is_file() and (not name or name in _tests(file))


@cache
def _tests(file: str) -> frozenset[str]:
    tree = ast.parse(Path(ROOT / file).read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    )
