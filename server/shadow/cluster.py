"""A Postgres cluster that lasts as long as this process, and not longer.

Nothing in it is worth keeping, so it is made anew at every start. It is watched by a shell that
waits for its standard input to end: that happens when this process ends, by whatever signal, and
then Postgres is stopped and its directory removed. Should that shell be gone too, the next start
finds the directory, sees by its lock that nobody owns it, and does the same.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg

from server.programs import Programs, ProgramsFailed, embedded_programs
from server.shadow import ShadowFailed

SUPERUSER = "_epsql"
"""Owns everything. An analyst's name begins with a letter, so nobody is called that."""
OLDEST = 15
"""The first Postgres whose views can be asked with the rights of who asks."""
_PREFIX = "epsql-shadow-"
_SOCKET = ".s.PGSQL.5432"
_SOCKET_BYTES = 107
_MEGABYTES_PER_SESSION = 256
_SECONDS = 30.0
"""How long starting and stopping may take."""

_WATCH = """
ulimit -c 0; ulimit -d $2; home=$1; shift 2
nice -n 5 "$@" & read -r _
kill -QUIT $!; wait; rm -rf "$home"
"""
"""Memory is bounded for each session's process; the shared one does not count."""

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # A crash of the machine can lose all of it. One of a session may lose nothing: Postgres then
    # restarts itself, so commits are still told to the operating system.
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "min_wal_size": "2MB",
    "max_wal_size": "32MB",
    "shared_buffers": "16MB",
    "autovacuum": "off",
    "jit": "off",
    "max_worker_processes": "0",
    "max_parallel_workers_per_gather": "0",
    "max_prepared_transactions": "0",
    "temp_file_limit": "64MB",
    # Counters would tell one analyst what the others read.
    "track_counts": "off",
    "update_process_title": "off",
    # What analysts write is in no log, whatever they set.
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_checkpoints": "off",
}


class Cluster:
    """One running cluster, reached by a Unix socket that only its own account and root may use.

    Args:
        binaries: the directory of the programs; None looks for one.
        parent: where its directory is made; None is the system's place for temporary files.
        sessions: how many connections it takes, besides our own.
    """

    def __init__(self, binaries: Path | None, parent: Path | None, sessions: int) -> None:
        self._binaries = binaries or found_programs()
        self._parent = parent or Path(tempfile.gettempdir())
        self._sessions = sessions
        self._home: Path | None = None
        self._lock: int | None = None
        self._watch: subprocess.Popen[bytes] | None = None

    @property
    def home(self) -> Path:
        """Its directory, from its start to its stop."""
        if self._home is None:
            raise ShadowFailed("it is not started")
        return self._home

    @property
    def socket(self) -> Path:
        return self.home / _SOCKET

    def start(self) -> None:
        """Makes and starts it. Blocks for a second or two.

        Raises:
            ShadowFailed: it does not start; with the reason.
        """
        _sweep(self._parent)
        try:
            self._home = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._parent))
        except OSError as error:
            raise ShadowFailed(f"no directory can be made there: {error.strerror}") from None
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stops it at once, and removes its directory. Nothing, where it is not started."""
        if self._home is None:
            return
        if self._watch is not None:
            assert self._watch.stdin is not None
            self._watch.stdin.close()
            try:
                self._watch.wait(_SECONDS)
            except subprocess.TimeoutExpired:
                _end(self._home / "data")
            self._watch = None
        shutil.rmtree(self._home, ignore_errors=True)
        self._home = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def running(self) -> bool:
        return self._watch is not None and _is_alive(_pid(self.home / "data"))

    def _start(self) -> None:
        if len(os.fsencode(self.socket)) > _SOCKET_BYTES:
            raise ShadowFailed(f"the path of its directory is too long for a socket: {self.home}")
        self._lock = os.open(self.home / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        data = self.home / "data"
        try:
            programs = Programs.reached_from(self._binaries, self.home)
            programs.initdb(data, SUPERUSER, "--no-sync", "--wal-segsize=1")
        except (ProgramsFailed, OSError) as error:
            raise ShadowFailed(str(error)) from None
        settings = {
            **_SETTINGS,
            "unix_socket_directories": str(self.home),
            "max_connections": str(self._sessions + 5),
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        kilobytes = str(_MEGABYTES_PER_SESSION * 1024)
        command = [str(programs.directory / "postgres"), "-D", str(data), *options]
        with (self.home / "log").open("wb") as log:
            self._watch = subprocess.Popen(  # noqa: S603 - our own words only
                ["/bin/sh", "-c", _WATCH, "sh", str(self.home), kilobytes, *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                **programs.how,
            )
        self._wait()

    def _wait(self) -> None:
        """Until it answers."""
        until = time.monotonic() + _SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(host=str(self.home), user=SUPERUSER, dbname="template1").close()
                return
            time.sleep(0.02)
        words = (self.home / "log").read_text(errors="replace").strip()
        raise ShadowFailed(f"it did not start: {words}")


def found_programs() -> Path:
    """The programs that are there: the wheel's, else those on the path, else Debian's newest.

    Raises:
        ShadowFailed: there are none, or they are too old.
    """
    with contextlib.suppress(ProgramsFailed):
        return embedded_programs()
    config = shutil.which("pg_config")
    if config is not None:
        done = subprocess.run(  # noqa: S603 - the operator's own path
            [config, "--bindir"], capture_output=True, text=True, check=False
        )
        if _version(Path(done.stdout.strip())) >= OLDEST:
            return Path(done.stdout.strip())
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version)
    if debian and _version(debian[-1]) >= OLDEST:
        return debian[-1]
    raise ShadowFailed(
        f"there is no Postgres of version {OLDEST} or newer; install one, or name the directory of"
        " its programs in EPSQL_SHADOW_BINARIES"
    )


def _version(programs: Path) -> int:
    """The major version; 0 where there is none."""
    program = programs / "postgres"
    if not (programs / "initdb").exists() or not program.exists():
        return 0
    done = subprocess.run(  # noqa: S603 - the operator's own path
        [str(program), "--version"], capture_output=True, text=True, check=False
    )
    found = re.search(r"\) (\d+)", done.stdout)
    return int(found.group(1)) if found else 0


def _sweep(parent: Path) -> None:
    """Ends and removes what a server left that was killed together with its watch."""
    for home in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            handle = os.open(home / "lock", os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(handle).st_uid == os.geteuid():
                    _end(home / "data")
                    shutil.rmtree(home, ignore_errors=True)
            finally:
                os.close(handle)


def _pid(data: Path) -> int | None:
    """The process in the pid file of a data directory."""
    try:
        return int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def _is_alive(pid: int | None) -> bool:
    """Anybody may see that, also of a process of another account. One that has ended stays listed
    until its parent looks."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def _postmaster(data: Path) -> int | None:
    """The process that runs on a data directory: the one of its pid file, if it works in it."""
    pid = _pid(data)
    try:
        return pid if pid and Path(f"/proc/{pid}/cwd").readlink() == data else None
    except OSError:
        return None


def _end(data: Path) -> None:
    """Ends the process that runs on a data directory."""
    for number in (signal.SIGQUIT, signal.SIGKILL):
        pid = _postmaster(data)
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        until = time.monotonic() + 5
        while _postmaster(data) is not None and time.monotonic() < until:
            time.sleep(0.02)
