"""The command ``epsql``: what it understands. What it does is in ``server.commands``.

Exit codes: 0 it was done; 1 it was refused or failed, and one line on standard error says why;
2 the command line makes no sense.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from importlib import import_module
from typing import TypeAlias

from server.settings import version

_EXAMPLES = """\
examples:
  epsql demo                                  a database, a server and a tour; needs nothing else

  export EPSQL_DATA_URL=postgresql://epsql_reader@localhost/clinic
  export EPSQL_LEDGER_URL=postgresql://epsql_ledger@localhost/ledger
  export EPSQL_POLICY=clinic.toml

  epsql policy draft > clinic.toml            a first policy, to be read and completed
  epsql policy grants epsql_reader | psql     rights for the role that epsql reads with
  epsql policy check                          does the policy fit the database?
  epsql migrate                               make the ledger's tables, or bring them up to date
  epsql serve                                 answer questions
  epsql analyst add ada                       somebody who may ask
  epsql token new ada                         her token, shown once
  epsql budget set clinic --analyst ada --epsilon 5

then, with her token:
  curl http://127.0.0.1:8432/v1/query -H "Authorization: Bearer $TOKEN" \\
    -H "Content-Type: application/json" -d '{"sql": "SELECT count(*) FROM patients"}'

The settings are environment variables, see `epsql serve --help`.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    options = parser().parse_args(arguments)
    from server import commands  # late: so that --help is fast

    logging.getLogger().addHandler(logging.NullHandler())  # what goes wrong is said below
    try:
        module, _, name = options.run.rpartition(".")
        room = import_module(f"server.{module}") if module else commands
        return int(getattr(room, name)(options) or 0)
    except commands.EXPECTED as error:
        print(f"epsql: {commands.in_words(error)}", file=sys.stderr)
    except KeyboardInterrupt:
        print("epsql: interrupted", file=sys.stderr)
    except Exception as error:  # noqa: BLE001 - one line, and not the driver's: it holds addresses
        if os.environ.get("EPSQL_LOG_LEVEL") == "debug":
            traceback.print_exc()
        print(f"epsql: failed: {type(error).__name__}", file=sys.stderr)
    return 1


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = _Parser(prog="epsql", description="psql with an epsilon.", epilog=_EXAMPLES)
    top.add_argument("--version", action="version", version=f"epsql {version()}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    demo = _command(commands, "demo", "a database, a server and a guided tour", "demo")
    demo.add_argument("--once", action="store_true", help="show the tour, then stop")

    serve = _command(commands, "serve", "answer questions until stopped", "serve")
    serve.epilog = _settings_help()
    _command(commands, "migrate", "make the ledger's tables, or bring them up to date", "migrate")

    _policy(_group(commands, "policy", "what the data owner declares"))
    _analyst(_group(commands, "analyst", "who may ask"))
    _budget(_group(commands, "budget", "what may be spent"))
    _groups(_group(commands, "group", "analysts who share a budget"))
    _dataset(_group(commands, "dataset", "what the data owner says of the data"))
    _token(_group(commands, "token", "how they prove who they are"))
    _audit(commands)
    _ledger(_group(commands, "ledger", "the journal itself"))
    return top


class _Parser(argparse.ArgumentParser):
    """Keeps the line breaks of examples."""

    def __init__(self, **words: object) -> None:
        words.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**words)  # type: ignore[arg-type]


_Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"  # noqa: SLF001 - it has no public name


def _command(commands: _Commands, name: str, does: str, run: str) -> _Parser:
    command = commands.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}.")
    command.set_defaults(run=run)
    return command


def _group(commands: _Commands, name: str, about: str) -> _Commands:
    group = commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
    return group.add_subparsers(title="commands", metavar="COMMAND", required=True)


def _policy(group: _Commands) -> None:
    check = _command(group, "check", "hold policies against the database", "policy_check")
    check.add_argument("file", nargs="*", help="policy files; without any, those of EPSQL_POLICY")
    _command(group, "draft", "write a first policy for EPSQL_DATA_URL", "policy_draft")
    grants = _command(group, "grants", "print the rights that epsql's role needs", "policy_grants")
    grants.add_argument("role", help="an existing role that owns nothing")
    _command(group, "helpers", "print indexes that make answers faster", "policy_helpers")


def _analyst(group: _Commands) -> None:
    add = _command(group, "add", "add one, with the budgets that the policies grant", "analyst_add")
    add.add_argument("name", help="a to z, then up to 62 of a-z 0-9 _ . - ; never used again")
    _reason(add)
    _command(group, "list", "list them", "analyst_list")
    disable = _command(group, "disable", "shut one out, at once", "analyst_disable")
    disable.add_argument("name")
    _reason(disable)
    enable = _command(group, "enable", "let one back in, with what is left", "analyst_enable")
    enable.add_argument("name")
    _reason(enable)


