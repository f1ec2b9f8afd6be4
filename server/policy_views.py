"""Views of a policy, bound like an analyst's subqueries, so a mistake shows before serving."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from analyzer.bind_relations import view_columns
from analyzer.catalog import Catalog
from analyzer.refusals import Refusal
from server.policy_lines import Path, line_of


def view_mistakes(
    catalog: Catalog, text: str, lines: Mapping[Path, int]
) -> Iterator[tuple[int, str, str]]:
    """What is wrong with the views of a catalog: the line, the key, and the words.

    Args:
        catalog: of the policy, otherwise without mistakes.
        text: the policy file.
        lines: of its keys, by ``key_lines``.
    """
    for view in catalog.views.values():
        path = ("views", view.name, "sql")
        first = line_of(dict(lines), path)
        if view.name in catalog.tables:
            yield first, ".".join(path[:2]), "is a table's name already; choose another"
            continue
        try:
            names = [column.name for column in view_columns(view, catalog)[1]]
        except Refusal as refusal:
            said = f"{refusal.message} {refusal.hint}".strip()
            yield first + _lines_down(view.sql, refusal, text, first), ".".join(path), said
            continue
        for name in names:
            if names.count(name) > 1 or name == "?column?":
                word = "has no name" if name == "?column?" else f'is called "{name}" twice'
                yield first, ".".join(path), f"a column {word}; name it with AS"
                break


def _lines_down(sql: str, refusal: Refusal, text: str, first: int) -> int:
    """How far below its key the refused place is; TOML drops a line's end after three quotes."""
    before = sql[: (refusal.position or 1) - 1]
    written = text.split("\n")[first - 1].rstrip()
    return before.count("\n") + written.endswith(('"""', "'''"))
