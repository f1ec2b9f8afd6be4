"""The documentation says everything that there is, and nothing that there is not."""

from __future__ import annotations

import argparse
import re
import subprocess
import tomllib
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from sqlglot import exp

from analyzer import refusals
from analyzer.analyze import analyze
from analyzer.bind import bind
from analyzer.bind_expressions import AGGREGATES as AGGREGATE_NODES
from analyzer.expressions import Call, Expr, walk
from analyzer.functions import FUNCTIONS
from analyzer.parse import parse
from analyzer.refusals import NoMechanism, Refusal, UnknownColumn
from server.cli import parser
from server.demo_data import POLICY
from server.errors import TABLE
from server.policy import PolicyError, load_policy, parse_policy
from server.policy_file import PolicyFile
from server.settings import Settings
from server.web.application import create_app
from tests import fixture
from tests.pages import ROOT, anchors, blocks, links, pages, prose, table_rows

DOCS = ROOT / "docs"
CATALOG = load_policy(POLICY)
CLINIC = fixture.catalog()


def tracked() -> list[Path]:
    """The files of the repository; in a copy without git, all that are here."""
    done = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return [path for path in ROOT.rglob("*.*") if "/." not in path.as_posix()]
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


# -- links and words ------------------------------------------------------------------------------


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    for target in links(page):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert file.is_relative_to(ROOT), target
        if anchor:
            assert anchor in anchors(file), target