def _budget(group: _Commands) -> None:
    show = _command(group, "show", "show caps and what is spent", "budget_commands.show")
    show.add_argument("dataset", nargs="?", help="without one: all of them")
    for verb, does in (
        ("set", "move a cap, or open an account; never below what is spent"),
        ("grant", "add to a cap"),
        ("raise", "move a cap up"),
        ("lower", "move a cap down; never below what is spent"),
    ):
        cap = _account(_command(group, verb, does, "budget_commands.move"))
        cap.set_defaults(verb=verb)
        _loss_options(cap)
    for verb, state, does in (
        ("freeze", "frozen", "charge nothing to an account until it is thawed"),
        ("thaw", "open", "end a freeze"),
        ("close", "closed", "charge nothing to an account any more, for good"),
    ):
        _account(_command(group, verb, does, "budget_commands.shut")).set_defaults(state=state)
    pace = _account(
        _command(group, "window", "pace an account; its cap stays", "budget_commands.pace")
    )
    pace.add_argument("window", choices=["day", "week", "month", "none"])
    _loss_options(pace)


def _account(command: _Parser) -> _Parser:
    """The arguments that say which account, and why."""
    command.add_argument("dataset")
    whose = command.add_mutually_exclusive_group()
    whose.add_argument("--analyst", metavar="NAME", help="without: the account over everyone")
    whose.add_argument("--group", metavar="NAME", help="the account of a group of analysts")
    command.add_argument("--unit", metavar="TABLE", help="one privacy unit; without: each of them")
    _reason(command)
    return command


def _loss_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--epsilon", type=_loss, help="a decimal number, taken exactly")
    command.add_argument("--delta", type=_loss, help="a decimal number, taken exactly: 1e-6")


def _groups(group: _Commands) -> None:
    join = _command(group, "join", "make an analyst a member", "budget_commands.group_join")
    leave = _command(group, "leave", "end a membership", "budget_commands.group_leave")
    for command in (join, leave):
        command.add_argument("group")
        command.add_argument("name", help="the analyst")
        _reason(command)
    _command(group, "list", "list groups and members", "budget_commands.group_list")


def _dataset(group: _Commands) -> None:
    epoch = _command(
        group, "epoch", "say that the data is new: no stored answers", "budget_commands.epoch"
    )
    epoch.add_argument("dataset")
    _reason(epoch)


def _audit(commands: _Commands) -> None:
    audit = _command(commands, "audit", "check the whole ledger", "audit_commands.ledger")
    group = audit.add_subparsers(title="commands", metavar="COMMAND")
    to_file = _command(group, "export", "write the journal to a file", "audit_commands.to_file")
    verify = _command(group, "verify", "check such a file, without a ledger", "audit_commands.file")
    for command in (to_file, verify):
        command.add_argument("file")


def _token(group: _Commands) -> None:
    new = _command(group, "new", "make one; it is shown once", "token_new")
    who = new.add_mutually_exclusive_group(required=True)
    who.add_argument("name", nargs="?", help="the analyst")
    who.add_argument("--admin", metavar="LABEL", help="for an administrator, who cannot ask")
    new.add_argument("--days", type=int, help="how long it is good for; without: for ever")
    _reason(new)
    list_ = _command(group, "list", "list them, without their secrets", "token_list")
    list_.add_argument("name", nargs="?", help="of one analyst")
    revoke = _command(group, "revoke", "end one for good", "token_revoke")
    revoke.add_argument("key_id", help="the middle part of the token; see `epsql token list`")
    _reason(revoke)


def _ledger(group: _Commands) -> None:
    acknowledge = _command(
        group, "acknowledge", "go on although the head file saw more", "audit_commands.acknowledge"
    )
    acknowledge.add_argument("--reason", required=True, help="kept in the journal")
    grants = _command(
        group, "grants", "print the rights of the role that serves", "audit_commands.grants"
    )
    grants.add_argument("role", help="an existing role, not the one that migrates")


def _reason(command: argparse.ArgumentParser) -> None:
    command.add_argument("--reason", default="", help="kept in the journal")


def _loss(text: str) -> Fraction:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text!r} is not a decimal number") from None
    if not value.is_finite() or value < 0 or abs(value.adjusted()) > 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a loss")
    return Fraction(value)


def _settings_help() -> str:
    """The settings, from where they are declared."""
    import textwrap

    from server.settings import Settings

    lines = ["settings, from the environment:"]
    for name, field in Settings.model_fields.items():
        default = "required" if field.is_required() else f"default {_shown(field.default)}"
        lines.append(f"  EPSQL_{name.upper()} ({default})")
        lines += textwrap.wrap(
            field.description or "", 88, initial_indent=" " * 6, subsequent_indent=" " * 6
        )
    return "\n".join(lines)


def _shown(default: object) -> object:
    return getattr(default, "value", default)


if __name__ == "__main__":
    sys.exit(main())
