"""The pages of ``examples/tools``: what they show is run, with the programs that they show it for."""

from __future__ import annotations

import subprocess
import sys

import psycopg
import pytest

from tests.clients.place import client_program, node_modules, program, r_with
from tests.clients.test_drivers import JDBC_JAR
from tests.pages import ROOT, Block, blocks

PAGES = sorted((ROOT / "examples" / "tools").glob("*.md"))


def runs(page: str, language: str) -> list[Block]:
    """The blocks of a page that are marked to be run; there is one at least."""
    found = [
        b for b in blocks(ROOT / "examples" / "tools" / page, language) if b.words == ("runs",)
    ]
    assert found
    return found


def test_every_page_is_in_the_index():
    index = (ROOT / "examples" / "tools" / "README.md").read_text(encoding="utf-8")
    assert all(f"]({page.name})" in index for page in PAGES if page.name != "README.md")


@pytest.mark.parametrize("block", [b for page in PAGES for b in blocks(page, "sql")], ids=str)
def test_queries(block, front):
    with psycopg.connect(front.conninfo(), autocommit=True) as connection:
        if block.words:
            with pytest.raises(psycopg.Error) as refused:
                connection.execute(block.text.encode())
            assert ("refused", refused.value.sqlstate) == block.words
        else:
            assert connection.execute(block.text.encode()).fetchall()


def test_psql(front, tmp_path):
    program("psql", "postgresql-client")
    (block,) = runs("psql.md", "bash")
    said = front.printed(["bash", "-e", "-c", block.text])
    for text in ('Table "public.patients"', "error bar", "(3 rows)", "female,31", "epsilon"):
        assert text in said, said


@pytest.mark.parametrize("block", runs("python.md", "python"), ids=str)
def test_python(block, front):
    said = front.printed([client_program("python"), "-c", block.text])
    assert "female" in said
    if "notice" in block.text:
        assert "±" in said


@pytest.mark.parametrize("block", runs("r.md", "r"), ids=str)
def test_r(block, front):
    said = front.printed([r_with("RPostgreSQL", "dbplyr"), "-e", block.text])
    assert "female" in said


def test_node(front, tmp_path):
    node, modules = program("node", "nodejs"), node_modules()
    (block,) = runs("node.md", "js")
    script = tmp_path / "example.cjs"
    script.write_text(block.text)
    said = front.printed([node, script], NODE_PATH=str(modules))
    assert "±" in said
    assert "female" in said


def test_java(front, tmp_path):
    compiler, machine = (
        program("javac", "default-jdk-headless"),
        program("java", "default-jre-headless"),
    )
    if not JDBC_JAR.exists():
        pytest.skip("there is no pgjdbc here: apt-get install libpostgresql-jdbc-java")
    (block,) = runs("java.md", "java")
    (tmp_path / "Example.java").write_text(block.text)
    command = [compiler, "-cp", JDBC_JAR, "-d", tmp_path, tmp_path / "Example.java"]
    subprocess.run(command, check=True, stdout=sys.stderr)
    said = front.printed([machine, "-cp", f"{tmp_path}:{JDBC_JAR}", "Example"])
    assert "female " in said
    assert "±" in said
