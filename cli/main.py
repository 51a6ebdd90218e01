"""The front door: which module holds which command. A command's module is imported when it is called."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from polythink import __version__
from polythink.cli.cut_output import quiet_when_cut

COMMANDS = {
    "demo": "polythink.cli.demo",
    "plan": "polythink.cli.plan",
    "rehearse": "polythink.cli.rehearse",
    "run": "polythink.cli.run",
    "resume": "polythink.cli.run",
    "submit": "polythink.cli.submit",
    "list": "polythink.cli.offline",
    "status": "polythink.cli.offline",
    "watch": "polythink.cli.offline",
    "wait": "polythink.cli.offline",
    "logs": "polythink.cli.offline",
    "cancel": "polythink.cli.offline",
    "query": "polythink.cli.results",
    "show": "polythink.cli.results",
    "select": "polythink.cli.selecting",
    "reread": "polythink.cli.rereading",
    "report": "polythink.cli.report",
    "replay": "polythink.cli.replay",
    "verify": "polythink.cli.verify",
    "import": "polythink.cli.importing",
    "compact": "polythink.cli.compact",
    "export": "polythink.cli.compact",
    "simulate": "polythink.cli.simulate",
}
_RESERVED = {"list": "list_jobs", "import": "import_samples"}  # names that a function may not bear


class LazyGroup(TyperGroup):
    """Ray and the SDK take seconds to import; a query needs neither. (Typer's own context type is private: Any.)"""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        with quiet_when_cut():
            return super().main(*args, **kwargs)

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        function = getattr(import_module(COMMANDS[cmd_name]), _RESERVED.get(cmd_name, cmd_name))
        single = typer.Typer(add_completion=False)
        single.command(cmd_name)(function)
        return typer.main.get_command(single)


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"polythink {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """Many independent thoughts, one answer: parallel test-time compute as large offline jobs."""
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    warnings.formatwarning = lambda message, *_: f"polythink: warning: {message}\n"
