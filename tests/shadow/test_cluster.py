"""The cluster lives as long as the server: not longer, and nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from server.shadow import ShadowFailed
from server.shadow import cluster as cluster_module
from server.shadow.cluster import SUPERUSER, Cluster, found_programs
from tests.shadow.conftest import DEBIAN

SERVER = """
import sys
from pathlib import Path
from server.shadow.cluster import Cluster
cluster = Cluster(None, Path(sys.argv[1]), 5)
cluster.start()
print(cluster.home, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def parent(tmp_path_factory):
    """A short path, and open like the place for temporary files."""
    path = Path(subprocess.check_output(["mktemp", "-d", "/tmp/shXXXXXX"], text=True).strip())
    path.chmod(0o1777)
    yield path
    subprocess.run(["rm", "-rf", path], check=True)


def started(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    return server, Path(server.stdout.readline().strip())


def pid_of(home: Path) -> int:
    return int((home / "data" / "postmaster.pid").read_text().split("\n")[0])


def gone(pid: int) -> bool:
    try:
        return not Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return True


def in_time(condition) -> bool:
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_it_knows_nothing_of_our_environment(parent, monkeypatch):
    monkeypatch.setenv("EPSQL_DATA_URL", "postgresql://secret")
    cluster = Cluster(None, parent, 5)
    cluster.start()
    pid = pid_of(cluster.home)
    for process in (pid, int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])):
        assert b"secret" not in Path(f"/proc/{process}/environ").read_bytes()
    cluster.stop()


def test_nobody_else_gets_in_and_nothing_stays(parent):
    cluster = Cluster(None, parent, 5)
    cluster.start()
    assert cluster.home.stat().st_mode & 0o077 == 0
    assert cluster.running()
    with psycopg.connect(host=str(cluster.home), user=SUPERUSER, dbname="template1") as owner:
        assert owner.execute("SHOW listen_addresses").fetchone() == ("",)
        assert owner.execute("SHOW autovacuum").fetchone() == ("off",)
    pid = pid_of(cluster.home)
    cluster.stop()
    assert gone(pid)
    assert not list(parent.iterdir())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_dies_with_the_server(parent, number):
    server, home = started(parent)
    pid = pid_of(home)
    server.send_signal(number)
    server.wait()
    assert in_time(lambda: gone(pid))
    assert in_time(lambda: not home.exists())


def test_the_next_start_ends_what_even_its_watch_has_left(parent):
    server, home = started(parent)
    pid = pid_of(home)
    watch = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(watch, signal.SIGKILL)
    server.kill()
    server.wait()
    assert not gone(pid)
    cluster = Cluster(None, parent, 5)
    cluster.start()
    try:
        assert in_time(lambda: gone(pid))
        assert list(parent.iterdir()) == [cluster.home]
    finally:
        cluster.stop()


def test_two_servers_leave_each_other_alone(parent):
    one, two = Cluster(None, parent, 5), Cluster(None, parent, 5)
    one.start()
    two.start()
    assert one.running()
    two.stop()
    assert one.running()
    one.stop()


def test_a_foreign_process_in_a_pid_file_is_left_alone(parent):
    home = parent / "epsql-shadow-old"
    (home / "data").mkdir(parents=True)
    (home / "lock").touch()
    with subprocess.Popen(["sleep", "60"]) as other:
        (home / "data" / "postmaster.pid").write_text(f"{other.pid}\n")
        cluster_module._sweep(parent)
        assert other.poll() is None
        assert not home.exists()
        other.kill()


def test_a_session_has_so_much_memory(parent):
    cluster = Cluster(None, parent, 5)
    cluster.start()
    with psycopg.connect(host=str(cluster.home), user=SUPERUSER, dbname="template1") as owner:
        with pytest.raises(psycopg.errors.OutOfMemory):
            owner.execute("SELECT repeat('x', 900000000)")
        owner.rollback()
        assert owner.execute("SELECT 1").fetchone() == (1,)
    cluster.stop()


def test_a_start_that_fails_says_why_and_leaves_nothing(parent, monkeypatch):
    monkeypatch.setitem(cluster_module._SETTINGS, "shared_buffers", "nonsense")
    monkeypatch.setattr(cluster_module, "_SECONDS", 1.0)
    with pytest.raises(ShadowFailed, match="shared_buffers"):
        Cluster(None, parent, 5).start()
    assert not list(parent.iterdir())


def test_where_there_is_no_postgres_it_says_what_to_do(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(cluster_module, "_version", lambda programs: 14)
    with pytest.raises(ShadowFailed, match="EPSQL_SHADOW_BINARIES"):
        found_programs()


@pytest.mark.skipif(not DEBIAN, reason="no Postgres of Debian's is installed")
def test_without_the_wheel_the_installed_one_is_taken(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert found_programs() == DEBIAN[-1]


def test_a_path_too_long_for_a_socket_is_refused(parent):
    long = parent / ("x" * 100)
    long.mkdir()
    with pytest.raises(ShadowFailed, match="too long"):
        Cluster(None, long, 5).start()
    assert not list(long.iterdir())
