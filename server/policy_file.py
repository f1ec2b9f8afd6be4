"""The shape of a policy file: pydantic models that read what the data owner wrote, and no more.

Nothing is coerced and unknown keys are refused. What depends on more than one value is checked in
``server.policy_rules``.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator

from analyzer.types import Type

_MAX_EXPONENT = 40
"""1e41 is no bound of anything, and 10 to a large power is no number to hold in memory."""

IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}")
"""Names that mean the same with and without quotes."""

_TYPES = {
    "boolean": Type.BOOL,
    "bool": Type.BOOL,
    # Every smallint is an integer; an expression over it is then one type less to think of.
    "smallint": Type.INT4,
    "int2": Type.INT4,
    "integer": Type.INT4,
    "int": Type.INT4,
    "int4": Type.INT4,
    "bigint": Type.INT8,
    "int8": Type.INT8,
    "numeric": Type.NUMERIC,
    "decimal": Type.NUMERIC,
    "double precision": Type.FLOAT8,
    "float8": Type.FLOAT8,
    "text": Type.TEXT,
    "varchar": Type.TEXT,
    "character varying": Type.TEXT,
    "date": Type.DATE,
    "timestamp": Type.TIMESTAMP,
    "timestamp without time zone": Type.TIMESTAMP,
    "timestamptz": Type.TIMESTAMPTZ,
    "timestamp with time zone": Type.TIMESTAMPTZ,
    "uuid": Type.UUID,
}

_REFUSED = {
    "real": "real keeps about six digits, so a sum of it has no exact grid; offer the column as "
    '"double precision" through a view that casts it',
    "money": "money depends on the server's locale; offer it as numeric(12,2) through a view",
    "citext": "citext compares without regard to case; offer it as text through a view",
    "character": "character(n) pads with blanks that comparisons ignore; offer it as text through "
    "a view",
}
_REFUSED |= {
    "float4": _REFUSED["real"],
    "char": _REFUSED["character"],
    "bpchar": _REFUSED["character"],
}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _exact(value: Any) -> Fraction:
    """A number as written, never through a float."""
    if isinstance(value, str):
        try:
            value = Decimal(value) if re.fullmatch(r"[0-9eE+.-]{1,60}", value) else None
        except InvalidOperation:
            value = None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError('must be a number, such as 0.1 or "1e-9"')
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError("must be finite; nan and inf are no bounds")
    if number and abs(number.adjusted()) > _MAX_EXPONENT:
        raise ValueError(f"must be zero or between 1e-{_MAX_EXPONENT} and 1e{_MAX_EXPONENT}")
    return Fraction(number)


_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9:.+Z-]+)?")


def _bound(value: Any) -> Fraction | date:
    """A number, a date or a time; the latter two with or without quotes."""
    if isinstance(value, str) and _ISO_DATE.fullmatch(value):
        try:
            return date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{value!r} is no day of the calendar") from None
    return value if isinstance(value, date) else _exact(value)


def _identifier(name: str) -> str:
    if not IDENTIFIER.fullmatch(name):
        raise ValueError(
            "must be a plain lower-case SQL name: a letter or _, then letters, digits and _; "
            "for other names make a view"
        )
    return name


Exact = Annotated[Fraction, PlainValidator(_exact)]
Bound = Annotated[Fraction | date, PlainValidator(_bound)]
Identifier = Annotated[str, AfterValidator(_identifier)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]


class DeclaredType(BaseModel):
    """``"numeric(6,1)"`` taken apart."""

    model_config = ConfigDict(frozen=True)

    type: Type
    precision: int | None = None
    scale: int | None = None

    @classmethod
    def read(cls, written: Any) -> DeclaredType:
        """Reads a Postgres type name.

        Raises:
            ValueError: epsql does not know the type; the text says what to do instead.
        """
        if not isinstance(written, str):
            raise ValueError(f"must be the name of a type: {_known_types()}")
        match = re.fullmatch(r"([a-z0-9 ]+?)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?", written)
        name = match[1] if match else written
        if name in _REFUSED:
            raise ValueError(_REFUSED[name])
        if match is None or name not in _TYPES:
            raise ValueError(f"{written!r} is no type that epsql knows; it knows {_known_types()}")
        kind = _TYPES[name]
        first, second = (int(digits) if digits else None for digits in match.groups()[1:])
        if first is None:
            return cls(type=kind)
        if kind is Type.NUMERIC and 1 <= first <= 1000 and (second or 0) <= first:
            return cls(type=kind, precision=first, scale=second or 0)
        if name in ("varchar", "character varying") and first >= 1 and second is None:
            return cls(type=kind)
        raise ValueError(f'{written!r} is no such type; write it like "numeric(6,1)" or "text"')


def _known_types() -> str:
    return ", ".join(sorted({kind.value for kind in _TYPES.values()}))


class ColumnFile(_Part):
    type: Annotated[DeclaredType, PlainValidator(DeclaredType.read)]
    nullable: bool = True
    lower: Bound | None = None
    upper: Bound | None = None
    tick: Exact | None = None
    values: list[bool | int | Decimal | str | date | datetime] | None = None
    values_from: str | None = None
    description: str = ""


class TableFile(_Part):
    relation: str | None = None
    protected: bool = True
    path: list[str] = []
    unique: list[list[str]] = []
    max_rows_contributed: Count | None = None
    max_groups_contributed: Count | None = None
    unit_index: bool = False
    description: str = ""
    columns: dict[Identifier, ColumnFile]


class ViewFile(_Part):
    sql: str
    description: str = ""


class UnitFile(_Part):
    table: str
    key: str
    max_members_contributed: Count | None = None


class ContributionFile(_Part):
    max_rows_contributed: Count
    max_groups_contributed: Count


class BudgetFile(_Part):
    epsilon: Exact
    delta: Exact = Fraction(0)


class BudgetsFile(_Part):
    analyst: BudgetFile
    dataset: BudgetFile


class LossFile(_Part):
    epsilon: Exact | None = None
    rho: Exact | None = None
    delta: Exact = Fraction(0)


class LossesFile(_Part):
    default: LossFile
    maximum: LossFile


class PolicyFile(_Part):
    """A whole policy file."""

    dataset: Identifier
    description: str = ""
    max_keys: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    min_error_scale: Exact = Fraction(1, 2)
    privacy_unit: UnitFile | None = None
    privacy_units: list[UnitFile] = []
    contribution: ContributionFile
    budgets: BudgetsFile
    losses: LossesFile
    tables: dict[Identifier, TableFile]
    views: dict[Identifier, ViewFile] = {}

    @property
    def units(self) -> list[UnitFile]:
        """One or several, as the owner wrote it."""
        return [*([] if self.privacy_unit is None else [self.privacy_unit]), *self.privacy_units]
