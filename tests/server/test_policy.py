"""Policy files: what is read, exactly; what is refused, with its line."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest

from analyzer.asks import EpsilonAsk, RhoAsk
from analyzer.catalog import Hop, Limits, Most, PrivacyUnit, ValuesFrom
from analyzer.types import Type
from server.demo_data import POLICY
from server.policy import Mistake, PolicyError, load_policy, parse_policy
from server.policy_lines import key_lines, line_of

GOOD = """\
dataset = "clinic"
[privacy_unit]
table = "patients"
key = "id"
[contribution]
max_rows_contributed = 20
max_groups_contributed = 5
[budgets.analyst]
epsilon = 3
delta = "1e-6"
[budgets.dataset]
epsilon = 10
delta = 1e-5
[losses.default]
epsilon = 0.1
delta = "1e-9"
[losses.maximum]
epsilon = 1
delta = "1e-7"
[tables.patients]
[tables.patients.columns]
id = { type = "bigint", nullable = false }
age = { type = "smallint", lower = 0, upper = 120 }
city = { type = "varchar(40)", values_from = "cities.name" }
born = { type = "date", values = [2000-01-01, 2000-01-02] }
[tables.visits]
relation = "care.visit"
path = ["patient_id -> patients.id"]
max_rows_contributed = 7
[tables.visits.columns]
patient_id = { type = "integer" }
cost = { type = "numeric(12,2)", lower = 0, upper = 10000, tick = 0.05 }
[tables.lines]
path = ["visit -> stays.id", "patient_id -> patients.id"]
[tables.lines.columns]
visit = { type = "uuid" }
[tables.stays]
path = ["patient_id -> patients.id"]
unique = [["id"]]
[tables.stays.columns]
id = { type = "uuid", nullable = false }
patient_id = { type = "bigint" }
[tables.cities]
protected = false
[tables.cities.columns]
name = { type = "text" }
"""


def mistakes(text: str) -> list[Mistake]:
    with pytest.raises(PolicyError) as error:
        parse_policy(text)
    return list(error.value.mistakes)


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1, old
    return GOOD.replace(old, new)


def test_a_good_policy_becomes_a_catalog():
    catalog = parse_policy(GOOD)
    assert catalog.units == (PrivacyUnit("patients", "id"),)
    assert catalog.default_ask == EpsilonAsk(Fraction(1, 10), Fraction(1, 10**9))
    assert catalog.most == Most(Fraction(1), Fraction(1, 10**7))
    assert catalog.analyst_limits == Limits(Fraction(3), Fraction(1, 10**6))
    assert catalog.dataset_limits == Limits(Fraction(10), Fraction(1, 10**5))
    assert (catalog.max_rows_contributed, catalog.max_groups_contributed) == (20, 5)
    patients, visits = catalog.tables["patients"], catalog.tables["visits"]
    assert (patients.schema, patients.relation) == ("public", "patients")
    assert patients.keys == (("id",),)
    assert patients.path == ()
    assert (visits.schema, visits.relation) == ("care", "visit")
    assert visits.path == (Hop("patient_id", "patients", "id"),)
    assert visits.max_rows_contributed == 7
    assert patients.columns["age"].type is Type.INT4
    assert patients.columns["city"].type is Type.TEXT
    assert patients.columns["city"].values_from == ValuesFrom("cities", "name")
    assert patients.columns["born"].values == (date(2000, 1, 1), date(2000, 1, 2))
    cost = visits.columns["cost"]
    assert (cost.type, cost.precision, cost.scale) == (Type.NUMERIC, 12, 2)
    assert (cost.lower, cost.upper) == (Fraction(0), Fraction(10000))
    assert cost.tick == Fraction(1, 20)
    assert catalog.tables["lines"].path[0] == Hop("visit", "stays", "id")


def test_nothing_is_public_unless_it_is_said():
    catalog = parse_policy(GOOD)
    public = [name for name, table in catalog.tables.items() if not table.protected]
    assert public == ["cities"]


def test_a_catalog_cannot_be_changed():
    catalog = parse_policy(GOOD)
    with pytest.raises(TypeError):
        catalog.tables["x"] = catalog.tables["cities"]  # type: ignore[index]


def test_the_version_follows_meaning_and_nothing_else():
    version = parse_policy(GOOD).version
    assert re.fullmatch("[0-9a-f]{64}", version)
    assert parse_policy("# a comment\n" + GOOD).version == version
    assert parse_policy('description = "words"\n' + GOOD).version == version
    assert parse_policy(changed("epsilon = 0.1", 'epsilon = "0.10"')).version == version
    none = changed("max_rows_contributed = 7", "max_rows_contributed = 7\nunit_index = false")
    assert parse_policy(none).version == version
    assert parse_policy(none.replace("index = false", "index = true")).version != version
    for old, new in [
        ("upper = 120", "upper = 121"),
        ('"1e-9"', '"2e-9"'),
        ("2000-01-02", "2000-01-03"),
        ("smallint", "bigint"),
    ]:
        assert parse_policy(changed(old, new)).version != version, old


def test_the_example_is_a_policy():
    catalog = load_policy(POLICY)
    assert set(catalog.tables) == {"patients", "labs", "events"}
    assert catalog.tables["events"].columns["event"].values is None
    assert catalog.tables["labs"].columns["value"].tick == Fraction(1, 10)


# Each: what is changed in the good policy, the text of the line that is named, key path, message.
REFUSED = [
    ("upper = 120", "upper = -1", "age =", "columns.age.lower", "less than upper"),
    ("upper = 120", "upper = 0", "age =", "columns.age.lower", "less than upper"),
    (", upper = 120", "", "age =", "columns.age", "upper is missing"),
    ("upper = 120", "upper = nan", "age =", "age.upper", "finite"),
    ("upper = 120", "upper = inf", "age =", "age.upper", "finite"),
    ("upper = 120", "upper = true", "age =", "age.upper", "must be a number"),
    ("upper = 120", 'upper = "a lot"', "age =", "age.upper", "must be a number"),
    ("upper = 120", "upper = 1e99", "age =", "age.upper", "1e40"),
    ("upper = 120", "upper = 3000000000", "age =", "age.lower", "do not fit into integer"),
    ("upper = 120", "uper = 120", "age =", "age.uper", 'did you mean "upper"?'),
    ("tick = 0.05", "tick = 0", "cost =", "cost.tick", "greater than 0"),
    ("tick = 0.05", "tick = 20000", "cost =", "cost.tick", "larger than the way"),
    ("upper = 10000, tick = 0.05", "upper = 1e15", "cost =", "columns.cost", "2^53"),
    ("max_rows_contributed = 7", "max_rows_contributed = 0", "max_rows_contributed = 0", "tables.visits.max_rows_contributed", "1"),
    ("protected = false", "protected = false\nunit_index = true", "unit_index = true", "tables.cities.unit_index", "one hop"),
    ("max_rows_contributed = 7", "max_rows_contributed = 7.0", "max_rows_contributed = 7.0", "tables.visits.max_rows_contributed", "whole number"),
    ('{ type = "date", values', '{ type = "date", lower = 1, upper = 2, values', "born =", "born.lower", "must be a date"),
    ('{ type = "date", values', '{ type = "date", lower = 2001-01-01, upper = 2000-01-01, values', "born =", "born.lower", "2001-01-01 >= 2000-01-01"),
    ('{ type = "date", values', '{ type = "date", lower = 2001-01-01, upper = 2001-01-01T00:00:00, values', "born =", "born.upper", "must be a date"),
    ('{ type = "date", values', '{ type = "date", lower = 2001-01-01, values', "born =", "columns.born", "upper is missing"),
    ('{ type = "date", values', '{ type = "date", lower = "2001-02-30", upper = 2002-01-01, values', "born =", "born.lower", "no day of the calendar"),
    ('{ type = "date", values', '{ type = "date", tick = 1, values', "born =", "born.tick", "only numbers have tick"),
    ("upper = 120", "upper = 2000-01-01", "age =", "age.upper", "must be a number"),
    ('"cities.name"', '"cities.name", lower = 1, upper = 2', "city =", "city.lower", "only numbers and dates"),
    ("2000-01-02]", "2000-01-01]", "born =", "born.values", "twice"),
    ("2000-01-02]", "7]", "born =", "born.values", "7 is no date"),
    ("[2000-01-01, 2000-01-02]", "[]", "born =", "born.values", "is empty"),
    ("[2000-01-01, 2000-01-02]", "[[1]]", "born =", "born.values", "must be a list of"),
    ('"cities.name"', '"visits.cost"', "city =", "city.values_from", "visits is protected"),
    ('"cities.name"', '"cities.nam"', "city =", "city.values_from", 'did you mean "name"?'),
    ('"cities.name"', '"cities"', "city =", "city.values_from", '"table.column"'),
    ('"cities.name"', '"cities.name", values = ["a"]', "city =", "city.values_from", "exclude"),
    ('"smallint"', '"real"', "age =", "age.type", "six digits"),
    ('"smallint"', '"citext"', "age =", "age.type", "without regard to case"),
    ('"smallint"', '"character(3)"', "age =", "age.type", "pads"),
    ('"smallint"', '"jsonb"', "age =", "age.type", "no type that epsql knows"),
    ('"smallint"', '"integer(3)"', "age =", "age.type", "no such type"),
    ('"smallint"', "4", "age =", "age.type", "name of a type"),
    ('"numeric(12,2)"', '"numeric(2,12)"', "cost =", "cost.type", "no such type"),
    ('id = { type = "bigint", nullable = false }', 'id = { type = "numeric", nullable = false }', "id = {", "columns.id.type", "must be one of"),
    ('id = { type = "bigint", nullable = false }', 'id = { type = "bigint" }', "id = {", "columns.id", "nullable = false"),
    ('key = "id"', 'key = "ident"', 'key = "ident"', "privacy_unit.key", 'did you mean "id"?'),
    ('table = "patients"', 'table = "patient"', 'table = "patient"', "privacy_unit.table", 'did you mean "patients"?'),
    ('path = ["visit -> stays.id", "patient_id -> patients.id"]', 'path = ["visit -> stays.id"]', "path = [", "tables.lines.path", "must end at patients.id, not at stays.id"),
    ('path = ["visit -> stays.id", "patient_id -> patients.id"]', "path = []", "path = []", "tables.lines.path", "is missing"),
    ('path = ["visit -> stays.id", "patient_id -> patients.id"]', 'path = ["visit = stays.id"]', "path = [", "tables.lines.path", "must be written like"),
    ('path = ["visit -> stays.id", "patient_id -> patients.id"]', 'path = ["visit -> patients.id"]', "path = [", "tables.lines.path", "different types"),
    ('path = ["visit -> stays.id", "patient_id -> patients.id"]', 'path = ["visit -> cities.name"]', "path = [", "tables.lines.path", "is public"),
    ('path = ["visit -> stays.id", "patient_id -> patients.id"]', 'path = ["vist -> stays.id"]', "path = [", "tables.lines.path", 'did you mean "visit"?'),
    ('unique = [["id"]]', "", "path = [", "tables.lines.path", "stays.id must be unique"),
    ('unique = [["id"]]', 'unique = [["id"], ["idd"]]', "unique =", "tables.stays.unique", 'did you mean "id"?'),
    ('unique = [["id"]]', 'unique = [["id"], []]', "unique =", "tables.stays.unique", "one or more"),
    ("protected = false", 'protected = false\npath = ["name -> patients.id"]', 'path = ["name', "tables.cities.path", "public table has no path"),
    ("protected = false", "", "[tables.cities]", "tables.cities.path", "how does a row lead to its owner"),
    ("protected = false", "protected = 0", "protected = 0", "tables.cities.protected", "true or false"),
    ("protected = false", "protect = false", "protect = false", "tables.cities.protect", 'did you mean "protected"?'),
    ('relation = "care.visit"', 'relation = "a.b.c"', "relation =", "tables.visits.relation", "schema.relation"),
    ('relation = "care.visit"', 'relation = "patients"', "relation =", "tables.visits.relation", "declared twice"),
    ("[tables.patients]", "[tables.patients]\nprotected = false", "protected = false", "tables.patients.protected", "must be protected"),
    ("epsilon = 3", "epsilon = -3", "epsilon = -3", "budgets.analyst.epsilon", "greater than 0"),
    ("epsilon = 3", "", "[budgets.analyst]", "budgets.analyst.epsilon", "is missing"),
    ("epsilon = 10", "epsilon = 2", "epsilon = 3", "budgets.analyst.epsilon", "not be more than budgets.dataset"),
    ("delta = 1e-5", "delta = 1", "delta = 1", "budgets.dataset.delta", "less than 1"),
    ('delta = "1e-7"', 'delta = "1e-5"', 'delta = "1e-5"', "losses.maximum.delta", "not be more than budgets.analyst"),
    ("epsilon = 0.1", "epsilon = 2", "epsilon = 2", "losses.default.epsilon", "not be more than losses.maximum"),
    ("epsilon = 0.1", "epsilon = 0.1\nrho = 0.01", "[losses.default]", "losses.default", "one of them, and not both"),
    ("epsilon = 0.1", "", "[losses.default]", "losses.default", "needs either epsilon or rho"),
    ("epsilon = 0.1", "rho = 0", "rho = 0", "losses.default.rho", "greater than 0"),
    ("epsilon = 1\n", "\n", "[losses.maximum]", "losses.maximum", "needs epsilon or rho, or both"),
    ('dataset = "clinic"', "dataset = 5", "dataset = 5", "dataset", "string"),
    ('dataset = "clinic"', 'dataset = "My Clinic"', "dataset =", "dataset", "lower-case"),
    ("[tables.cities.columns]", '[tables.cities.columns]\nctid = { type = "text" }', "ctid", "columns.ctid", "system column"),
    ("[tables.cities.columns]", '[tables.cities.columns]\nNAME = { type = "text" }', "NAME", "columns.NAME", "lower-case"),
]  # fmt: skip


def test_a_list_of_values_fits_into_a_statement():
    listed = ", ".join(f'"{number}"' for number in range(50_001))
    text = GOOD.replace('dataset = "clinic"', 'dataset = "clinic"\nmax_keys = 100000')
    text = text.replace('values_from = "cities.name"', f"values = [{listed}]")
    with pytest.raises(PolicyError, match="more than 50000"):
        parse_policy(text)


@pytest.mark.parametrize("old,new,line,key,message", REFUSED)
def test_a_mistake_names_its_line_and_key_and_what_is_right(old, new, line, key, message):
    text = changed(old, new)
    found = mistakes(text)
    # Some mistakes make a second one: a budget below zero is also below what one answer may cost.
    assert len(found) <= 2
    (mistake,) = (mistake for mistake in found if message in mistake.message)
    assert mistake.key.endswith(key)
    assert line in text.split("\n")[mistake.line - 1]


def test_losses_may_be_said_in_rho():
    text = changed("epsilon = 0.1", "rho = 0.001").replace(
        "epsilon = 1\n", "epsilon = 1\nrho = 0.01\n"
    )
    catalog = parse_policy(text)
    assert catalog.default_ask == RhoAsk(Fraction(1, 1000), Fraction(1, 10**9))
    assert catalog.most == Most(Fraction(1), Fraction(1, 10**7), Fraction(1, 100))
    (mistake,) = mistakes(text.replace("rho = 0.001", "rho = 0.1"))
    assert mistake.message == "must not be more than losses.maximum.rho"


def test_bounds_of_dates_are_days_and_a_last_day_is_a_whole_one():
    text = changed(
        'born = { type = "date"',
        'seen = { type = "timestamp", lower = 1970-01-02, upper = 1970-01-03 }\nborn = { type = "date", lower = 1969-12-31, upper = "1970-01-11"',
    )
    columns = next(t for t in parse_policy(text).tables.values() if "seen" in t.columns).columns
    assert (columns["born"].lower, columns["born"].upper) == (Fraction(-1), Fraction(10))
    assert (columns["seen"].lower, columns["seen"].upper) == (
        Fraction(1),
        3 - Fraction(1, 86_400_000_000),
    )


def test_all_mistakes_come_at_once_in_the_order_of_the_file():
    text = changed("upper = 120", "upper = 0").replace("epsilon = 3", "epsilon = 30")
    text = text.replace('unique = [["id"]]', "")
    found = mistakes(text)
    assert [mistake.key for mistake in found] == [
        "budgets.analyst.epsilon",
        "tables.patients.columns.age.lower",
        "tables.lines.path",
    ]
    with pytest.raises(PolicyError, match=r"^policy\.toml:9: budgets\.analyst\.epsilon: must"):
        parse_policy(text, source="policy.toml")


def test_text_that_is_no_toml_has_a_line():
    (found,) = mistakes('dataset = "a"\nbudget = = 3\n')
    assert found.line == 2
    assert "is not TOML" in found.message
    (found,) = mistakes('a = 1\nb = "')
    assert found.line == 2


def test_an_empty_file_allows_nothing():
    assert {mistake.key for mistake in mistakes("")} >= {"dataset", "contribution", "tables"}


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(PolicyError, match="cannot be read: No such file"):
        load_policy(tmp_path / "policy.toml")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(PolicyError, match="not UTF-8"):
        load_policy(tmp_path / "binary")


def test_numbers_never_pass_through_a_float():
    exact = "0.1000000000000000055511151231257827"
    catalog = parse_policy(changed("epsilon = 0.1", f"epsilon = {exact}"))
    assert isinstance(catalog.default_ask, EpsilonAsk)
    assert catalog.default_ask.epsilon == Fraction(exact)
    assert catalog.default_ask.epsilon != Fraction(1, 10)
    values = "values = [0.10, 5], lower = 0"
    catalog = parse_policy(changed("lower = 0, upper = 10000", values + ", upper = 10000"))
    assert catalog.tables["visits"].columns["cost"].values == (Decimal("0.10"), Decimal(5))


def test_lines_of_every_way_to_write_a_key():
    text = '''\
# a comment = with "signs
top = """
[not.a.header]
x = 1 """
list = [
  1, # ]
  "]",
]
[a . "b.c"]   # header
d.e = { f = 1, g = ['}', "\\"}"] }
'h i' = \'\'\'two
lines\'\'\'
[[many]]
x = 1
'''
    lines = key_lines(text)
    assert lines["top",] == 2
    assert lines["list",] == 5
    assert lines["a", "b.c"] == 9
    assert lines["a", "b.c", "d", "e"] == 10
    assert line_of(lines, ("a", "b.c", "d", "e", "f")) == 10
    assert lines["a", "b.c", "h i"] == 11
    assert lines["many", "x"] == 14
    assert line_of(lines, ("nowhere",)) == 1
    assert ("not", "a", "header") not in lines
