"""The data owner's policy file, read into a :class:`~analyzer.catalog.Catalog`.

What the file does not declare does not exist for an analyst. All mistakes of a file are said at
once, each with its line, its key path, and what would be right. The file is not compared with the
database here: that is ``server.policy_check``.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from decimal import Decimal
from enum import Enum
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from analyzer.asks import Ask, EpsilonAsk, RhoAsk
from analyzer.catalog import Catalog, Column, Limits, Most, PrivacyUnit, Table, View
from server import policy_rules as rules
from server.policy_file import (
    BudgetFile,
    BudgetsFile,
    ColumnFile,
    ContributionFile,
    LossesFile,
    LossFile,
    PolicyFile,
    TableFile,
    UnitFile,
    ViewFile,
)
from server.policy_lines import Path, key_lines, line_of
from server.policy_units import check_units
from server.policy_views import view_mistakes


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One thing wrong in a policy file."""

    line: int
    key: str
    """Dotted, as in ``tables.patients.columns.age.lower``; empty for the whole file."""
    message: str


class PolicyError(Exception):
    """The policy file cannot be used.

    Attributes:
        source: the file's name.
        mistakes: every one that was found, in the order of their lines.
    """

    def __init__(self, source: str, mistakes: list[Mistake]) -> None:
        self.source = source
        self.mistakes = tuple(sorted(set(mistakes)))
        super().__init__("\n".join(self.lines()))

    def lines(self) -> Iterator[str]:
        """``policy.toml:12: tables.labs.path: is missing ...``, one for each mistake."""
        for mistake in self.mistakes:
            key = f"{mistake.key}: " if mistake.key else ""
            yield f"{self.source}:{mistake.line}: {key}{mistake.message}"


