"""The ledger's schema, step by step. Works from a checkout and from an installed package.

A new revision, after ``accountant.tables`` changed::

    python -c "from alembic import command; from migrations import config
    command.revision(config('postgresql://...'), 'what changes', autogenerate=True)"

Revisions are never edited once released.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import NullPool, create_engine
from sqlalchemy.engine import make_url


class UnknownRevision(Exception):
    """The ledger is at a revision that this program does not know."""

    def __init__(self) -> None:
        super().__init__("the ledger was migrated by a newer epsql; install that one")


def config(url: str) -> Config:
    """Alembic's configuration for the ledger's database at a ``postgresql://`` URL."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    # Not as an option: there a % in a URL would be taken for a placeholder.
    settings.attributes["url"] = make_url(url).set(drivername="postgresql+psycopg")
    return settings


def migrate(url: str) -> None:
    """Brings the ledger's schema to the newest revision; does nothing when it is there.

    Several processes may call it at once: one migrates, the others wait.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database failed; nothing was changed.
        UnknownRevision: a newer program has migrated it.
    """
    try:
        command.upgrade(config(url), "head")
    except CommandError:  # Its words name the revision, which says nothing to anybody.
        raise UnknownRevision from None


def is_current(url: str) -> bool:
    """Whether the schema is at the newest revision of this program.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database failed.
    """
    settings = config(url)
    newest = set(ScriptDirectory.from_config(settings).get_heads())
    engine = create_engine(settings.attributes["url"], poolclass=NullPool)
    with engine.connect() as connection:
        return set(MigrationContext.configure(connection).get_current_heads()) == newest
