"""The command line: one file per command; heavy imports wait until a command needs them."""

from __future__ import annotations

import sys

import typer

from cxrlens.cli.auc import auc
from cxrlens.cli.audit import audit
from cxrlens.cli.augment_search import augment_search, augment_sheet
from cxrlens.cli.compare import compare
from cxrlens.cli.data import check, fetch, phantom
from cxrlens.cli.evaluate import evaluate
from cxrlens.cli.explain import explain
from cxrlens.cli.predict import predict
from cxrlens.cli.pretrain import pretrain
from cxrlens.cli.report import report
from cxrlens.cli.run import run
from cxrlens.cli.terminal import echo, take_any_text
from cxrlens.cli.weights import weights
from cxrlens.errors import UserError

app = typer.Typer(
    name="cxrlens",
    help="Does transfer learning help on these chest X-rays, and what did the network learn to look at? "
    "A research tool: never for diagnosis.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
data = typer.Typer(
    help="Images: fetch a public data set, check a study's images, draw a phantom.",
    no_args_is_help=True,
)
app.command()(run)
app.command()(predict)
app.command()(evaluate)
app.command()(explain)
app.command()(audit)
app.command()(report)
app.command()(compare)
app.command()(auc)
app.command()(pretrain)
app.command()(augment_search)
app.command()(augment_sheet)
app.add_typer(data, name="data")
app.add_typer(weights, name="weights")
data.command()(check)
data.command()(fetch)
data.command()(phantom)


def main() -> None:
    """Runs the command line. A `UserError` is printed as one paragraph, without a traceback."""
    take_any_text()
    try:
        app(prog_name="cxrlens")
    except UserError as error:
        echo(f"error: {error}", err=True)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