def load_policy(path: FilePath | str) -> Catalog:
    """Reads a policy file.

    Raises:
        PolicyError: the file cannot be read, or holds mistakes; all of them are in it.
    """
    source = str(path)
    try:
        text = FilePath(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise PolicyError(source, [Mistake(1, "", f"cannot be read: {reason}")]) from None
    return parse_policy(text, source=source)


def parse_policy(text: str, *, source: str = "policy") -> Catalog:
    """Reads the text of a policy file; ``source`` names it in messages.

    Raises:
        PolicyError: the text holds mistakes; all of them are in it.
    """
    text = text.replace("\r\n", "\n")
    try:
        document = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(source, [_syntax_mistake(text, error)]) from None
    lines = key_lines(text)
    mistakes: list[Mistake] = []

    def say(path: Path, message: str) -> None:
        mistakes.append(Mistake(line_of(lines, path), ".".join(path), message))

    try:
        file = PolicyFile.model_validate(document)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            say(*_in_words(detail))
        raise PolicyError(source, mistakes) from None
    check_units(file, say)
    rules.check(file, say)
    if mistakes:
        raise PolicyError(source, mistakes)
    catalog = _catalog(file)
    mistakes = [Mistake(*found) for found in view_mistakes(catalog, text, lines)]
    if mistakes:
        raise PolicyError(source, mistakes)
    return catalog


def _syntax_mistake(text: str, error: tomllib.TOMLDecodeError) -> Mistake:
    """``tomllib`` ends its message in ``(at line 3, column 7)`` or ``(at end of document)``."""
    message, _, place = str(error).partition(" (at ")
    word = place.removeprefix("line ").split(",")[0]
    line = int(word) if word.isdigit() else text.count("\n") + 1
    return Mistake(line, "", f"is not TOML: {message[:1].lower()}{message[1:]}")


def _in_words(detail: ErrorDetails) -> tuple[Path, str]:
    """A pydantic error as a key path and a sentence."""
    # Numbers count the elements of a list; the key of the list is what has a line.
    path = tuple(part for part in detail["loc"] if isinstance(part, str))
    kind = detail["type"]
    if kind == "extra_forbidden":
        known = list(_part_at(path[:-1]).model_fields)
        return path, f"is no key of a policy{rules.nearest(path[-1], known)}"
    if "values" in path and kind != "list_type":
        index = path.index("values") + 1
        return path[:index], "must be a list of true, false, numbers, strings, dates or timestamps"
    if path and path[-1] == "[key]":
        path = path[:-1]
    known_kinds = {
        "missing": "is missing",
        "bool_type": "must be true or false",
        "string_type": "must be a string in quotes",
        "int_type": "must be a whole number",
        "list_type": "must be a list: [ ... ]",
        "dict_type": "must be a table",
        "model_type": "must be a table",
    }
    if kind in known_kinds:
        return path, known_kinds[kind]
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if kind in ("greater_than_equal", "less_than_equal"):
        message = f"must be {message}"
    return path, message


def _part_at(path: Path) -> type[BaseModel]:
    """The model of the part of a policy file that a path leads to."""
    if path[:1] == ("tables",) and len(path) > 1:
        return ColumnFile if path[2:3] == ("columns",) and len(path) > 3 else TableFile
    if path[:1] == ("views",) and len(path) > 1:
        return ViewFile
    if path[:1] == ("budgets",) and len(path) > 1:
        return BudgetFile
    if path[:1] == ("losses",) and len(path) > 1:
        return LossFile
    parts: dict[Path, type[BaseModel]] = {
        ("privacy_unit",): UnitFile,
        ("privacy_units",): UnitFile,
        ("contribution",): ContributionFile,
        ("budgets",): BudgetsFile,
        ("losses",): LossesFile,
    }
    return parts.get(path[:1], PolicyFile)


def _catalog(file: PolicyFile) -> Catalog:
    catalog = Catalog(
        dataset=file.dataset,
        units=tuple(_unit(file, unit) for unit in file.units),
        tables=MappingProxyType({name: _table(file, name) for name in file.tables}),
        max_rows_contributed=file.contribution.max_rows_contributed,
        max_groups_contributed=file.contribution.max_groups_contributed,
        default_ask=_default_ask(file.losses.default),
        most=Most(file.losses.maximum.epsilon, file.losses.maximum.delta, file.losses.maximum.rho),
        analyst_limits=Limits(file.budgets.analyst.epsilon, file.budgets.analyst.delta),
        dataset_limits=Limits(file.budgets.dataset.epsilon, file.budgets.dataset.delta),
        version="",
        description=file.description,
        max_keys=file.max_keys,
        min_error_scale=file.min_error_scale,
        views=MappingProxyType(
            {name: View(name, view.sql, view.description) for name, view in file.views.items()}
        ),
    )
    return replace(catalog, version=digest(catalog))


def _unit(file: PolicyFile, unit: UnitFile) -> PrivacyUnit:
    # What is written as the path of its table leads from one unit to the next.
    path = rules.hops_of(file.tables[unit.table])
    return PrivacyUnit(unit.table, unit.key, path, unit.max_members_contributed)


def _default_ask(default: LossFile) -> Ask:
    if default.rho is not None:
        return RhoAsk(default.rho, default.delta)
    assert default.epsilon is not None, "checked by the rules"
    return EpsilonAsk(default.epsilon, default.delta)


def _table(file: PolicyFile, name: str) -> Table:
    table = file.tables[name]
    relation = rules.relation_of(name, table)
    assert relation is not None, "checked by the rules"
    return Table(
        name=name,
        schema=relation[0],
        relation=relation[1],
        columns=MappingProxyType({key: _column(key, part) for key, part in table.columns.items()}),
        protected=table.protected,
        path=() if name in {unit.table for unit in file.units} else rules.hops_of(table),
        keys=rules.keys_of(file, name),
        max_rows_contributed=table.max_rows_contributed,
        max_groups_contributed=table.max_groups_contributed,
        unit_index=table.unit_index,
        description=table.description,
    )


def _column(name: str, column: ColumnFile) -> Column:
    values = column.values
    return Column(
        name=name,
        type=column.type.type,
        nullable=column.nullable,
        precision=column.type.precision,
        scale=column.type.scale,
        lower=rules.bound(column.lower, column),
        upper=rules.bound(column.upper, column, last=True),
        tick=column.tick,
        values=None
        if values is None
        else tuple(rules.canonical_value(value, column) for value in values),
        values_from=rules.values_from(column),
        description=column.description,
    )


def digest(catalog: Catalog) -> str:
    """SHA-256 of all that decides about answers, in hex: descriptions and the version are left out.

    The order of declared values counts, because answers list keys in it; that of tables does not.
    """
    body = json.dumps(_canonical(catalog), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(body.encode()).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {
            part.name: _canonical(getattr(value, part.name))
            for part in fields(value)
            if part.name not in ("description", "version")
            # A policy without them has the version that it had before there were any.
            and not (part.name in ("views", "unit_index") and not getattr(value, part.name))
        }
    if isinstance(value, Mapping):
        return {key: _canonical(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return [_canonical(part) for part in value]
    # The class is part of it: the number 1, true and the text "1" are different values.
    return None if value is None else [type(value).__name__, str(value)]
