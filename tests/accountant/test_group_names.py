"""Groups are shown by name beside the accounts of oneself and of everyone."""

from __future__ import annotations

import pytest

from accountant.people import must_name_a_group


@pytest.mark.parametrize("name", ["analyst", "everyone", "group", "Staff", "", "a" * 64])
def test_names_that_no_group_can_have(name):
    """One called ``analyst`` made every session of its members end at ``epsql.budget``."""
    with pytest.raises(ValueError, match="a group's name"):
        must_name_a_group(name)


def test_names_that_a_group_can_have():
    must_name_a_group("staff")
    must_name_a_group("analysts")
