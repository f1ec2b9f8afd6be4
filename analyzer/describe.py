"""Expressions in words for people: labels of draws and notices. Never run as SQL."""

from __future__ import annotations

from analyzer.expressions import Aggregate, Call, Constant, Exists, Expr, OverRows, Ref, Within


def describe(expression: Expr) -> str:
    """A short reading of an expression, with the data owner's names for columns."""
    if isinstance(expression, Ref):
        return expression.label or (expression.origin[1] if expression.origin else expression.name)
    if isinstance(expression, Constant):
        return "null" if expression.value is None else str(expression.value)
    if isinstance(expression, Aggregate):
        inner = ", ".join(describe(a) for a in expression.arguments) or "*"
        return f"{expression.name}({inner})"
    if isinstance(expression, Exists):
        return "exists (...)"
    if isinstance(expression, Within):
        return f"{describe(expression.value)} in (...)"
    parts = [describe(arg) for arg in expression.args]
    name = expression.function
    if isinstance(expression, OverRows):
        return f"{name}({', '.join(parts)}) over (...)"
    if name == "neg":
        return f"-{parts[0]}"
    if name == "case":
        whens = " ".join(
            f"when {a} then {b}" for a, b in zip(parts[:-1:2], parts[1:-1:2], strict=True)
        )
        return f"case {whens} else {parts[-1]} end"
    if name.startswith("cast"):
        target = f"numeric({expression.detail})" if name == "cast digits" else expression.detail
        return f"cast({parts[0]} as {target})"
    if name.startswith(("date ", "time ")):
        more = f" {name[5]} "
        return more.join(parts) if len(parts) > 1 else f"{parts[0]}{more}{expression.detail}"
    if name == "extract":
        return f"extract({expression.detail} from {parts[0]})"
    if name == "at time zone":
        return f"{parts[0]} at time zone {expression.detail}"
    if not name[0].isalpha() or name in ("and", "or", "like", "ilike") or "DISTINCT" in name:
        return f" {name.lower()} ".join(parts)
    if name.startswith("is "):
        return f"{parts[0]} {name}"
    return f"{name}({', '.join([*parts, *_static(expression)])})"


def _static(call: Call) -> list[str]:
    """Constant arguments that a call keeps beside its others; a rounding to 0 digits has none."""
    return [] if call.detail in ("", "0") else call.detail.replace(",", "").split()
