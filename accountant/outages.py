"""Why a database does not do what it is asked, for the operator.

In our words alone: the driver's hold addresses, and the database's can hold values.
"""

from __future__ import annotations

import logging

import psycopg

from accountant.errors import LedgerUnavailable

_STATES = {
    "25006": "it is read-only",
    "42501": "the role lacks a right",
    "42703": "a column is not there",
    "42P01": "a table is not there",
    "53100": "its disk is full",
    "53200": "it has no memory left",
    "53300": "it takes no more connections",
    "55P03": "somebody holds a lock on it",
    "57014": "it took too long",
    "57P01": "it is shutting down",
    "57P03": "it is starting up, or takes no connections",
}


def ledger_outage(log: logging.Logger, reason: str, failure: Exception) -> LedgerUnavailable:
    """Logs what became of the ledger, and makes the error that says so.

    Args:
        log: of the module that found it.
        reason: a sentence without its end, in our words.
        failure: is known to the log's readers by its class and its SQLSTATE.
    """
    log.error("the ledger: %s", reason, extra={"database": "ledger", "failure": failure})
    return LedgerUnavailable(reason)


def outage(error: BaseException) -> str:
    """The reason of an error: a part of a sentence."""
    if not isinstance(error, psycopg.Error):
        return type(error).__name__
    if error.sqlstate is not None:
        known = _STATES.get(error.sqlstate)
        code = f"SQLSTATE {error.sqlstate}"
        return code if known is None else f"{known} ({code})"
    if error.pgconn is None:
        return "it cannot be reached: is there such a host?"
    if error.pgconn.needs_password:
        return "it wants a password, and none is given"
    if error.pgconn.used_password:
        return "it lets nobody in with this role, password and database"
    return "nobody answers at its host and port, or it turns the role away"
