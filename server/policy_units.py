"""What must hold for privacy units and the paths to them."""

from __future__ import annotations

from analyzer.catalog import Hop
from server.policy_file import PolicyFile, UnitFile
from server.policy_rules import HOP, UNIT_TYPES, Say, hops_of, keys_of, nearest


def check_units(file: PolicyFile, say: Say) -> None:
    """Says what is wrong with the privacy units; and with the paths, where the units are right."""
    if (file.privacy_unit is None) == (not file.privacy_units):
        say(
            ("privacy_unit",),
            "is missing" if not file.units else "and privacy_units exclude each other",
        )
        return
    at = "privacy_units" if file.privacy_units else "privacy_unit"
    if len({unit.table for unit in file.units}) < len(file.units):
        say((at,), "name a table twice")
        return
    fit = [_check_unit(file, unit, at, say) for unit in file.units]
    if not all(fit):
        return
    for name in file.tables:
        _check_path(file, name, say)
    for unit in file.units:
        _check_members(file, unit, at, say)


def _check_unit(file: PolicyFile, unit: UnitFile, where: str, say: Say) -> bool:
    """Whether the unit key is one that paths can lead to."""
    table = file.tables.get(unit.table)
    if table is None:
        known = list(file.tables)
        say((where, "table"), f"no table {unit.table!r}{nearest(unit.table, known)}")
        return False
    key = table.columns.get(unit.key)
    if key is None:
        known = list(table.columns)
        say((where, "key"), f"{unit.table} has no {unit.key!r}{nearest(unit.key, known)}")
        return False
    at = ("tables", unit.table, "columns", unit.key)
    if key.nullable:
        say(at, "the privacy unit's key must have nullable = false")
    if key.type.type not in UNIT_TYPES:
        names = ", ".join(kind.value for kind in UNIT_TYPES)
        say((*at, "type"), f"the privacy unit's key must be one of {names}")
        return False
    if not table.protected:
        say(("tables", unit.table, "protected"), "the privacy unit's own table must be protected")
    return table.protected


def _check_members(file: PolicyFile, unit: UnitFile, where: str, say: Say) -> None:
    """A unit with others in it says how many of them count; units lie one within another."""
    inside = [
        one.table
        for one in file.units
        if any(hop.table == unit.table for hop in hops_of(file.tables[one.table])[-1:])
    ]
    at = (where, "max_members_contributed")
    if inside and unit.max_members_contributed is None:
        say(at, f"is missing for {unit.table}: how many of {inside[0]} count of each?")
    if unit.max_members_contributed is not None and not inside:
        say(at, f"is of no use: no other unit lies within {unit.table}")
    if inside and file.tables[unit.table].path:
        say(("tables", unit.table, "path"), "must go: units lie one within another, not deeper")


def _check_path(file: PolicyFile, name: str, say: Say) -> None:
    """A protected table leads to a unit key over unique keys; a public one leads nowhere."""
    table, ends = file.tables[name], {unit.table: unit.key for unit in file.units}
    at, own = ("tables", name, "path"), name in ends
    if not table.protected or (own and len(ends) == 1):
        if table.path:
            kind = "the privacy unit's own table" if table.protected else "a public table"
            say(at, f"{kind} has no path; remove it")
        return
    unit = next(one for one in file.units if one.table != name)
    example = f'path = ["{unit.table}_{unit.key} -> {unit.table}.{unit.key}"]'
    if not table.path:
        if not own:
            say(at, f"is missing: how does a row lead to its owner? For instance {example}")
        return
    here = name
    for written in table.path:
        match = HOP.fullmatch(written)
        if match is None:
            say(at, f"{written!r} must be written like {example}")
            return
        hop = Hop(match[1], match[2], match[3])
        mistake = _hop_mistake(file, here, hop)
        if here in ends and here != name:
            mistake = f"must end at {here}.{ends[here]}, the first privacy unit that it reaches"
        if mistake:
            say(at, mistake)
            return
        here = hop.table
    if here == name or ends.get(hop.table) != hop.key:
        wanted = " or ".join(f"{one}.{key}" for one, key in ends.items() if one != name)
        say(at, f"must end at {wanted}, not at {hop.table}.{hop.key}")


def _hop_mistake(file: PolicyFile, here: str, hop: Hop) -> str:
    columns = file.tables[here].columns
    target = file.tables.get(hop.table)
    if hop.column not in columns:
        return f"{here} has no column {hop.column!r}{nearest(hop.column, list(columns))}"
    if target is None:
        return f"no table {hop.table!r}{nearest(hop.table, list(file.tables))}"
    if not target.protected:
        return f"{hop.table} is public, so it cannot lead to an owner"
    if hop.key not in target.columns:
        return f"{hop.table} has no column {hop.key!r}{nearest(hop.key, list(target.columns))}"
    if (hop.key,) not in keys_of(file, hop.table):
        return f'{hop.table}.{hop.key} must be unique: add unique = [["{hop.key}"]] to {hop.table}'
    kinds = {columns[hop.column].type.type, target.columns[hop.key].type.type}
    if len(kinds) > 1 and not all(kind.is_integer for kind in kinds):
        return f"{here}.{hop.column} and {hop.table}.{hop.key} have different types"
    if not kinds <= set(UNIT_TYPES):
        names = ", ".join(kind.value for kind in UNIT_TYPES)
        return f"{here}.{hop.column} must be one of {names} to lead to an owner"
    return ""
