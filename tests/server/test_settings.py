"""Settings come from the environment, are checked, and keep their secrets."""

from __future__ import annotations

import pytest

from server.settings import LedgerSettings, LogLevel, Settings, SettingsError, read_settings

SECRET = "s3cr3t-canary"
GOOD = {
    "EPSQL_LEDGER_URL": f"postgresql://ledger:{SECRET}@db/ledger",
    "EPSQL_DATA_URL": f"postgresql://reader:{SECRET}@db/clinic",
    "EPSQL_POLICY": "clinic.toml",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_every_setting_says_what_it_is_for():
    for name, field in Settings.model_fields.items():
        assert field.description, name


def test_secrets_are_not_printed():
    settings = read_settings(Settings)
    assert SECRET not in repr(settings) + str(settings) + str(settings.model_dump())
    assert SECRET in settings.ledger_url.get_secret_value()


@pytest.mark.parametrize("name", GOOD)
def test_what_is_missing_is_named(environment, name):
    environment.delenv(name)
    with pytest.raises(SettingsError, match=f"{name}: is not set"):
        read_settings(Settings)


@pytest.mark.parametrize(
    "name,value",
    [
        ("EPSQL_LEDGER_URL", f"mysql://{SECRET}@db/x"),
        ("EPSQL_DATA_URL", SECRET),
        ("EPSQL_PORT", SECRET),
        ("EPSQL_PORT", "65536"),
        ("EPSQL_QUERIES_AT_ONCE", "0"),
        ("EPSQL_STATEMENT_SECONDS", "0"),
        ("EPSQL_LOG_LEVEL", "loud"),
        ("EPSQL_SELECTION_KEY", SECRET),
    ],
)
def test_what_is_wrong_is_named_but_not_repeated(environment, name, value):
    environment.setenv(name, value)
    with pytest.raises(SettingsError, match=name) as caught:
        read_settings(Settings)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "name, meant",
    [
        ("EPSQL_LEDGERHEAD", "EPSQL_LEDGER_HEAD"),
        ("EPSQL_LEDGER_HEAD_FILE", "EPSQL_LEDGER_HEAD"),
        ("EPSQL_PROT", "EPSQL_PORT"),
        ("EPSQL_SHARED_LOGINS", "EPSQL_WIRE_SHARED_LOGINS"),
    ],
)
def test_a_misspelled_setting_is_not_taken_for_one_that_is_not_set(environment, name, meant):
    environment.setenv(name, SECRET)
    for kind in (Settings, LedgerSettings):
        with pytest.raises(SettingsError) as caught:
            read_settings(kind)
        assert str(caught.value) == f"{name}: is no setting; did you mean {meant}?"


@pytest.mark.parametrize(
    "name",
    [
        *("EPSQL_URL", "EPSQL_PSQL", "EPSQL_TOKEN", "EPSQL_ADMIN_TOKEN"),
        *("EPSQL_SERVICE_HOST", "EPSQL_SERVICE_PORT", "EPSQL_PORT_8432_TCP"),
        "EPSQL_PORT_8432_TCP_PORT",
    ],
)
def test_variables_of_the_demo_and_of_kubernetes_are_let_be(environment, name):
    environment.setenv(name, "x")
    read_settings(Settings)


def test_the_ledger_alone_needs_only_its_own(environment):
    environment.delenv("EPSQL_DATA_URL")
    environment.delenv("EPSQL_POLICY")
    assert read_settings(LedgerSettings).ledger_url.get_secret_value() == GOOD["EPSQL_LEDGER_URL"]


def test_a_policy_is_a_file_a_directory_or_several(environment, tmp_path):
    for name in ("b.toml", "a.toml", "notes.md"):
        (tmp_path / name).touch()
    environment.setenv("EPSQL_POLICY", f"x/one.toml, {tmp_path}")
    files = read_settings(Settings).policy_files()
    assert [file.name for file in files] == ["one.toml", "a.toml", "b.toml"]
    empty = tmp_path / "empty"
    empty.mkdir()
    environment.setenv("EPSQL_POLICY", str(empty))
    with pytest.raises(SettingsError, match="EPSQL_POLICY"):
        read_settings(Settings).policy_files()


def test_levels_are_words(environment):
    environment.setenv("EPSQL_LOG_LEVEL", "warning")
    assert read_settings(Settings).log_level is LogLevel.WARNING
