"""What a clone, a wheel and a container are made of."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import tomllib
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from server.cli import main
from server.settings import Settings, read_settings

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = ("accountant", "analyzer", "mechanisms", "migrations", "server")


def locked() -> dict[str, str]:
    """Each package of the lock with its block of lines."""
    blocks = re.split(
        r"^(?=[a-z0-9])", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE
    )
    return {block.split("==")[0].strip(): block for block in blocks[1:]}


def run_time() -> set[str]:
    """Every package that an installed epsql brings along, by what is installed here."""
    todo = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
    seen: set[str] = set()
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        extras = requirement.extras or {""}
        if requirement.marker and not any(
            requirement.marker.evaluate({"extra": extra}) for extra in extras
        ):
            continue
        for text in metadata.requires(name) or []:
            inner = Requirement(text)
            if inner.marker is None or any(inner.marker.evaluate({"extra": e}) for e in extras):
                inner.marker = None
                if canonicalize_name(inner.name) not in seen or inner.extras:
                    todo.append(inner)
        seen.add(name)
    return seen


def test_every_package_of_the_lock_has_one_version_and_hashes():
    blocks = locked()
    assert len(blocks) > 40
    for name, block in blocks.items():
        assert re.match(rf"{re.escape(name)}==[0-9a-z.]+ \\\n", block), name
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), name


def test_the_lock_names_no_host_and_no_place():
    text = (ROOT / "requirements.lock").read_text()
    for word in ("://", "file:/", "--index", "--extra-index", "--find-links", "--trusted", "/home"):
        assert word not in text
    assert not re.search(r"(^|\s)/", text)


def test_the_lock_holds_what_the_project_asks_for():
    project = PROJECT["project"]
    asked = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        asked += extra
    asked += PROJECT["build-system"]["requires"]
    for text in asked:
        requirement = Requirement(text)
        block = locked()[canonicalize_name(requirement.name)]
        version = block.split("==")[1].split()[0]
        assert requirement.specifier.contains(version, prereleases=True), text


def test_run_time_packages_are_locked_and_freely_licensed():
    names = run_time()
    assert {"fastapi", "starlette", "opendp", "psycopg-binary", "greenlet"} <= names
    assert names <= set(locked()) | {"epsql"}
    for name in names:
        about = metadata.metadata(name)
        licence = " ".join(
            [*(about.get_all("License-Expression") or []), *(about.get_all("License") or [])]
            + [c for c in about.get_all("Classifier") or [] if c.startswith("License")]
        )
        if name.startswith("psycopg"):
            assert "LGPL" in licence or "Lesser" in licence  # the one exception, chosen knowingly
        else:
            assert re.search(r"MIT|BSD|Apache|PSF|Python Software|ISC", licence), (name, licence)
            assert not re.search(r"GPL|GNU", licence), (name, licence)


def test_what_means_something_for_the_guarantee_is_pinned_exactly():
    assert {"opendp==0.16.0", "sqlglot[c]==30.30.0"} <= set(PROJECT["project"]["dependencies"])


def test_each_rule_that_is_switched_off_has_its_reason_beside_it():
    text = (ROOT / "pyproject.toml").read_text()
    ignored = text[text.index("ignore = [") : text.index("[tool.ruff.lint.flake8")]
    rules = [line for line in ignored.split("\n") if re.match(r'\s+"[A-Z0-9]+",', line)]
    assert len(rules) > 20
    assert [line for line in rules if not re.search(r"# \w", line)] == []


def test_a_wheel_carries_every_file_of_the_packages():
    tracked = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout")
    patterns = PROJECT["tool"]["setuptools"]["package-data"]
    for path in tracked:
        package, _, rest = path.partition("/")
        if not path.endswith(".py"):
            assert any(fnmatch(rest, pattern) for pattern in patterns[package]), path
    for package in PACKAGES:
        for directory in (ROOT / package).rglob("*.py"):
            assert (directory.parent / "__init__.py").exists(), directory


def test_the_licence_is_the_whole_one():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert PROJECT["project"]["license"] == "Apache-2.0"


# -- the Makefile ---------------------------------------------------------------------------------


def make(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_help_says_a_sentence_about_every_target():
    text = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    targets = set(phony.split())
    wanted = {"demo", "test", "test-all", "lint", "bench", "serve", "clean", "lock", "help"}
    assert wanted <= targets
    listed = dict(re.findall(r"^  ([a-z-]+) +(\S.*)$", make("help").stdout, re.MULTILINE))
    assert set(listed) == targets
    assert all(sentence.endswith(".") for sentence in listed.values())
    assert make().stdout == make("help").stdout


@pytest.fixture
def clone(tmp_path):
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    return tmp_path


def test_once_is_handed_on_to_the_demo(clone):
    assert "epsql demo --once" in make("-n", "demo", "ONCE=1", cwd=clone).stdout
    assert "--once" not in make("-n", "demo", cwd=clone).stdout


def fake_python(directory: Path, *, fails_on: str) -> str:
    program = directory / "python-fake"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.1" && exit\n'
        f'case "$2" in *{fails_on}*) exit 1;; esac\n'
    )
    program.chmod(0o755)
    return f"PYTHON={program}"


def test_an_old_python_is_told_so(clone):
    done = make("test", fake_python(clone, fails_on="version_info"), cwd=clone)
    assert done.returncode != 0
    assert "epsql needs Python 3.11 or newer" in done.stdout
    assert "Python 3.9.1" in done.stdout
    assert not (clone / ".venv").exists()


def test_a_python_without_pip_or_venv_is_told_so(clone):
    done = make("test", fake_python(clone, fails_on="venv"), cwd=clone)
    assert done.returncode != 0
    assert "apt-get install python3-pip python3-venv" in done.stdout


def test_an_activated_environment_does_not_set_itself_up(clone, monkeypatch):
    own = clone / ".venv" / "bin"
    own.mkdir(parents=True)
    (own / "python3").touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{own}:{os.environ['PATH']}")
    used = make("--eval=which: ; @command -v python3", "which", cwd=clone).stdout
    assert used.strip()
    assert not used.startswith(str(own))


def test_a_second_run_starts_at_once(clone):
    ready = clone / ".venv" / ".ready"
    ready.parent.mkdir()
    ready.touch()
    assert "pip" not in make("-n", "test", cwd=clone).stdout
    (clone / "requirements.lock").touch()
    assert "--require-hashes -r requirements.lock" in make("-n", "test", cwd=clone).stdout


# -- containers -----------------------------------------------------------------------------------

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
KNOWN = {f"EPSQL_{name.upper()}" for name in Settings.model_fields}


def environment(service: str) -> dict[str, str]:
    """What a service is given, by its file's example and inline."""
    example = ROOT / (SERVICES[service]["env_file"] + ".example")
    lines = [line for line in example.read_text().split("\n") if line and line[0] != "#"]
    given = dict(line.split("=", 1) for line in lines)
    return given | {k: str(v) for k, v in SERVICES[service].get("environment", {}).items()}


