"""Where a key stands in a TOML text. ``tomllib`` reads values but forgets their lines."""

from __future__ import annotations

from collections.abc import Iterator

Path = tuple[str, ...]

_CLOSERS = {"[": "]", "{": "}"}


def key_lines(text: str) -> dict[Path, int]:
    """The 1-based line of every key path and table header of a TOML document.

    Keys of an inline table stand on the line of the key they belong to and are not listed; elements
    of arrays neither. :func:`line_of` looks for the nearest path above.

    Args:
        text: a document that ``tomllib`` has accepted; other text gives some result or other.
    """
    lines: dict[Path, int] = {}
    table: Path = ()
    for kind, keys, line in _statements(text):
        if kind == "[":
            table = keys
        path = keys if kind == "[" else table + keys
        for length in range(1, len(path) + 1):
            lines.setdefault(path[:length], line)
        lines[path] = line
    return lines


def line_of(lines: dict[Path, int], path: Path) -> int:
    """The line of a path, or of the nearest path above it that has one; 1 for the document."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return 1


def _statements(text: str) -> Iterator[tuple[str, Path, int]]:
    """Each header (``"["``) and each assignment (``"="``) with its dotted key and line."""
    at = 0
    while at < len(text):
        if text[at] in " \t\r\n":
            at += 1
        elif text[at] == "#":
            at = _end_of_line(text, at)
        else:
            line = text.count("\n", 0, at) + 1
            header = text[at] == "["
            if header:
                at += 2 if text.startswith("[[", at) else 1
            keys, at = _dotted_key(text, at)
            yield ("[" if header else "="), keys, line
            at = _end_of_line(text, at) if header else _end_of_value(text, at)


def _dotted_key(text: str, at: int) -> tuple[Path, int]:
    """Reads ``a."b c".d`` up to the ``]`` or ``=`` that ends it, and steps over that."""
    keys: list[str] = []
    bare = ""
    while at < len(text) and text[at] not in "]=\n":
        if text[at] in "\"'":
            end = _end_of_string(text, at)
            bare += text[at + 1 : end - 1]
            at = end
            continue
        if text[at] == ".":
            keys.append(bare)
            bare = ""
        elif text[at] not in " \t":
            bare += text[at]
        at += 1
    return (*keys, bare), at + 1


def _end_of_value(text: str, at: int) -> int:
    """Steps over a value: to the end of the line on which no bracket of it is open any more."""
    closers: list[str] = []
    while at < len(text) and (closers or text[at] != "\n"):
        char = text[at]
        if char in "\"'":
            at = _end_of_string(text, at)
            continue
        if char == "#":
            at = _end_of_line(text, at)
            continue
        if char in _CLOSERS:
            closers.append(_CLOSERS[char])
        elif closers and char == closers[-1]:
            closers.pop()
        at += 1
    return at


def _end_of_string(text: str, at: int) -> int:
    """Steps over a string of any of TOML's four kinds; returns the place after its last quote."""
    quote = text[at]
    long = text.startswith(quote * 3, at)
    at += 3 if long else 1
    while at < len(text):
        if text[at] == "\\" and quote == '"':
            at += 2
        elif long and text.startswith(quote * 3, at):
            at += 3
            while at < len(text) and text[at] == quote:  # up to two quotes may end the content
                at += 1
            return at
        elif not long and text[at] in (quote, "\n"):
            return at + 1
        else:
            at += 1
    return at


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end
