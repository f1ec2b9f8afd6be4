"""``make bench``: tables of ratios on an embedded PostgreSQL with the NAFLD example."""

from __future__ import annotations

import sys

from benchmarks import analysis, bounding, indexes, ledger, road, shadow, wire
from server.demo_data import POLICY, prepare
from server.embedded import EmbeddedPostgres
from server.policy import load_policy


def main() -> None:
    catalog = load_policy(POLICY)
    print("Loading the NAFLD example ...", file=sys.stderr)
    with EmbeddedPostgres() as postgres:
        databases = prepare(postgres, lambda line: print(line, file=sys.stderr))
        _print("Reservations, durable", ledger.run(postgres))
        _print("Analysis, processor time", analysis.run(catalog))
        _print("The Postgres behind Postgres clients", shadow.run(catalog))
        _print(
            "Emitted SQL beside the raw query, processor time of the backend",
            bounding.run(catalog, postgres.url("nafld")),
        )
        _print("An index by owner, ratios to the raw query", indexes.run(postgres))
        _print(
            "A question over HTTP beside the raw query over psycopg, wall time",
            road.run(catalog, databases, postgres.url("nafld")),
        )
        rates, memory = wire.run(catalog, databases, postgres.url("nafld"))
        _print("Postgres clients, eight connections at once", rates)
        _print("Postgres clients, memory", memory)


def _print(title: str, rows: list[tuple[str, ...]]) -> None:
    """A table in Markdown."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (w + 2) for w in widths) + "|"
    print("\n".join(["", f"## {title}", "", lines[0], rule, *lines[1:]]))


if __name__ == "__main__":
    main()
