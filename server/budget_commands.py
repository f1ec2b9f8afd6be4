"""What the commands of ``epsql budget``, ``group`` and ``dataset`` do."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from accountant.accounts import Account
from accountant.administration import Holder
from accountant.errors import NoAccount
from accountant.filters import shares, spent_epsilon
from accountant.losses import delta_as_text, epsilon_as_text, floor_delta, floor_epsilon
from server.office import Office, Refused, in_the_office, print_table
from server.replies import share_text


@in_the_office
async def show(office: Office, options: Namespace) -> None:
    accounts = await office.ledger.accounts(options.dataset)
    if options.dataset is not None and not accounts:
        raise Refused(f"the ledger has no data set {options.dataset}")
    await _show(office, accounts)


@in_the_office
async def move(office: Office, options: Namespace) -> None:
    """``set``, ``grant``, ``raise`` and ``lower``."""
    if options.epsilon is None and options.delta is None:
        raise Refused(f"say what to {options.verb}: --epsilon, --delta or both")
    caps = _caps(options)
    holder = await _holder(office, options)
    with _in_words(options):
        if holder is not None and options.verb == "set":  # What is there is left as it is.
            opened = (caps["epsilon_cap"] or 0, caps["delta_cap"] or 0)
            await office.ledger.open_account(
                holder, options.dataset, *opened, by=office.by, reason=options.reason
            )
        accounts = await office.ledger.set_cap(
            holder, options.dataset, **caps, verb=options.verb, **_where(office, options)
        )
    await _show(office, accounts)


@in_the_office
async def shut(office: Office, options: Namespace) -> None:
    """``freeze``, ``thaw`` and ``close``."""
    with _in_words(options):
        accounts = await office.ledger.set_state(
            await _holder(office, options),
            options.dataset,
            options.state,
            **_where(office, options),
        )
    await _show(office, accounts)


@in_the_office
async def pace(office: Office, options: Namespace) -> None:
    kind = None if options.window == "none" else options.window
    if kind is not None and options.epsilon is None:
        raise Refused("say how much of epsilon may be spent in one window: --epsilon")
    caps: dict[str, Any] = {name: cap or 0 for name, cap in _caps(options).items()}
    with _in_words(options):
        accounts = await office.ledger.set_window(
            await _holder(office, options),
            options.dataset,
            kind,
            **caps,
            **_where(office, options),
        )
    await _show(office, accounts)


@in_the_office
async def group_join(office: Office, options: Namespace) -> None:
    who = {"by": office.by, "reason": options.reason}
    try:
        await office.ledger.join_group(options.group, options.name, **who)
    except ValueError as error:
        raise Refused(str(error)) from None
    print(f"{options.name} is in {options.group}; its accounts are charged from now on.")


@in_the_office
async def group_leave(office: Office, options: Namespace) -> None:
    who = {"by": office.by, "reason": options.reason}
    await office.ledger.leave_group(options.group, options.name, **who)
    print(f"{options.name} is not in {options.group}. What the group spent stays spent.")


@in_the_office
async def group_list(office: Office, _: Namespace) -> None:
    found = await office.ledger.groups()
    print_table(
        ("group", "analysts"), [(group, ", ".join(names)) for group, names in found.items()]
    )


@in_the_office
async def epoch(office: Office, options: Namespace) -> None:
    try:
        number = await office.ledger.advance_epoch(
            options.dataset, by=office.by, reason=options.reason
        )
    except NoAccount:
        raise Refused(f"the ledger has no data set {options.dataset}") from None
    print(f"{options.dataset} is in epoch {number}: stored answers are not given again.")


async def _holder(office: Office, options: Namespace) -> Holder:
    if options.analyst is not None:
        return (await office.ledger.find_analyst(options.analyst)).id
    group: str | None = options.group
    return group


def _where(office: Office, options: Namespace) -> dict[str, Any]:
    return {"unit": options.unit, "by": office.by, "reason": options.reason}


def _caps(options: Namespace) -> dict[str, Any]:
    return {
        "epsilon_cap": None if options.epsilon is None else floor_epsilon(options.epsilon),
        "delta_cap": None if options.delta is None else floor_delta(options.delta),
    }


@contextmanager
def _in_words(options: Namespace) -> Iterator[None]:
    """What the ledger does not do with an account, said to the operator."""
    try:
        yield
    except NoAccount:
        raise Refused(f"the ledger has no such account on {options.dataset}") from None
    except ValueError as error:
        raise Refused(str(error)) from None


async def _show(office: Office, accounts: Iterable[Account]) -> None:
    names = {str(analyst.id): analyst.name for analyst in await office.ledger.list_analysts()}
    print_table(
        ("data set", "unit", "account", "state", "used", "epsilon", "of", "delta", "of", "window"),
        [_row(account, names) for account in accounts],
    )


def _row(account: Account, names: dict[str, str]) -> tuple[str, ...]:
    """One line: the share that is used, and what is spent in epsilon at the account's delta."""
    dataset, unit, scope, holder = account.key
    window = account.window
    return (
        dataset,
        unit,
        {"everyone": "(everyone)", "group": f"group {holder}"}.get(scope) or names[holder],
        account.state,
        share_text(shares(account.spent, account.cap).least),
        epsilon_as_text(spent_epsilon(account.spent, account.cap)),
        epsilon_as_text(account.cap.epsilon),
        delta_as_text(account.spent.delta),
        delta_as_text(account.cap.delta),
        ""
        if window is None
        else f"{share_text(shares(window.spent, window.cap).least)} of"
        f" {epsilon_as_text(window.cap.epsilon)} a {window.kind}",
    )
