"""Bytes of a request to a typed value: strictly, or not at all.

JSON leaves room for two readers to differ: the same key twice, numbers that a float cannot hold,
NaN, keys that nobody knows. Where money is debited nothing may be left to the reader, so each of
these is refused. Numbers are never floats here.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Annotated, Any, NoReturn, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationError, WithJsonSchema
from starlette.requests import ClientDisconnect

from accountant.losses import DELTA_STEPS, EPSILON_STEPS
from analyzer.asks import ErrorBar, error_bar_of
from analyzer.catalog import Given, Scalar
from server.errors import BodyTooLarge, Cancelled, MalformedJson, NotJson, RequestRefused
from server.web.services import services_of

_LONGEST_NUMBER = 60
_LARGEST_EXPONENT = 100
_LOSS = re.compile(r"(0|[1-9][0-9]{0,8})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?")


class Body(BaseModel):
    """The base of all request bodies: no unknown field, no conversion between types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Model = TypeVar("Model", bound=Body)


async def read(request: Request, model: type[Model]) -> Model:
    """The body of a request as a model.

    Raises:
        NotJson, BodyTooLarge, MalformedJson, RequestRefused: it is not one.
        Cancelled: the sender went away in the middle of it.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise NotJson(
            "The body must be JSON.", hint="Send the header: Content-Type: application/json."
        )
    value = parse(await _bytes(request, services_of(request).body_bytes))
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise refusal_of(error.errors(include_url=False, include_input=False)) from None


async def _bytes(request: Request, most: int) -> bytes:
    """The body, counted while it comes in: what is too large is never held."""
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > most:
        _too_large(most)
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                _too_large(most)
    except ClientDisconnect:
        raise Cancelled from None
    return bytes(body)


def _too_large(most: int) -> NoReturn:
    raise BodyTooLarge(f"The body is larger than {most} bytes.")


def parse(body: bytes) -> Any:
    """One JSON value, with integers as ``int`` and all other numbers as exact ``Decimal``.

    Raises:
        MalformedJson: it is not JSON, or says the same key twice.
        RequestRefused: a number is longer than any that is needed.
    """
    try:
        return json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_distinct,
            parse_int=_integer,
            parse_float=_decimal,
            parse_constant=_no_constant,
        )
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedJson("The body is not a JSON value that can be read.") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise MalformedJson("An object in the body says the same key twice.")
    return result


def _integer(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise RequestRefused(f"A number in the body has more than {_LONGEST_NUMBER} characters.")
    return int(text)


def _decimal(text: str) -> Decimal:
    if len(text) > _LONGEST_NUMBER:
        raise RequestRefused(f"A number in the body has more than {_LONGEST_NUMBER} characters.")
    try:
        value = Decimal(text)
    except InvalidOperation:  # an exponent that no Decimal holds
        value = None
    if value is None or abs(value.adjusted()) > _LARGEST_EXPONENT:
        raise RequestRefused(
            f"A number in the body is beyond 1e{_LARGEST_EXPONENT} or 1e-{_LARGEST_EXPONENT}."
        )
    return value


def _no_constant(_: str) -> NoReturn:
    raise RequestRefused("NaN and Infinity are not numbers here.")


def refusal_of(errors: Any) -> RequestRefused:
    """Pydantic's complaints in one refusal. The places and the rules, never the values."""
    complaints = [_complaint(error) for error in errors]
    hint = "See /docs for what this request takes."
    return RequestRefused(complaints[0], detail=" ".join(complaints[1:6]), hint=hint)


def _complaint(error: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in error["loc"] if part not in ("body", "query", "path"))
    words = {
        "extra_forbidden": "is not a field of this request",
        "missing": "is missing",
    }.get(error["type"])
    if words is None:
        text = str(error["msg"]).removeprefix("Value error, ")
        words = f"is wrong: {text[:1].lower()}{text[1:]}"
    return f"{place[:100] or 'The body'} {words.rstrip('.')}."


def exact_loss(value: object, steps: int) -> Fraction:
    """A loss as written, in decimal digits, as an exact rational of at least one ledger step.

    Raises:
        ValueError: it is not a JSON number or a decimal string, or below what the ledger counts.
    """
    if isinstance(value, bool) or not isinstance(value, (int, Decimal, str)):
        raise ValueError("must be a number or a decimal string such as 0.1")
    if not _LOSS.fullmatch(str(value)):
        raise ValueError("must be a positive decimal number such as 0.1 or 1e-9")
    exact = Fraction(str(value))
    if 0 < exact < Fraction(1, steps):
        raise ValueError(f"must be at least {Decimal(1) / steps:e}")
    return exact


def _above_zero(value: object) -> Fraction:
    exact = exact_loss(value, EPSILON_STEPS)
    if exact == 0:
        raise ValueError("must be greater than zero")
    return exact


def _error(value: object) -> ErrorBar:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal, str)):
        raise ValueError("must be a number, or a string such as 5% of 20000")
    return error_bar_of(f"{value:f}" if isinstance(value, Decimal) else str(value))


def _delta(value: object) -> Fraction:
    exact = exact_loss(value, DELTA_STEPS)
    if exact >= 1:
        raise ValueError("must be less than one")
    return exact


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("must not hold a NUL character or half of a surrogate pair")
    return value


def _scalar(value: object) -> Scalar | None:
    if value is None or isinstance(value, (bool, int, Decimal)):
        return value
    if isinstance(value, str):
        return _text(value)
    raise ValueError("must be a string, a number, true, false, null, or a list of these")


def _parameter(value: object) -> Given:
    return tuple(map(_scalar, value)) if isinstance(value, list) else _scalar(value)


_NUMBER = {"anyOf": [{"type": "string"}, {"type": "number"}]}
Epsilon = Annotated[Fraction, PlainValidator(_above_zero), WithJsonSchema(_NUMBER)]
Delta = Annotated[Fraction, PlainValidator(_delta), WithJsonSchema(_NUMBER)]
Rho = Annotated[Fraction, PlainValidator(_above_zero), WithJsonSchema(_NUMBER)]
Error = Annotated[ErrorBar, PlainValidator(_error), WithJsonSchema(_NUMBER)]
Text = Annotated[str, PlainValidator(_text), WithJsonSchema({"type": "string"})]
_SCALARS = ["string", "number", "boolean", "null"]
Parameter = Annotated[
    Given,
    PlainValidator(_parameter),
    WithJsonSchema({"type": [*_SCALARS, "array"], "items": {"type": _SCALARS}}),
]
