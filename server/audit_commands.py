"""What the commands of ``epsql audit`` and ``epsql ledger`` do."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from accountant.audit import Auditor
from accountant.grants import grants_sql
from accountant.journal_files import NotAJournal, audit, export, verify
from server.office import Office, Refused, in_the_office


@in_the_office
async def ledger(office: Office, _: Namespace) -> int:
    """Reads the whole journal, and holds the tables against it."""
    return _report(await audit(office.engine))


@in_the_office
async def to_file(office: Office, options: Namespace) -> None:
    try:
        count = await export(office.engine, Path(options.file))
    except FileExistsError:
        raise Refused("the file is there already") from None
    print(f"{count} entries. It holds the analysts' SQL and noisy answers.")


def file(options: Namespace) -> int:
    """Checks an exported journal. Needs no database and no settings."""
    try:
        return _report(verify(Path(options.file)))
    except NotAJournal as error:
        raise Refused(str(error)) from None
    except OSError as error:
        raise Refused(f"the file cannot be read: {error.strerror}") from None


@in_the_office
async def acknowledge(office: Office, options: Namespace) -> None:
    receipt = await office.ledger.acknowledge(by=office.by, reason=options.reason)
    print(f"The ledger is taken as it is, by entry {receipt.number}.")


def grants(options: Namespace) -> None:
    print(grants_sql(options.role), end="")


def _report(found: Auditor) -> int:
    """Prints what there is and what does not fit; 1 if anything does not."""
    print(f"{found.number} entries, the last with the hash {found.hash.hex()}")
    for state, count in sorted(found.states.items()):
        print(f"{count} releases {state}")
    print(f"{len(found.made.accounts)} accounts, each made anew from its entries")
    for finding in found.findings:
        print(f"WRONG: {finding}")
    print(f"{len(found.findings)} findings" if found.findings else "Everything fits.")
    return 1 if found.findings else 0