def test_every_page_is_reached_from_the_first():
    seen: set[Path] = set()
    todo = [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        todo += [
            (page.parent / target.partition("#")[0]).resolve()
            for target in links(page)
            if "://" not in target and not target.startswith("#")
        ]
    assert set(pages()) <= seen, [p.name for p in set(pages()) - seen]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_paths_that_are_named_exist(page):
    """``server/gateway.py`` in the text is a file of the repository."""
    rooms = "accountant|analyzer|mechanisms|server|migrations|tests|docs|examples|benchmarks"
    for name in re.findall(rf"`((?:{rooms})/[\w./-]+?)/?`", prose(page)):
        assert (ROOT / name).exists(), name


def test_no_file_names_a_place_of_a_machine_or_a_registry():
    places = re.compile(
        "|".join(
            [
                r"(?<![\w.])/(?:home|root|Users|work|mnt)/\w",
                r"\b(?:pypi|files\.python" + r"hosted|proxy\.golang)\.",
                r"--(?:extra-)?index-" + r"url[= ]",
            ]
        )
    )
    allowed = {"Dockerfile": "/home/epsql"}
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # compressed data
        text = text.replace(allowed.get(path.name, "\0"), "")
        if path.name in {"test_docs.py", "test_packaging.py"}:
            continue  # they name what they look for
        assert not places.findall(text), path.relative_to(ROOT)


# -- errors ---------------------------------------------------------------------------------------


def test_every_error_is_documented_as_it_is():
    rows = {row[0]: row[1:4] for row in table_rows(DOCS / "errors.md") if len(row) == 5}
    del rows["code"]
    wanted = {
        rule.code: [rule.sqlstate, str(rule.status), "yes" if rule.charged else "no"]
        for rule in TABLE.values()
    }
    assert rows == wanted


def test_the_fields_of_an_error_are_documented():
    rows = [row[0] for row in table_rows(DOCS / "errors.md") if len(row) == 2]
    assert rows[1:] == ["code", "sqlstate", "message", "detail", "hint", "position"]


def _refusals() -> set[str]:
    found = {kind for kind in vars(refusals).values() if isinstance(kind, type)}
    return {TABLE[kind].code for kind in found if issubclass(kind, Refusal) and kind is not Refusal}


def test_every_refusal_has_a_query_that_gets_it_and_one_that_works():
    """Whether they do is asked of a real server, in ``end_to_end``."""
    found = blocks(DOCS / "refusals.md", "sql")
    for refused, answered in zip(found[::2], found[1::2], strict=True):
        assert refused.words, refused
        assert set(answered.words) <= {"clinic"}, answered
    shown = {word for block in found for word in block.words} - {"clinic", "delta=0"}
    assert shown == _refusals() - {"too_complex"}
    sections = set(re.findall(r"^## (\w+)$", prose(DOCS / "refusals.md"), re.MULTILINE))
    assert sections == _refusals() | {"budget_exceeded"}


# -- SQL ------------------------------------------------------------------------------------------


def _functions() -> dict[str, str]:
    rows = table_rows(DOCS / "sql.md")
    at = next(i for i, row in enumerate(rows) if row[0] == "name")
    return {row[0]: row[2] for row in rows[at + 1 :] if len(row) == 4}


def test_every_function_is_listed():
    assert set(_functions()) == set(FUNCTIONS)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_the_example_of_a_function_uses_it(name):
    bound = _bound(_functions()[name])
    called = [e.function for e in walk(bound) if isinstance(e, Call)]
    called.remove("is not null")  # ours
    assert name in called


def _bound(example: str) -> Expr:
    """An example as a condition on the table that has its columns."""
    for catalog, table in (CATALOG, "patients"), (CLINIC, "patients"), (CLINIC, "visits"):
        sql = f"SELECT count(*) FROM {table} WHERE ({example}) IS NOT NULL"
        try:
            analyze(sql, catalog)
        except UnknownColumn:
            continue
        where = bind(parse(sql), catalog).aggregations[0].where
        assert where is not None
        return where
    raise AssertionError(example)


AGGREGATES = {
    "count(*)": "count(*)",
    "count(x)": "count(bmi)",
    "count(DISTINCT unit)": "count(DISTINCT id)",
    "count(DISTINCT x)": "count(DISTINCT age)",
    "sum(x)": "sum(age)",
    "sum(DISTINCT x)": "sum(DISTINCT age)",
    "avg(x)": "avg(age)",
    "min(x)": "min(age)",
    "max(x)": "max(age)",
    "var_samp(x)": "var_samp(age)",
    "variance(x)": "variance(age)",
    "var_pop(x)": "var_pop(age)",
    "stddev_samp(x)": "stddev_samp(age)",
    "stddev(x)": "stddev(age)",
    "stddev_pop(x)": "stddev_pop(age)",
    "percentile_cont(f) WITHIN GROUP (ORDER BY x)": "percentile_cont(0.5) WITHIN GROUP (ORDER BY age)",
    "percentile_disc(f) WITHIN GROUP (ORDER BY x)": "percentile_disc(0.5) WITHIN GROUP (ORDER BY age)",
    "covar_samp(y, x)": "covar_samp(age, bmi)",
    "covar_pop(y, x)": "covar_pop(age, bmi)",
    "corr(y, x)": "corr(age, bmi)",
    **{
        f"regr_{name}(y, x)": f"regr_{name}(age, bmi)"
        for name in ("count", "avgx", "avgy", "sxx", "syy", "sxy", "r2")
    },
    "regr_slope(y, x)": "regr_slope(age, bmi)",
    "regr_intercept(y, x)": "regr_intercept(age, bmi)",
    "grouping(key, ...)": "grouping(sex), count(*)",
    "mode": "mode() WITHIN GROUP (ORDER BY age)",
    "array_agg": "array_agg(sex)",
    "string_agg": "string_agg(sex, ',')",
    "bool_and": "bool_and(died)",
    "bool_or": "bool_or(died)",
}


def _aggregates() -> set[str]:
    """The first cells of the table; one cell may have several, each in quotes of its own."""
    text = prose(DOCS / "sql.md").partition("## Aggregates")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.*?`) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize("name", AGGREGATES)
def test_every_aggregate_is_listed_where_it_belongs(name):
    text = prose(DOCS / "sql.md")
    answered = _aggregates()
    (paragraph,) = re.findall(r"^These have no mechanism.*?\n\n", text, re.MULTILINE | re.DOTALL)
    refused = set(re.findall(r"`([^`]+)`", paragraph))
    grouped = " GROUP BY sex" if name.startswith("grouping") else ""
    try:
        analyze(f"SELECT {AGGREGATES[name]} FROM patients{grouped}", CATALOG)
    except NoMechanism:
        assert name in refused
        assert name not in answered
    else:
        assert name in answered
        assert name not in refused


def test_no_aggregate_is_missing():
    kinds: list[Any] = [kind for kind in AGGREGATE_NODES if issubclass(kind, exp.Func)]
    known = {kind.sql_names()[0].lower() for kind in kinds}
    written = {re.split(r"[( ]", form)[0] for form in AGGREGATES.values()}
    names = {"variance_pop": "var_pop", "logical_and": "bool_and", "logical_or": "bool_or"}
    assert {names.get(name, name) for name in known} <= written
    assert _aggregates() <= set(AGGREGATES)


# -- settings, policies, commands, routes ---------------------------------------------------------


def test_every_setting_is_documented():
    rows = {row[0]: row[1:] for row in table_rows(DOCS / "settings.md")}
    wanted = {f"EPSQL_{name.upper()}": field for name, field in Settings.model_fields.items()}
    assert {name for name in rows if name.startswith("EPSQL_")} == set(wanted)
    for name, field in wanted.items():
        default, meaning = rows[name][0], rows[name][1]
        if field.is_required():
            assert default == "required", name
        elif field.default is None:
            assert default == "none", name
        else:
            shown = getattr(field.default, "value", field.default)
            assert default == f"{shown}", name
        assert len(meaning) > 20, name
    everywhere = " ".join(page.read_text() for page in pages())
    named = set(re.findall(r"EPSQL_[A-Z_]+", everywhere))
    assert named <= set(wanted) | {
        "EPSQL_URL",
        "EPSQL_TOKEN",
        "EPSQL_ADMIN_TOKEN",
        "EPSQL_PSQL",
        "EPSQL_",
    }


def _keys(model: type[BaseModel], at: str = "") -> Iterator[tuple[str, bool]]:
    """The key paths of a policy file, ``<...>`` for a name that the owner chooses."""
    for name, field in model.model_fields.items():
        kind: Any = field.annotation
        path = f"{at}{name}"
        if typing.get_origin(kind) is dict:
            path, kind = f"{path}.<{name[:-1]}>", typing.get_args(kind)[1]
        elif _file_in(kind) is not None:  # a part that may be missing, or come several times
            kind = _file_in(kind)
        if _is_file(kind):
            yield from _keys(kind, f"{path}.")
        else:
            yield path, field.is_required()


def _file_in(kind: Any) -> Any:
    """The part that a list or an option holds."""
    return next((one for one in typing.get_args(kind) if _is_file(one)), None)


def _is_file(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel) and kind.__name__.endswith("File")


def test_every_key_of_a_policy_is_documented():
    rows = {row[0]: row for row in table_rows(DOCS / "policy.md") if len(row) == 4}
    rows.pop("key")
    wanted = dict(_keys(PolicyFile))
    assert len(wanted) > 25
    assert set(rows) == set(wanted)
    for name, required in wanted.items():
        assert (rows[name][2] == "required") == required, name


def test_the_mistake_on_the_page_about_policies_is_said_like_that():
    (block,) = blocks(DOCS / "policy.md", "text")
    lines = POLICY.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("path = "))
    lines[at] = ""
    with pytest.raises(PolicyError) as caught:
        parse_policy("\n".join(lines), source="clinic.toml")
    (said,) = caught.value.lines()
    assert re.sub(r":\d+:", ":N:", said) == re.sub(r":\d+:", ":N:", block.text)


def _commands(top: argparse.ArgumentParser, at: str = "epsql") -> Iterator[str]:
    groups = [a for a in top._actions if isinstance(a, argparse._SubParsersAction)]
    if not groups or top.get_default("run"):
        yield at
        for action in top._actions:
            yield from (f"{at} {o}" for o in action.option_strings if o.startswith("--"))
    for group in groups:
        for name, command in group.choices.items():
            yield from _commands(command, f"{at} {name}")


def test_every_command_is_documented():
    rows = [row[0] for row in table_rows(DOCS / "operations.md") if row[0].startswith("epsql ")]
    wanted = {c for c in _commands(parser()) if not c.endswith("--help")}
    commands = {c for c in wanted if "--" not in c}
    documented = {" ".join(w for w in row.split() if re.fullmatch("[a-z]+", w)) for row in rows}
    assert documented == commands
    for option in wanted - commands:
        command, _, name = option.partition(" --")
        (row,) = [r for r in rows if r == command or r.startswith(f"{command} ")]
        assert f"--{name}" in row, option


def test_every_route_is_documented():
    services: Any = types.SimpleNamespace(observe=lambda _: None)
    paths = create_app(services).openapi()["paths"]
    wanted = {(m.upper(), path) for path, methods in paths.items() for m in methods}
    rows = {(row[0], row[1]) for row in table_rows(DOCS / "http.md") if len(row) == 3}
    assert {row for row in rows if row[0].isupper()} == wanted
    shown = set()
    for block in blocks(DOCS / "http.md", "http"):
        method, path = block.text.partition("\n")[0].split()
        (template,) = [
            t
            for m, t in wanted
            if m == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", t), path.partition("?")[0])
        ]
        shown.add((method, template))
    assert shown == wanted


def test_the_fields_of_a_query_are_documented():
    from server.web.queries import QuestionBody

    text = (DOCS / "http.md").read_text().partition("## Asking")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert rows == list(QuestionBody.model_fields)


def test_the_make_targets_that_are_named_exist():
    makefile = (ROOT / "Makefile").read_text()
    for page in pages():
        for target in re.findall(r"\bmake ([a-z][a-z-]*)\b(?=`|$| +[A-Z#])", page.read_text()):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page.name}: make {target}"


def test_the_version_is_in_the_changelog():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert project["version"] == headings[0]


def test_decisions_are_numbered_and_say_the_same_things():
    found = sorted((DOCS / "decisions").glob("[0-9]*.md"))
    numbers = [int(p.name[:4]) for p in found]
    assert len(set(numbers)) == len(numbers)
    index = (DOCS / "decisions" / "README.md").read_text()
    for path in found:
        text = path.read_text()
        assert text.startswith(f"# {path.name[:4]}: "), path.name
        for part in ("Status:", "**Context.**", "**Decision.**", "**Consequences.**"):
            assert part in text, (path.name, part)
        assert path.name in index
