"""What the data owner declared of a column, as text for analysts."""

from __future__ import annotations

from fractions import Fraction

from analyzer.catalog import Column
from analyzer.dates import moment
from analyzer.types import Type
from server.replies import number_text


def bound_text(bound: Fraction | None, column: Column) -> str | None:
    """A clamping bound in the column's own terms: a number, a day or a time."""
    if bound is None:
        return None
    if column.type.is_number:
        return number_text(bound)
    time = moment(bound)
    return str(time.date() if column.type is Type.DATE else time)
