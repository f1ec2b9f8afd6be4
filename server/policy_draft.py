"""A first policy for a database, written from its catalog. Everything in it is commented out.

No row is read: a bound or a list of values taken from the data would give something of it away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from analyzer.catalog import Hop
from analyzer.types import Type
from server.engines.structure import Place, StoredColumn, StoredRelation, Structure, read_structure
from server.policy_file import IDENTIFIER, DeclaredType

_UNIT_TYPES = (Type.INT4, Type.INT8, Type.UUID, Type.TEXT)

_HEAD = """\
# A first policy for epsql, drafted from the database's own catalog. No data was read.
#
# It allows nothing yet: every setting is commented out. Uncomment what analysts may ask about, by
# removing the # at the start of the line. What stays commented out does not exist for them.
#
# Bounds and values are public. Take them from what anybody knows, never from the data.

# What analysts call it. Never change it later: the budget is kept under this name.
#dataset = "my_data"

# Whose presence is protected: all rows, in all tables, that lead to one value of this key.
{candidates}#[privacy_unit]
#table = "{table}"
#key = "{key}"

# How much of one owner an answer may use: rows in an answer, and groups.
#[contribution]
#max_rows_contributed = 20
#max_groups_contributed = 5

# What all answers together may cost: for each analyst, and for all analysts together.
#[budgets.analyst]
#epsilon = 3
#delta = "1e-6"
#[budgets.dataset]
#epsilon = 10
#delta = "1e-5"

# What one answer costs when the analyst says nothing, and the most that one may cost.
#[losses.default]
#epsilon = 0.25
#delta = "1e-9"
#[losses.maximum]
#epsilon = 1
#delta = "1e-7"
"""


def draft(dsn: str) -> str:
    """Writes a first policy, in which everything is commented out.

    The privacy unit is guessed: the table to which the most others lead by foreign keys.

    Raises:
        CannotRead: the database cannot be reached.
    """
    return draft_structure(read_structure(dsn))


def draft_structure(structure: Structure) -> str:
    """The same from a structure that was read before."""
    names = _names(structure)
    candidates = _candidates(structure)
    if not candidates:
        return (
            "# No table here can hold the privacy unit: one is needed with a PRIMARY KEY of one\n"
            "# column, of type integer, bigint, uuid or text.\n"
        )
    unit, paths = candidates[0]
    others = [names[place] for place, _ in candidates[1:]]
    hint = f"# It could also be: {', '.join(others)}.\n" if others else ""
    key = structure.relations[unit].unique[0][0]
    parts = [_HEAD.format(candidates=hint, table=names[unit], key=key)]
    for place, stored in structure.relations.items():
        lines = _table(stored, names, unit, paths.get(place, ()))
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _names(structure: Structure) -> dict[Place, str]:
    """What to call each table: by its own name, unless two schemas have it."""
    plain = [name for _, name in structure.relations]
    return {
        (schema, name): name if plain.count(name) == 1 else f"{schema}_{name}"
        for schema, name in structure.relations
    }


def _candidates(structure: Structure) -> list[tuple[Place, Mapping[Place, tuple[Hop, ...]]]]:
    """Tables with a key of one fit column, and how others lead there; most others first."""
    found = []
    for place, stored in structure.relations.items():
        if stored.unique and len(stored.unique[0]) == 1:
            column = stored.columns[stored.unique[0][0]]
            declared = _declared(column)
            if declared and declared.type in _UNIT_TYPES and column.not_null:
                found.append((place, _paths(structure, place)))
    return sorted(found, key=lambda candidate: -len(candidate[1]))


def _paths(structure: Structure, unit: Place) -> dict[Place, tuple[Hop, ...]]:
    """The shortest path of foreign keys from each table that has one to the unit's table."""
    names = _names(structure)
    paths: dict[Place, tuple[Hop, ...]] = {unit: ()}
    grown = True
    while grown:
        grown = False
        for place, stored in structure.relations.items():
            if place in paths:
                continue
            for key in stored.foreign_keys:
                if key.target not in paths or len(key.columns) != 1:
                    continue
                if key.target == unit and key.target_columns != structure.relations[unit].unique[0]:
                    continue
                hop = Hop(key.columns[0], names[key.target], key.target_columns[0])
                paths[place] = (hop, *paths[key.target])
                grown = True
                break
    del paths[unit]
    return paths


def _table(
    stored: StoredRelation, names: Mapping[Place, str], unit: Place, path: tuple[Hop, ...]
) -> Iterator[str]:
    name = names[stored.place]
    if not all(IDENTIFIER.fullmatch(part) for part in (name, *stored.place)):
        yield f"# {name!r} cannot be offered under this name; give it a plain one in a view."
        return
    yield f"# {'-' * max(4, 86 - len(name))} {name}"
    if stored.place != unit and not path:
        yield "# No foreign key leads from here to the privacy unit. If its rows are about nobody"
        yield "# in particular, declare it public with protected = false; otherwise write a path."
    yield f"#[tables.{name}]"
    yield f'#relation = "{".".join(stored.place)}"'
    if path:
        hops = ", ".join(f'"{hop.column} -> {hop.table}.{hop.key}"' for hop in path)
        yield f"#path = [{hops}]"
    keys = [key for key in stored.unique if all(stored.columns[part].not_null for part in key)]
    if keys:
        listed = ", ".join("[" + ", ".join(f'"{part}"' for part in key) + "]" for key in keys)
        yield f"#unique = [{listed}]"
    yield f"#[tables.{name}.columns]"
    linking = {part for key in keys for part in key}
    linking |= {part for key in stored.foreign_keys for part in key.columns}
    for column in stored.columns.values():
        yield from _column(column, links=column.name in linking)


def _column(column: StoredColumn, *, links: bool) -> Iterator[str]:
    if not IDENTIFIER.fullmatch(column.name):
        yield f"# {column.name!r} cannot be offered under this name; give it a plain one in a view."
        return
    try:
        declared = DeclaredType.read(column.type)
    except ValueError as mistake:
        yield f"# {column.name} ({column.type}) cannot be offered: {mistake}."
        return
    parts = [f'type = "{column.type}"']
    if column.not_null:
        parts.append("nullable = false")
    note = ""
    if declared.type.is_number and not links:  # nobody sums keys
        note = "  # lower = , upper = : needed for sums and averages"
    elif declared.type is Type.TEXT and not links:
        note = "  # values = [...], if they are public"
    yield f"#{column.name} = {{ {', '.join(parts)} }}{note}"


def _declared(column: StoredColumn) -> DeclaredType | None:
    try:
        return DeclaredType.read(column.type)
    except ValueError:
        return None
