"""Every way in which the analyzer says no. A refusal is free, and never depends on the data."""

from __future__ import annotations


class Refusal(Exception):
    """A question that is not answered, by rule.

    Attributes:
        code: the SQLSTATE, standard where one exists and of class ZP for epsql's own.
        message: one sentence that says what is wrong.
        detail: why, or empty.
        hint: what to write instead, or empty.
        position: 1-based character offset into the analyst's SQL, or None.
    """

    code = "0A000"

    def __init__(
        self, message: str, *, detail: str = "", hint: str = "", position: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint
        self.position = position


class SyntaxRefused(Refusal):
    """The text is not one SELECT statement that epsql can read."""

    code = "42601"


class Unsupported(Refusal):
    """The SQL is well formed, but outside what epsql answers."""

    code = "0A000"


class UnknownTable(Refusal):
    """No such table is declared; the same words whether or not the database has it."""

    code = "42P01"


class UnknownColumn(Refusal):
    code = "42703"


class AmbiguousColumn(Refusal):
    code = "42702"


class UnknownFunction(Refusal):
    code = "42883"


class WrongType(Refusal):
    """An operator or function does not take arguments of these types."""

    code = "42804"


class WrongGrouping(Refusal):
    """A column is neither a group key nor inside an aggregate."""

    code = "42803"


class RowsRefused(Refusal):
    """The query would return rows, or the privacy unit's key, of protected data."""

    code = "42501"


class BadArgument(Refusal):
    """A constant, a parameter, a bound or a loss is out of range."""

    code = "22023"


class BadPattern(Refusal):
    """A LIKE pattern that could fail on some rows."""

    code = "22025"


class TooComplex(Refusal):
    """Too long, too many tokens, or nested too deeply."""

    code = "54001"


class NoMechanism(Refusal):
    """This aggregate has no differentially private mechanism here."""

    code = "ZP002"


class UnboundedInfluence(Refusal):
    """One person's influence on the answer cannot be bounded."""

    code = "ZP003"


class PrivateKeys(Refusal):
    """The group keys are neither public nor can they be thresholded."""

    code = "ZP004"
