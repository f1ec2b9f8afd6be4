"""The rights of the role that serves, as SQL: it appends to the journal, and rewrites none of it.

The tables belong to another role, which migrates them. What the serving role may change are the
tables that follow from the journal; the audit finds what it would change there alone.
"""

from __future__ import annotations

_RIGHTS = {
    "entries": "SELECT, INSERT",
    "head": "SELECT, UPDATE (number, hash, at)",
    "accounts": (
        "SELECT, INSERT, UPDATE (unit, epsilon_cap, delta_cap, rho_cap, epsilon_spent, delta_spent,"
        " rho_spent, slack_spent, state, window_kind, window_number, window_epsilon_cap,"
        " window_delta_cap, window_epsilon_spent, window_delta_spent, window_rho_spent,"
        " window_slack_spent)"
    ),
    "analysts": "SELECT, INSERT, UPDATE (disabled_at)",
    "members": "SELECT, INSERT, DELETE",
    "datasets": "SELECT, INSERT, UPDATE (epoch)",
    "tokens": "SELECT, INSERT, UPDATE (revoked_at)",
    "workers": "SELECT, INSERT, UPDATE (gone_at)",
    "secrets": "SELECT",
    "alembic_version": "SELECT",
}


def grants_sql(role: str) -> str:
    """Statements that leave an existing role with what serving needs, and nothing else.

    They can be run again after a migration.
    """
    grantee = '"' + role.replace('"', '""') + '"'
    name = "'" + role.replace("'", "''") + "'"
    lines = [
        f"-- Rights of {role} on the ledger. Run in the ledger's database, as the tables' owner.",
        f"DO $$ DECLARE here text := current_database(); role text := {name}; BEGIN",
        "  EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', here);",
        "  EXECUTE format('REVOKE ALL ON DATABASE %I FROM %I', here, role);",
        "  EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', here, role);",
        "END $$;",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC;",
        f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {grantee};",
        f"GRANT USAGE ON SCHEMA public TO {grantee};",
    ]
    lines += [f"GRANT {rights} ON {table} TO {grantee};" for table, rights in _RIGHTS.items()]
    return "\n".join(lines) + "\n"
