"""The rights that epsql's role needs on the data, as SQL for the data owner to run."""

from __future__ import annotations

from analyzer.catalog import Catalog


def grants_sql(catalog: Catalog, role: str) -> str:
    """GRANT statements that leave a role with SELECT on the declared columns and nothing else.

    They can be run again after the policy has changed: what is no longer declared is revoked.

    Args:
        catalog: what the data owner declared.
        role: an existing role, which is to belong to no other role and own nothing.
    """
    grantee = quoted(role)
    schemas = sorted({table.schema for table in catalog.tables.values()})
    lines = [
        f"-- Rights of {role} on {catalog.dataset}. Run in the data's database, as its owner.",
        "-- Everybody may make temporary tables unless that is taken from everybody.",
        f"DO $$ DECLARE here text := current_database(); reader text := {_literal(role)}; BEGIN",
        "  EXECUTE format('REVOKE CREATE, TEMPORARY ON DATABASE %I FROM PUBLIC', here);",
        "  EXECUTE format('REVOKE ALL ON DATABASE %I FROM %I', here, reader);",
        "  EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', here, reader);",
        "END $$;",
    ]
    for schema in schemas:
        lines += [
            f"REVOKE CREATE ON SCHEMA {quoted(schema)} FROM PUBLIC;",
            f"REVOKE ALL ON SCHEMA {quoted(schema)} FROM {grantee};",
            f"REVOKE ALL ON ALL TABLES IN SCHEMA {quoted(schema)} FROM {grantee};",
            f"GRANT USAGE ON SCHEMA {quoted(schema)} TO {grantee};",
        ]
    for table in sorted(catalog.tables.values(), key=lambda table: (table.schema, table.relation)):
        columns = ", ".join(quoted(name) for name in table.columns)
        place = f"{quoted(table.schema)}.{quoted(table.relation)}"
        lines.append(f"GRANT SELECT ({columns}) ON {place} TO {grantee};")
    return "\n".join(lines) + "\n"


def quoted(name: str) -> str:
    """A name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
