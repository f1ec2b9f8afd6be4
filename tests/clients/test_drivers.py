"""Drivers: each script says what it saw, over epsql as over a plain Postgres with the same rows.

The noise is taken out of epsql (``conftest.py``), so answers about people are compared too.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.clients.place import HERE, Place, client_program, node_modules, program, r_with, superset
from tests.clients.same import assert_same

PYTHON = (
    "psycopg3.py",
    "psycopg2_script.py",
    "asyncpg_script.py",
    "frames.py",
    "pgcli_completion.py",
)
ODBC = {
    "as it comes": "",
    "fetching by cursor": "UseDeclareFetch=1;Fetch=1",
    "without preparing": "UseServerSidePrepare=0",
    "rolling back one statement": "Protocol=7.4-2",
}
JDBC = {
    "as it comes": "",
    "simple": "preferQueryMode=simple",
    "prepared at once": "prepareThreshold=1",
    "caching everything": "preferQueryMode=extendedCacheEverything",
    "binary": "binaryTransfer=true&prepareThreshold=-1",
    "prepared statements only": "preferQueryMode=extendedForPrepared",
}
EVERY_TIME = ("as it comes", "simple", "prepared at once")
"""The modes that differ most; the others are in the slow part."""
JDBC_JAR = Path("/usr/share/java/postgresql.jar")


def python(place: Place, name: str, *arguments: str) -> str:
    """What a script prints, run by the Python that has the drivers."""
    return place.printed([client_program("python"), HERE / "python" / name, *arguments])


@pytest.mark.parametrize("name", PYTHON)
def test_python(name, direct, front):
    assert_same(python(direct, name), python(front, name))


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "pg8000"])
def test_sqlalchemy(driver, direct, front):
    name = "sqlalchemy_script.py"
    assert_same(python(direct, name, driver), python(front, name, driver))


@pytest.fixture(scope="module")
def odbc():
    """The library of psqlODBC."""
    libraries = [
        *Path("/usr/lib").glob("*/odbc/psqlodbcw.so"),
        *Path("/usr/lib").glob("psqlodbcw.so"),
    ]
    if not libraries:
        pytest.skip("there is no psqlODBC here: apt-get install odbc-postgresql unixodbc")
    return str(libraries[0])


@pytest.mark.parametrize("mode", ODBC)
def test_odbc(mode, odbc, direct, front):
    arguments = "odbc.py", odbc, ODBC[mode]
    assert_same(python(direct, *arguments), python(front, *arguments))


def test_r(odbc, direct, front):
    script = HERE / "r" / "drivers.R"
    command = [r_with("RPostgreSQL", "RODBC", "dbplyr"), script, odbc]
    # Of every schema: epsql's own are among them.
    known = {"tables": '"budget", "cities"'}
    assert_same(direct.printed(command), front.printed(command), known)


def test_superset(direct, front):
    command = [superset(), HERE / "python" / "superset_engine.py"]
    known = {"catalogs": r"\['clinic'\]", "samples": "InsufficientPrivilege 42501"}
    assert_same(direct.printed(command), front.printed(command), known)


@pytest.fixture(scope="module")
def java(tmp_path_factory):
    """Runs the Java program at a place, in a mode of the driver."""
    compiler, machine = (
        program("javac", "default-jdk-headless"),
        program("java", "default-jdk-headless"),
    )
    if not JDBC_JAR.exists():
        pytest.skip("there is no pgjdbc here: apt-get install libpostgresql-jdbc-java")
    classes = tmp_path_factory.mktemp("java")
    source = HERE / "java" / "Drivers.java"
    subprocess.run([compiler, "-cp", JDBC_JAR, "-d", classes, source], check=True)
    return lambda place, mode: place.printed(
        [machine, "-cp", f"{classes}:{JDBC_JAR}", "Drivers", mode]
    )


@pytest.mark.parametrize(
    "mode", [m if m in EVERY_TIME else pytest.param(m, marks=pytest.mark.slow) for m in JDBC]
)
def test_java(mode, java, direct, front):
    assert_same(java(direct, JDBC[mode]), java(front, JDBC[mode]))


def test_node(direct, front):
    node, modules = program("node", "nodejs"), node_modules()
    script = HERE / "node" / "drivers.cjs"
    wanted, got = (
        place.printed([node, script], NODE_PATH=str(modules)) for place in (direct, front)
    )
    assert_same(wanted, got)
