"""Units within units: how many members of one count.

A household has members, and both are protected. What a query measures of one member is bounded by
the member's rows alone, as everywhere; beside it, at most K members of a household count, chosen by
a keyed hash of the member's own key. So with ``L`` the norm of what one member contributes at most:

- Without one household, the contributions of its K members are gone: at most ``K * L``.
- Without one member who counts, those of the member are gone, and at most one other member of the
  same household takes the place: at most ``2 * L``. Without one who does not count, nothing
  changes.

Whoever else counts, counts for the same: contributions depend on a member's own rows, and choices
on the household's. So ``max(K, 2) * L`` bounds both, in the L1 and in the L2 norm, by the triangle
inequality. A group's number of people changes by K at most; and with one of the two databases on
each side, at most ``max(K, 2)`` times the groups of one member are in one of them only.

Members without a household do not count, as rows without an owner do not.
"""

from __future__ import annotations

from collections.abc import Sequence

from analyzer.catalog import PrivacyUnit
from analyzer.plan import SELECTION_KEY
from analyzer.printing import Printer, quoted, relation_name


def factor(around: PrivacyUnit | None) -> int:
    """By how much the bounds of one member grow."""
    return 1 if around is None else max(2, members(around))


def members(around: PrivacyUnit | None) -> int:
    """How many members of one unit may count together."""
    return 1 if around is None else around.max_members_contributed or 1


def counted_members(
    printer: Printer,
    rows: str,
    columns: Sequence[str],
    unit: PrivacyUnit,
    around: PrivacyUnit,
) -> str:
    """Rows of the members that count.

    Args:
        printer: collects the parameters.
        rows: SQL with the columns; ``owner`` is among them.
        columns: what is kept.
        unit: whose key ``owner`` is.
        around: the unit that they lie within.
    """
    table = printer.tables[unit.table]
    source, at = f"(\n{rows}\n) AS m JOIN {relation_name(table)} AS a0", "a0"
    source += f" ON {printer.leads('m.owner', 'a0', unit.table, unit.key)}"
    for step, hop in enumerate(unit.path[:-1], start=1):
        parent = relation_name(printer.tables[hop.table])
        on = printer.leads(f"{at}.{quoted(hop.column)}", f"a{step}", hop.table, hop.key)
        source, at = f"{source} JOIN {parent} AS a{step} ON {on}", f"a{step}"
    place = f"{at}.{quoted(unit.path[-1].column)}"
    secret = printer.parameter(SELECTION_KEY, "bigint")
    order = f"hash_record_extended(ROW(m.owner), {secret}), m.owner"
    member = f"dense_rank() OVER (PARTITION BY {place} ORDER BY {order}) AS member"
    ranked = f"SELECT m.*, {member} FROM {source} WHERE ({place} IS NOT NULL)"
    listed = ", ".join(f"w.{name}" for name in columns)
    return f"SELECT {listed} FROM (\n{ranked}\n) AS w WHERE (w.member <= {members(around)})"
