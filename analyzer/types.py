"""The SQL types that epsql knows. Anything else does not exist for an analyst."""

from __future__ import annotations

from enum import StrEnum


class Type(StrEnum):
    """A SQL type, as the name that Postgres prints for it."""

    BOOL = "boolean"
    INT4 = "integer"
    INT8 = "bigint"
    NUMERIC = "numeric"
    FLOAT8 = "double precision"
    TEXT = "text"
    DATE = "date"
    TIMESTAMP = "timestamp without time zone"
    TIMESTAMPTZ = "timestamp with time zone"
    UUID = "uuid"
    INTERVAL = "interval"
    """A distance between two times, of days and time: carried in seconds, as a numeric."""
    FLOAT8S = "double precision[]"
    """Several percentiles at once. No column has it, and nothing is computed with it."""

    @property
    def is_integer(self) -> bool:
        return self in (Type.INT4, Type.INT8)

    @property
    def is_number(self) -> bool:
        return self in (Type.INT4, Type.INT8, Type.NUMERIC, Type.FLOAT8)
