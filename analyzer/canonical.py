"""One text for all expressions that mean the same, as far as order and notation go.

Printed expressions hold their parameters and aliases as marks with the value or the name in them,
so that texts can be compared and put in order before anything is numbered. Operands of commutative
operations, conditions of AND and OR, and the sides of comparisons are printed in the order of their
texts; numbers in comparisons without the zeros that make no difference to them. Marks are numbered
last, in order of appearance: equal texts have equal numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Context, Decimal

from analyzer.expressions import Call, Constant, Expr
from analyzer.functions.base import constant
from analyzer.plan import Parameter, Statement

_ALIAS, _VALUE = "\x01", "\x02"
_MARK = re.compile(
    f"{_ALIAS}([^{_ALIAS}]*){_ALIAS}|{_VALUE}([^{_VALUE}]*){_VALUE}(?= AS ([a-z ]+))"
)
_DEFINED = re.compile(f" AS {_ALIAS}([^{_ALIAS}]*){_ALIAS}")
_OURS = re.compile(r"t[0-9]+")
_TURNED = {
    "=": "=",
    "<>": "<>",
    "<": ">",
    "<=": ">=",
    ">": "<",
    ">=": "<=",
    "IS DISTINCT FROM": "IS DISTINCT FROM",
    "IS NOT DISTINCT FROM": "IS NOT DISTINCT FROM",
}
"""Comparisons, and what they are with their sides exchanged."""
_COMMUTATIVE = frozenset({"+", "*"})
_EXACT = Context(prec=100)
"""Constants have up to 61 digits; Python's own context would round them to 28."""


def alias_mark(alias: str, ranks: dict[str, int]) -> str:
    """What stands for an alias of the binder's; its numbers follow the order of the text.

    ``ranks`` puts such aliases in order; those that are not there come next.
    """
    if not _OURS.fullmatch(alias):
        return alias
    return f"{_ALIAS}t{ranks.setdefault(alias, len(ranks)):0>4}{_ALIAS}"


def value_mark(value: Parameter) -> str:
    """What stands for a parameter. Two values have one mark only if they are the same."""
    # In ASCII there is no control character, so no value can look like a mark, or like its end.
    return f"{_VALUE}{value!a}{_VALUE}"


def numbered(text: str, values: Mapping[str, Parameter], first: int) -> Statement:
    """The statement, its marks numbered in order of first appearance.

    A value that is cast to the same type again has the same number: a list of public values stands
    in each part of a statement, and PostgreSQL takes no more than 65,535 parameters.

    Args:
        text: with marks.
        values: of all parameters, by their marks.
        first: the number of the first parameter.
    """
    names: dict[str, str] = {}
    numbers: dict[tuple[str, str], int] = {}
    # Plain text, and after each piece of it an alias, or a value and its type.
    pieces = _MARK.split(text)
    for i in range(1, len(pieces), 4):
        alias, value, type_ = pieces[i : i + 3]
        if alias is not None:
            pieces[i] = names.setdefault(alias, f"t{len(names)}")
        else:
            pieces[i] = f"${numbers.setdefault((value, type_), first + len(numbers))}"
        pieces[i + 1] = pieces[i + 2] = ""
    found = tuple(values[f"{_VALUE}{value}{_VALUE}"] for value, _ in numbers)
    return Statement("".join(pieces), found)


def order(text: str) -> str:
    """What printed texts are put in order by: aliases that a text defines do not count."""
    own = set(_DEFINED.findall(text))
    if not own:
        return text
    names: dict[str, str] = {}

    def local(found: re.Match[str]) -> str:
        if found[1] not in own:
            return found[0]
        return names.setdefault(found[1], f"{_ALIAS}{len(names)}{_ALIAS}")

    return _MARK.sub(local, text)


_NOT = {
    "=": "<>",
    "<>": "=",
    "<": ">=",
    ">=": "<",
    ">": "<=",
    "<=": ">",
    "IS DISTINCT FROM": "IS NOT DISTINCT FROM",
    "IS NOT DISTINCT FROM": "IS DISTINCT FROM",
    "is null": "is not null",
    "is not null": "is null",
    "and": "or",
    "or": "and",
}
"""What NOT makes of a condition, also where it is NULL: values of a type have one order, in which
NaN is the largest, so one of ``<`` and ``>=`` holds. NOT goes to the parts of AND and OR."""


def plain_form(call: Call) -> Expr:
    """The call, without NOT where other words say the same."""
    return _negated(call.args[0], call) if call.function == "not" else call


def _negated(condition: Expr, call: Call) -> Expr:
    """The opposite of a condition; ``call`` is NOT over it, or over one like it."""
    if not isinstance(condition, Call):
        return replace(call, args=(condition,))
    if condition.function == "not":
        inner = condition.args[0]
        return plain_form(inner) if isinstance(inner, Call) else inner
    opposite = _NOT.get(condition.function)
    if opposite is None:
        return replace(call, args=(condition,))
    args = condition.args
    if opposite in {"and", "or"}:
        args = tuple(_negated(arg, call) for arg in args)
    return replace(condition, function=opposite, args=args)


def operands(call: Call) -> Sequence[Expr]:
    """The arguments to print: for AND and OR all that stand in a chain of them, and in comparisons
    plain numbers."""
    if call.function in ("and", "or"):
        return chain(call.function, call)
    if call.function in _TURNED:
        return [_plain(arg) for arg in call.args]
    return call.args


def chain(function: str, expression: Expr) -> list[Expr]:
    """What stands in a chain of AND, or of OR."""
    expression = plain_form(expression) if isinstance(expression, Call) else expression
    if isinstance(expression, Call) and expression.function == function:
        return [one for arg in expression.args for one in chain(function, arg)]
    return [expression]


def _plain(expression: Expr) -> Expr:
    """A decimal as the shortest number that is equal to it."""
    value = expression.value if isinstance(expression, Constant) else None
    if not isinstance(value, Decimal):
        return expression
    if value == value.to_integral_value() and abs(value) < 2**63:
        return constant(int(value))
    return constant(value.normalize(_EXACT), expression.type)


def in_order(call: Call, args: Sequence[Expr], texts: Sequence[str]) -> tuple[Call, Sequence[str]]:
    """The call with its operands, and their texts, in the one order that they are printed in."""
    if call.function in ("and", "or"):
        return call, sorted(set(texts), key=order)
    if call.function == "coalesce":
        first = dict(zip(reversed(texts), reversed(args), strict=True))
        texts = list(dict.fromkeys(texts))
        return replace(call, args=tuple(first[text] for text in texts)), texts
    turned = _TURNED.get(call.function)
    if turned is None:
        numbers = call.function in _COMMUTATIVE and all(arg.type.is_number for arg in args)
        if not numbers:
            return call, texts
        turned = call.function
    if order(texts[1]) < order(texts[0]):
        return replace(call, function=turned, args=tuple(args[::-1])), texts[::-1]
    same = all(one is other for one, other in zip(args, call.args, strict=True))
    return call if same else replace(call, args=tuple(args)), texts
