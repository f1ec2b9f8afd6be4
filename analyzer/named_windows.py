"""``WINDOW w AS (...)``: windows that have a name, and those built on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp

from analyzer.refusals import SyntaxRefused
from analyzer.scope import name_of
from analyzer.syntax import only, position_of


@dataclass(frozen=True, slots=True)
class WindowParts:
    """What stands in the parentheses of OVER, once every name is looked up."""

    partition: tuple[exp.Expression, ...] = ()
    order: exp.Expression | None = None
    frame: exp.Expression | None = None


def named_windows(tree: exp.Expression) -> Mapping[str, WindowParts]:
    """The windows that a SELECT names; each may be built on those before it.

    Raises:
        SyntaxRefused: a name twice, or never used.
    """
    found: dict[str, WindowParts] = {}
    for node in tree.args.get("windows") or []:
        name = name_of(node.this)
        if name in found:
            raise SyntaxRefused(f'The window "{name}" is defined twice.')
        found[name] = parts_of(node, found)
    used = {name_of(w.args["alias"]) for w in tree.find_all(exp.Window) if w.args.get("alias")}
    for name in found:
        if name not in used:
            raise SyntaxRefused(f'The window "{name}" is not used.', hint="Leave it out.")
    return found


def parts_of(node: exp.Expression, known: Mapping[str, WindowParts]) -> WindowParts:
    """The parts of a window, by PostgreSQL's rules for those built on another: its own ORDER BY
    only where the other has none, and no frame in the other, unless it is used as it is.

    Raises:
        SyntaxRefused: there is no window of that name, or it may not be built on so.
    """
    only(node, "this", "partition_by", "order", "spec", "over", "alias")
    own = WindowParts(
        tuple(node.args.get("partition_by") or ()), node.args.get("order"), node.args.get("spec")
    )
    alias = node.args.get("alias")
    if alias is None:
        return own
    name = name_of(alias)
    base = known.get(name)
    if base is None:
        raise SyntaxRefused(f'There is no window "{name}" before this one.')
    if own == WindowParts():
        return base
    if own.partition or (own.order is not None and base.order is not None):
        raise SyntaxRefused(
            f'The window "{name}" has its own PARTITION BY and ORDER BY.',
            position=position_of(node),
        )
    if base.frame is not None:
        raise SyntaxRefused(
            f'No window is built on "{name}", which has a frame.',
            hint="Put the frame where the window is used.",
        )
    return WindowParts(base.partition, own.order or base.order, own.frame)