def test_every_variable_is_a_setting():
    names = set(environment("epsql"))
    assert names <= KNOWN, names - KNOWN
    assert {"EPSQL_LEDGER_URL", "EPSQL_DATA_URL", "EPSQL_POLICY"} <= names
    assert set(environment("migrate")) == {"EPSQL_LEDGER_URL"}


def test_the_settings_of_the_examples_are_read(monkeypatch):
    for name, value in environment("epsql").items():
        monkeypatch.setenv(name, value)
    settings = read_settings(Settings)
    assert settings.data_url.get_secret_value() == environment("epsql")["EPSQL_DATA_URL"]
    assert str(settings.port) in SERVICES["epsql"]["ports"][0].split(":")


def test_nothing_is_open_but_epsql_on_this_host():
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            assert name == "epsql"
            assert port.startswith("127.0.0.1:")
    networks = COMPOSE["networks"]
    for name in ("ledger", "data"):
        assert networks[name]["internal"] is True
    assert set(SERVICES["data"]["networks"]).isdisjoint(SERVICES["ledger"]["networks"])


def test_secrets_stand_in_no_file_of_the_repository():
    text = (ROOT / "docker-compose.yml").read_text() + (ROOT / "Dockerfile").read_text()
    assert not re.search(r"PASSWORD\s*[:=]", text)
    assert "://" not in re.sub(r"http://127\.0\.0\.1:\d+/readyz", "", text)
    assert "examples/compose/*.env" in (ROOT / ".gitignore").read_text().split("\n")
    # epsql reads the data as a role of its own, never as its owner.
    owner = environment("data")
    assert owner["POSTGRES_USER"] not in environment("epsql")["EPSQL_DATA_URL"]
    assert owner["POSTGRES_PASSWORD"] not in environment("epsql")["EPSQL_DATA_URL"]
    # It serves the ledger as a role that cannot rewrite it, and migrates it as the owner.
    owner = environment("ledger")
    assert owner["POSTGRES_USER"] not in environment("epsql")["EPSQL_LEDGER_URL"]
    assert owner["POSTGRES_PASSWORD"] not in environment("epsql")["EPSQL_LEDGER_URL"]
    assert owner["POSTGRES_USER"] in environment("migrate")["EPSQL_LEDGER_URL"]


def test_epsql_starts_after_the_ledger_is_migrated():
    for name in ("ledger", "data", "epsql"):
        assert "test" in SERVICES[name]["healthcheck"]
    waits = SERVICES["epsql"]["depends_on"]
    assert waits["migrate"]["condition"] == "service_completed_successfully"
    assert waits["data"]["condition"] == "service_healthy"
    assert SERVICES["migrate"]["depends_on"]["ledger"]["condition"] == "service_healthy"
    assert SERVICES["epsql"]["read_only"] is True
    assert SERVICES["epsql"]["cap_drop"] == ["ALL"]


def test_the_container_runs_commands_that_exist(capsys):
    docker = (ROOT / "Dockerfile").read_text()
    commands = [yaml.safe_load(text) for text in re.findall(r"^CMD (.*)$", docker, re.MULTILINE)]
    commands.append(SERVICES["migrate"]["command"])
    for command in commands:
        with pytest.raises(SystemExit) as ended:
            main([*command, "--help"])
        assert ended.value.code == 0
        assert command[0] in capsys.readouterr().out


def test_the_image_is_not_root_and_gets_only_what_it_copies():
    docker = (ROOT / "Dockerfile").read_text()
    last_stage = docker[docker.rindex("\nFROM ") :]
    assert re.search(r"^USER epsql$", last_stage, re.MULTILINE)
    ignore = (ROOT / ".dockerignore").read_text().split("\n")
    assert next(line for line in ignore if line and line[0] != "#") == "*"
    for copied in re.findall(r"^COPY (?!--from)(.*) \S+$", docker, re.MULTILINE):
        for name in copied.split():
            assert f"!{name}" in ignore
            assert (ROOT / name).exists()


# -- walls that import-linter cannot see ----------------------------------------------------------


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_the_fronts_do_not_know_each_other():
    for here, there in (("web", "server.wire"), ("wire", "server.web")):
        for path in (ROOT / "server" / here).rglob("*.py"):
            assert not {name for name in imports(path) if name.startswith(there)}, path


def test_noise_never_comes_from_a_generator_with_a_seed():
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            found = imports(path) & {"random", "numpy.random"}
            assert not found, path
            assert "np.random" not in path.read_text(), path
            assert ".set_seed" not in path.read_text(), path
