"""What a session may SET: settings of epsql's own, and those of Postgres that tools need.

Postgres lets everybody set work_mem and the like, and has no right that could be revoked. So what
is not named here does not reach the shadow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analyzer.agreement_postgres import Fields
from analyzer.refusals import BadArgument, Refusal
from analyzer.statement_names import Call, constant, constants

PREFIX = "epsql."

OWN = {
    "epsilon": "What an answer may cost.",
    "delta": "As epsilon; needed for group keys that are not public.",
    "rho": "What an answer may cost, in place of epsilon.",
    "error": "How exact the answer shall be, in place of what it may cost.",
    "request_id": "Your own name for the question: asked again, it is answered for nothing.",
    "max_rows_contributed": "How many rows of one person count in an answer.",
    "max_groups_contributed": "In how many groups of an answer one person counts.",
    "non_negative": "Whether counts below zero are shown as zero.",
    "fresh": "Whether the data is asked anew, and paid for, where an answer is known.",
    "analyst_token": "For logins that people share: the token of the one who asks.",
}
"""Settings of epsql, without the prefix, each with its meaning."""

_ENCODINGS = frozenset(
    {"utf8", "unicode", "sqlascii", "koi8r", "koi8u"}
    | {f"latin{n}" for n in range(1, 11)}
    | {f"iso8859{n}" for n in range(1, 17)}
    | {f"win125{n}" for n in range(9)}
    | {f"windows125{n}" for n in range(9)}
)
"""Those in which no byte of a longer character could be read as a quote or a backslash."""

_POSTGRES: dict[str, frozenset[str] | None] = {
    "application_name": None,
    "bytea_output": None,
    "client_encoding": _ENCODINGS,
    "client_min_messages": None,
    "datestyle": None,
    "default_transaction_deferrable": None,
    "default_transaction_isolation": None,
    "default_transaction_read_only": None,
    "extra_float_digits": None,
    "idle_in_transaction_session_timeout": None,
    "idle_session_timeout": None,
    "intervalstyle": None,
    "jit": None,
    "lc_monetary": None,
    "lc_numeric": None,
    "lc_time": None,
    "lock_timeout": None,
    "quote_all_identifiers": None,
    "role": None,
    "row_security": None,
    "search_path": None,
    "session_authorization": None,
    # Texts are read here as the standard says; the shadow has to read them the same way.
    "standard_conforming_strings": frozenset({"on", "true", "yes", "1"}),
    "statement_timeout": None,
    "synchronize_seqscans": None,
    "timezone": None,
    "transaction_deferrable": None,
    "transaction_isolation": None,
    "transaction_read_only": None,
    "xmloption": None,
}
"""Settings of Postgres that a session may change, each with its values; None is all of them."""


class SettingRefused(Refusal):
    """A setting that a session may not change, or not to this value."""

    code = "42501"
    advice = "Leave it as it is: docs/psql.md lists what a session may set."


class UnknownSetting(Refusal):
    """There is no setting of epsql of this name."""

    code = "42704"
    advice = "docs/psql.md lists the settings."


@dataclass(frozen=True, slots=True)
class Setting:
    """One change of an ``epsql.`` setting."""

    name: str
    """Lower-case, without ``epsql.``."""
    value: str | None
    """None puts it back."""
    local: bool


def changed_by_set(fields: Fields) -> tuple[Setting, ...]:
    """What a SET or RESET, the fields of a VariableSetStmt, changes of epsql's own settings.

    Raises:
        Refusal: it may not be changed, or not to this value.
    """
    kind, name = fields["kind"], fields.get("name", "").lower()
    if kind in ("VAR_RESET_ALL", "VAR_SET_MULTI"):  # of the latter, name is a phrase
        if name == "transaction snapshot":
            raise SettingRefused("Snapshots are not shared.")
        return ()
    value = ", ".join(constants(fields.get("args", []))) if kind == "VAR_SET_VALUE" else None
    check_setting(name, value)
    if not name.startswith(PREFIX):
        return ()
    return (Setting(name.removeprefix(PREFIX), value, bool(fields.get("is_local"))),)


def changed_by_calls(calls: Sequence[Call]) -> tuple[Setting, ...]:
    """What calls of ``set_config`` change of epsql's own settings.

    Raises:
        Refusal: what they change is not in the text, or may not be changed.
    """
    settings = []
    for call in calls:
        if call.name != "set_config":
            continue
        written, value = (*map(_as_written, call.arguments), None, None)[:2]
        local = constant(call.arguments[2]) if len(call.arguments) > 2 else None
        name = written.lower() if isinstance(written, str) else ""
        own = name.startswith(PREFIX)
        if not name or (not isinstance(value, str) and (own or _POSTGRES.get(name))):
            raise BadArgument(
                "set_config takes the name of a setting, and of this one the value, as a constant.",
                hint="Write SET name = value.",
            )
        check_setting(name, value if isinstance(value, str) else None)
        if own:
            settings.append(Setting(name.removeprefix(PREFIX), str(value), local is True))
    return tuple(settings)


def _as_written(node: Any) -> str | bool | int | None:
    """The value of a constant, but not under a cast that can change it: '1'::numeric(2,-1) is 0."""
    while isinstance(node, dict) and "TypeCast" in node:
        type_ = node["TypeCast"].get("typeName", {})
        names = [part.get("String", {}).get("sval") for part in type_.get("names", [])]
        if names[-1:] not in (["text"], ["varchar"]) or "typmods" in type_:
            return None
        node = node["TypeCast"].get("arg")
    return constant(node)


def check_setting(name: str, value: str | None) -> None:
    """Pass, or refuse, a change of one setting.

    Args:
        name: lower-case, as ``search_path`` or ``epsql.epsilon``.
        value: None puts it back to what it was when the session began.

    Raises:
        UnknownSetting: of epsql, and there is none.
        SettingRefused, BadArgument: of Postgres, and it is not for the session to change.
    """
    if name.startswith(PREFIX):
        if name.removeprefix(PREFIX) not in OWN:
            raise UnknownSetting(
                "epsql has no setting of this name.",
                hint=f"There are {', '.join(PREFIX + own for own in OWN)}.",
            )
        return
    if name not in _POSTGRES:
        raise SettingRefused(
            "This setting cannot be changed here.",
            hint="SELECT * FROM epsql.settings lists those for your questions.",
        )
    values = _POSTGRES[name]
    if values is not None and value is not None and _plain(value) not in values:
        raise BadArgument(
            f"{name} cannot be set to this value here.",
            hint="Use UTF8." if values is _ENCODINGS else "It stays on.",
        )


def _plain(value: str) -> str:
    """A value as Postgres compares names of encodings: letters and digits alone."""
    return "".join(filter(str.isalnum, value.lower()))
