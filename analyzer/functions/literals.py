"""Values that constants spell, in the spellings that PostgreSQL reads the same way.

Python reads more, such as weeks in dates and bars in numbers. What PostgreSQL would refuse, or read
as something else, is refused.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from uuid import UUID

from analyzer.catalog import Scalar
from analyzer.refusals import BadArgument
from analyzer.types import Type

_BLANK = " \t\n\r\v\f"
_NUMBER = re.compile(
    rf"[{_BLANK}]*[+-]?([0-9]{{1,100}}\.?[0-9]{{0,100}}|\.[0-9]{{1,100}})([eE][+-]?[0-9]{{1,3}})?"
    rf"[{_BLANK}]*"
)
_WHOLE = re.compile(rf"[{_BLANK}]*[+-]?[0-9]{{1,100}}[{_BLANK}]*")
_DAY = r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
_CLOCK = r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6}))?)?"
_ZONE = r"(Z|[+-](?:0[0-9]|1[0-5])(?::?[0-5][0-9])?)"
_DATE = re.compile(rf"{_DAY}(?: [+-](?:0[0-9]|1[0-5])(?::?[0-5][0-9])?)?")
"""Also as pgjdbc writes a date into a text; to PostgreSQL a date has no zone: it says nothing."""
_COMPACT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_TIME = re.compile(rf"{_DAY}(?:[ T]{_CLOCK} ?{_ZONE}?)?")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{24})")


def read_value(text: str, to: Type) -> Scalar:
    """The value that a constant's text denotes.

    Raises:
        BadArgument: it denotes none. The text is the analyst's own, so it may be repeated.
    """
    try:
        if to is Type.TEXT:
            return text
        if to.is_number:
            return _number(text, to)
        if to is Type.UUID:
            return _uuid(text)
        return _read(text.strip(_BLANK), to)
    except (ValueError, KeyError, InvalidOperation, OverflowError):
        raise BadArgument(
            f"'{text[:40]}' is not a value of type {to.value}.",
            hint="Dates are written '2020-12-31', booleans true or false, numbers plainly.",
        ) from None


def _number(text: str, to: Type) -> int | Decimal:
    if not (_WHOLE if to.is_integer else _NUMBER).fullmatch(text):
        raise ValueError
    return int(text) if to.is_integer else Decimal(text)


def _uuid(text: str) -> str:
    if not _UUID.fullmatch(text):
        raise ValueError
    return str(UUID(text))


def _read(text: str, to: Type) -> Scalar:
    match to:
        case Type.BOOL:
            return {"true": True, "t": True, "false": False, "f": False}[text.lower()]
        case Type.DATE:
            return _date(text)
        case Type.INTERVAL:
            raise ValueError
        case _:
            return _time(text)


def _date(text: str) -> date:
    found = _DATE.fullmatch(text) or _COMPACT.fullmatch(text)
    if found is None:
        raise ValueError
    year, month, day = found.groups()
    return date(int(year), int(month), int(day))


def _time(text: str) -> datetime:
    found = _TIME.fullmatch(text)
    if found is None:
        return datetime.combine(_date(text), time())
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    micro = int((fraction or "").ljust(6, "0"))
    clock = time(int(hour or 0), int(minute or 0), int(second or 0), micro, _zone(zone))
    return datetime.combine(date(int(year), int(month), int(day)), clock)


def _zone(text: str | None) -> tzinfo | None:
    if text is None:
        return None
    sign, digits = text[0], text[1:].replace(":", "").ljust(4, "0")
    if sign == "Z":
        return UTC
    shift = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-shift if sign == "-" else shift)
