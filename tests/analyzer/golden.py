"""Golden files: an analyst's SQL, and the whole plan or refusal that comes of it.

A file of ``tests/analyzer/fixtures`` holds cases between lines of ``=``::

    # Why the case exists.
    @epsilon 0.5
    SELECT count(*) FROM patients
    ------------------------------------------------------------
    what comes of it

Lines with ``@`` are optional: ``@epsilon``, ``@delta``, ``@rho``, ``@error``, ``@rows``, ``@groups``, ``@indexed`` (a table
with a unit index), ``@parameters`` (a Python tuple), and ``@finish yes`` to see the SQL over noisy values too. After a change that is
meant to alter what is printed, write the files anew and read the difference::

    python -m tests.analyzer.golden && git diff tests/analyzer
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from analyzer.analyze import analyze
from analyzer.asks import ask_of, error_bar_of
from analyzer.catalog import Catalog
from analyzer.plan import Block, PrivatePlan, QueryOptions, SelectionKey, Statement
from analyzer.refusals import Refusal

FIXTURES = Path(__file__).parent / "fixtures"
_CASE, _PART = "=" * 80, "-" * 80


@dataclass(frozen=True, slots=True)
class Case:
    why: str
    settings: tuple[tuple[str, str], ...]
    sql: str
    expected: str

    def outcome(self, catalog: Catalog) -> str:
        """What comes of the case now, as the file has it."""
        given = dict(self.settings)
        if "indexed" in given:
            catalog = indexed(catalog, given["indexed"])
        loss = {
            name: Fraction(given[name]) for name in ("epsilon", "rho", "delta") if name in given
        }
        error = error_bar_of(given["error"]) if "error" in given else None
        ask = ask_of(catalog.default_ask, **loss, error=error)
        options = QueryOptions(
            max_rows_contributed=int(given["rows"]) if "rows" in given else None,
            max_groups_contributed=int(given["groups"]) if "groups" in given else None,
        )
        parameters: tuple[Any, ...] = ast.literal_eval(given.get("parameters", "()"))
        try:
            plan = analyze(self.sql, catalog, ask=ask, parameters=parameters, options=options)
        except Refusal as refusal:
            return described_refusal(self.sql, refusal)
        return described_plan(plan, finish="finish" in given)


def indexed(catalog: Catalog, *names: str) -> Catalog:
    """The catalog with an index by owner on each of some tables."""
    found = {name: replace(catalog.tables[name], unit_index=True) for name in names}
    return replace(catalog, tables={**catalog.tables, **found})


def read(path: Path) -> list[Case]:
    """The cases of a file."""
    return [_case(part.strip("\n")) for part in path.read_text().split(_CASE) if part.strip()]


def _case(part: str) -> Case:
    head, _, expected = part.partition(_PART)
    lines = head.strip("\n").splitlines()
    why = " ".join(line[1:].strip() for line in lines if line.startswith("#"))
    settings = [line[1:].split(" ", 1) for line in lines if line.startswith("@")]
    sql = "\n".join(line for line in lines if line[:1] not in ("#", "@"))
    return Case(why, tuple((name, value) for name, value in settings), sql, expected.strip("\n"))


def write(path: Path, cases: Sequence[Case], catalog: Catalog) -> None:
    """Writes the file anew, with what comes of its cases now."""
    path.write_text(f"\n{_CASE}\n".join("\n".join(_lines(c, catalog)) for c in cases) + "\n")


def _lines(case: Case, catalog: Catalog) -> Iterator[str]:
    yield from (f"# {line}" for line in _wrapped(case.why))
    yield from (f"@{name} {value}" for name, value in case.settings)
    yield case.sql
    yield _PART
    yield case.outcome(catalog)


def _wrapped(text: str) -> Iterator[str]:
    line = ""
    for word in text.split():
        if len(line) + len(word) > 96:
            yield line
            line = ""
        line = f"{line} {word}".strip()
    yield line


def described_refusal(sql: str, refusal: Refusal) -> str:
    lines = [f"{type(refusal).__name__} {refusal.code}: {refusal.message}"]
    lines += [f"DETAIL: {refusal.detail}"] if refusal.detail else []
    lines += [f"HINT: {refusal.hint}"] if refusal.hint else []
    if refusal.position is not None:
        lines += _pointed(sql, refusal.position)
    return "\n".join(lines)


def _pointed(sql: str, position: int) -> list[str]:
    before, after = sql[: position - 1], sql[position - 1 :]
    start = before.rpartition("\n")[2]
    return [start + after.partition("\n")[0], " " * len(start) + "^"]


def described_plan(plan: PrivatePlan, *, finish: bool) -> str:
    lines: list[str] = []
    for block in plan.blocks:
        lines += _described_block(block)
    for column in plan.columns:
        of = f" from draws {list(column.draws)}" if column.noisy else ", exact"
        lines.append(f"column: {column.name} {column.type.value}{of}")
    lines += [f"notice: {notice}" for notice in plan.notices]
    for block in plan.blocks:
        lines += ["exact:", *_statement(block.exact)]
    lines += ["finish:", *_statement(plan.finish)] if finish else []
    return "\n".join(lines)


def _described_block(block: Block) -> Iterator[str]:
    how = "public" if block.public_keys else f"shown from {block.threshold} people on"
    types = ", ".join(kind.value for kind in block.key_types)
    yield f"keys: {types or 'none'}, {how}"
    for draw in block.draws:
        cells = ", ".join(f"c{cell}" for cell in draw.cells)
        most = draw.sensitivity
        yield (
            f"draw: {draw.label} in {cells}, steps of {draw.tick}, L1 {most.l1},"
            f" L2 squared {most.l2_squared}, {draw.noise.kind.value} of scale"
            f" {float(draw.noise.scale):.6g}, error bar {draw.error_bar}"
        )


def _statement(statement: Statement) -> list[str]:
    shown = [
        "the selection key" if isinstance(p, SelectionKey) else repr(p)
        for p in statement.parameters
    ]
    listed = [f"parameters: {', '.join(shown)}"] if shown else []
    return [*(f"    {line}" for line in statement.sql.splitlines()), *listed]


if __name__ == "__main__":
    from tests.fixture import catalog

    for path in sorted(FIXTURES.glob("*.txt")):
        write(path, read(path), catalog())
