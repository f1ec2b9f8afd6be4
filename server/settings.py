"""Every setting, with its default and its reason. Read from the environment, prefix ``EPSQL_``.

The reference in the docs is checked against this file.
"""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from enum import Enum
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from server.observations import Level

_LIKE = 0.85
"""How much alike two names are, at most 1, from which on one is taken for a slip of the other."""


class SettingsError(Exception):
    """The environment is not one that epsql can start in; the text says which variable, and why."""


class LogLevel(Enum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def level(self) -> Level:
        return Level[self.name]


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="EPSQL_", frozen=True, env_ignore_empty=True)

    @field_validator("ledger_url", "data_url", check_fields=False)
    @classmethod
    def _is_postgres(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("is not a postgresql:// URL")  # without the value: it is a secret
        return url


class LedgerSettings(_Environment):
    """What it takes to reach the ledger."""

    ledger_url: SecretStr = Field(
        description="Where the ledger is: postgresql://user:password@host/database. A database of"
        " its own, with a role of its own."
    )
    ledger_head: Path | None = Field(
        None,
        description="A file that gets one line for each commit of the ledger, best on another disk"
        " or host. A server does not start on a ledger that is behind it, as a restored one is.",
    )


class DataSettings(_Environment):
    """What it takes to reach the data."""

    data_url: SecretStr = Field(
        description="Where the protected data is, as a role that can read the declared tables and"
        " nothing else; see `epsql policy grants`."
    )


class PolicySettings(_Environment):
    """What it takes to know what is served."""

    policy: str = Field(
        description="The policy file; or a directory, whose *.toml files are all served; or several"
        " of either with commas between. Each file is one data set."
    )

    def policy_files(self) -> list[Path]:
        """The files that ``policy`` stands for, in order.

        Raises:
            SettingsError: it stands for none.
        """
        files: list[Path] = []
        for part in self.policy.split(","):
            path = Path(part.strip())
            files += sorted(path.glob("*.toml")) if path.is_dir() else [path]
        if not files:
            raise SettingsError("EPSQL_POLICY: there is no *.toml file in this directory")
        return files


class Settings(LedgerSettings, DataSettings, PolicySettings):
    """What it takes to serve."""

    host: str = Field(
        "127.0.0.1", description="Address to listen on. Put TLS in front before it is a public one."
    )
    port: int = Field(8432, ge=0, le=65535, description="Port to listen on; 0 for any free one.")
    wire: bool = Field(
        True, description="Whether Postgres clients are served too. It takes a Postgres to start."
    )
    wire_host: str = Field(
        "127.0.0.1", description="Address to listen on for Postgres clients. They are encrypted."
    )
    wire_port: int = Field(
        8433, ge=0, le=65535, description="Port to listen on for Postgres clients; 0 for any."
    )
    wire_connections: int = Field(
        100, ge=1, le=10_000, description="How many Postgres connections there may be at once."
    )
    wire_connections_per_analyst: int = Field(
        20, ge=1, le=10_000, description="How many of them one analyst may have."
    )
    wire_shared_logins: str = Field(
        "",
        description="Names of analysts, with commas between, whose logins people share, as a BI"
        " tool's. They may say by SET epsql.analyst_token who asks.",
    )
    wire_login_seconds: float = Field(
        20.0, gt=0, le=3600, description="How many seconds a Postgres client has to log in."
    )
    wire_message_bytes: int = Field(
        2**20,
        ge=2**14,
        le=2**28,
        description="Largest message of a Postgres client, in bytes: a text, or parameters.",
    )
    tls_certificate: Path | None = Field(
        None,
        description="PEM file with the certificate chain that Postgres clients see. Without it"
        " each start makes a certificate of its own, which nobody has signed.",
    )
    tls_key: Path | None = Field(None, description="PEM file with the key of that certificate.")
    shadow_binaries: Path | None = Field(
        None,
        description="Directory of the Postgres programs (15 or newer) that the shadow is run with."
        " Without it they are looked for.",
    )
    shadow_directory: Path | None = Field(
        None, description="Where the shadow's directory is made; without it, for temporary files."
    )
    shadow_public_rows: int = Field(
        100_000,
        ge=0,
        le=10_000_000,
        description="Most rows of a public table that are copied into the shadow. A larger table is"
        " answered by epsql's own SQL.",
    )
    body_bytes: int = Field(
        256 * 1024, ge=1024, le=2**26, description="Largest request body, in bytes."
    )
    sql_characters: int = Field(
        16_384, ge=100, le=200_000, description="Longest SQL text, in characters."
    )
    sql_tokens: int = Field(2_000, ge=10, le=20_000, description="Most tokens in one SQL text.")
    sql_depth: int = Field(
        40, ge=4, le=100, description="Deepest nesting of parentheses and subqueries in SQL."
    )
    queries_per_analyst: int = Field(
        4, ge=1, le=1000, description="How many queries of one analyst may run at once."
    )
    queries_at_once: int = Field(
        16,
        ge=1,
        le=1000,
        description="How many queries may run at once; also the number of connections to the data.",
    )
    statement_seconds: int = Field(
        60,
        ge=1,
        le=3600,
        description="After how many seconds Postgres stops a statement. Such a query stays charged,"
        " so leave room.",
    )
    release_tick_ms: int = Field(
        100,
        ge=0,
        le=60_000,
        description="Answers leave this many milliseconds after the question came in, or twice,"
        " four times, eight times as many: how long the data took is not seen. Best longer than a"
        " pass through the largest table takes. 0 lets them leave at"
        " once.",
    )
    shutdown_seconds: float = Field(
        20.0,
        ge=0,
        le=3600,
        description="How many seconds running queries may go on when the server is asked to stop."
        " Those that are cut off stay charged.",
    )
    selection_key: SecretStr | None = Field(
        None,
        description="A number of up to 18 digits that decides which groups of a person count where"
        " there are too many. Without it each start takes a new one at random; set it so that"
        " several servers choose alike.",
    )
    log_level: LogLevel = Field(
        LogLevel.INFO, description="Least severity that is logged: debug, info, warning or error."
    )

    @field_validator("selection_key")
    @classmethod
    def _is_a_number(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not re.fullmatch("[0-9]{1,18}", key.get_secret_value()):
            raise ValueError("is not a number of up to 18 digits")
        return key


Kind = TypeVar("Kind", bound=_Environment)


def read_settings(kind: type[Kind]) -> Kind:
    """The settings of one kind, from the environment.

    Raises:
        SettingsError: one is missing or wrong. Its value is never in the text.
    """
    _require_known_names()
    try:
        return kind()
    except ValidationError as error:
        raise _in_words(error) from None


def _require_known_names() -> None:
    """A misspelled setting would be one that is not set. Others' variables, such as those that
    Kubernetes makes for a service called epsql, are let be."""
    known = [f"EPSQL_{name.upper()}" for name in Settings.model_fields]
    for name in os.environ:
        if not name.startswith("EPSQL_") or name in known:
            continue
        like = get_close_matches(name, known, n=1, cutoff=_LIKE)
        if like:
            raise SettingsError(f"{name}: is no setting; did you mean {like[0]}?")


def _in_words(error: ValidationError) -> SettingsError:
    problems = []
    for detail in error.errors(include_input=False, include_url=False, include_context=False):
        name = f"EPSQL_{str(detail['loc'][0]).upper()}"
        words = "is not set" if detail["type"] == "missing" else detail["msg"]
        problems.append(f"{name}: {words.removeprefix('Value error, ')}")
    return SettingsError("; ".join(problems))


def version() -> str:
    """The version of the installed package."""
    try:
        return installed_version("epsql")
    except PackageNotFoundError:
        return "0 (not installed)"
