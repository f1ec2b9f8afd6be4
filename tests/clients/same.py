"""Two reports of one script, from two servers: the same but for what is known to differ."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping


def assert_same(wanted: str, got: str, known: Mapping[str, str] | None = None) -> None:
    """Fails with the lines that differ.

    ``known`` maps the beginning of a line, to the name of its check, to what epsql answers there:
    a regular expression for the rest of the line. It has to match, and the line has to differ.
    """
    known = dict(known or {})
    expected = wanted.splitlines()
    lines = []
    for line in got.splitlines():
        name = next((name for name in known if line.startswith((f"{name}: ", f"{name} ! "))), None)
        if name is None:
            lines.append(line)
            continue
        rest = line.removeprefix(name)
        assert re.search(known.pop(name), rest), line
        at = [
            i for i, other in enumerate(expected) if other.startswith((f"{name}: ", f"{name} ! "))
        ]
        assert at, f"only epsql says {line}"
        assert expected[at[0]] != line, f"{name} is the same now: take it out of what is known"
        lines.append(expected[at[0]])
    assert not known, f"not said: {known}"
    different = "\n".join(
        difflib.unified_diff(expected, lines, "Postgres", "epsql", lineterm="", n=1)
    )
    assert not different, different
