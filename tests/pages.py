"""The documentation, as tests read it: pages, links, and fenced blocks with what is said of them.

A block's first word is its language. What follows is for the tests: ``sql private_keys`` is a query
that gets the error ``private_keys``, ``sql clinic`` is asked of the data set of ``tests/fixture.py``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_FENCE = re.compile(r"^```(\S*) *(.*)$")
_HEADING = re.compile(r"^#{1,6} +(.*)$")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block. ``str`` names it for a test's id and a failure's text."""

    page: str
    line: int
    language: str
    words: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Every page that is written for people, decisions included."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    return sorted(found)


def blocks(page: Path, *languages: str) -> list[Block]:
    """The fenced blocks of some languages, in order."""
    found: list[Block] = []
    fence: tuple[int, str, str] | None = None
    lines: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        match = _FENCE.match(line)
        if match is None:
            lines.append(line)
        elif fence is None:
            fence, lines = (number, match[1], match[2]), []
        else:
            at, language, words = fence
            name = page.relative_to(ROOT).as_posix()
            found.append(Block(name, at, language, tuple(words.split()), "\n".join(lines)))
            fence = None
    assert fence is None, f"{page.name}: a block is not closed"
    return [block for block in found if block.language in languages]


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return re.sub(
        r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )


def links(page: Path) -> list[str]:
    """The targets of links, outside of blocks."""
    return _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """What a link to a place in the page can say after ``#``, as GitHub makes it of headings."""
    found = set()
    for line in prose(page).splitlines():
        match = _HEADING.match(line)
        if match:
            text = re.sub(r"[^\w\- ]", "", match[1].lower())
            found.add(text.strip().replace(" ", "-"))
    return found


def table_rows(page: Path) -> list[list[str]]:
    """The cells of every table row of a page, marks of code and emphasis taken off."""
    rows = []
    for line in prose(page).splitlines():
        if line.startswith("|") and not re.fullmatch(r"[|\s:-]+", line):
            cells = re.split(r"(?<!\\)\|", line.strip()[1:-1])
            rows.append([cell.replace("\\|", "|").replace("`", "").strip() for cell in cells])
    return rows
