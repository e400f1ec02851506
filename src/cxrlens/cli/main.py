"""The command line: one file a command; nothing heavy is imported before a command needs it."""

from __future__ import annotations

import sys

import typer

from cxrlens.errors import UserError

app = typer.Typer(
    name="cxrlens",
    help="Does transfer learning help on these chest X-rays, and what did the network learn to look at? "
    "A research tool: never for diagnosis.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Runs the command line; a user's error is printed in one paragraph, without a traceback."""
    try:
        app()
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(2) from None
