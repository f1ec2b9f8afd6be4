"""Every way in which the analyzer says no. A refusal is free, and never depends on the data."""

from __future__ import annotations

from typing import ClassVar


class Refusal(Exception):
    """A question that is not answered, by rule.

    Attributes:
        code: the SQLSTATE, standard where one exists and of class ZP for epsql's own.
        message: one sentence that says what is wrong.
        detail: why, or empty.
        hint: what to write instead; what its kind advises, where nothing better is known.
        position: 1-based character offset into the analyst's SQL, or None.
    """

    code = "0A000"
    advice: ClassVar[str]

    def __init__(
        self, message: str, *, detail: str = "", hint: str = "", position: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint or self.advice
        self.position = position


class SyntaxRefused(Refusal):
    """The text is not one SELECT statement that epsql can read."""

    code = "42601"
    advice = "Send one SELECT statement, as PostgreSQL reads it."


class Unsupported(Refusal):
    """The SQL is well formed, but outside what epsql answers."""

    code = "0A000"
    advice = "docs/sql.md lists what epsql answers, docs/refusals.md what to write instead."


class UnknownTable(Refusal):
    """No such table is declared; the same words whether or not the database has it."""

    code = "42P01"
    advice = "Name a table of the catalog, or an alias of this FROM."


class UnknownColumn(Refusal):
    code = "42703"
    advice = "Name a column of a table in this FROM."


class AmbiguousColumn(Refusal):
    code = "42702"
    advice = "Put the table's name before it: table.column."


class UnknownFunction(Refusal):
    code = "42883"
    advice = "docs/sql.md lists the functions that epsql answers."


class WrongType(Refusal):
    """An operator or function does not take arguments of these types."""

    code = "42804"
    advice = "Write CAST(x AS type) where a value has another type."


class WrongGrouping(Refusal):
    """A column is neither a group key nor inside an aggregate."""

    code = "42803"
    advice = "Write group keys, aggregates, and what is computed from those."


class RowsRefused(Refusal):
    """The query would return rows, or the privacy unit's key, of protected data."""

    code = "42501"
    advice = "Ask for aggregates, for example count(*) with GROUP BY."


class BadArgument(Refusal):
    """A constant, a parameter, a bound or a loss is out of range."""

    code = "22023"
    advice = "Write another value, as a constant or a parameter."


class BadPattern(Refusal):
    """A LIKE pattern that could fail on some rows."""

    code = "22025"
    advice = "Write the pattern as a constant, and two backslashes for one."


class TooComplex(Refusal):
    """Too long, too many tokens, or nested too deeply."""

    code = "54001"
    advice = "Ask in several queries, or leave a part out."


class NoMechanism(Refusal):
    """This aggregate has no differentially private mechanism here."""

    code = "ZP002"
    advice = "Take counts, sums, averages, quantiles, variances or correlations."


class UnboundedInfluence(Refusal):
    """One person's influence on the answer cannot be bounded."""

    code = "ZP003"
    advice = "Keep the privacy unit's key in every subquery, and join on it."


class PrivateKeys(Refusal):
    """The group keys are neither public nor can they be thresholded."""

    code = "ZP004"
    advice = "Group by columns whose values are declared, or ask with a delta."
