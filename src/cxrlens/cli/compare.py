"""`cxrlens compare`: finished runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of at least two finished runs.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    out: Annotated[Path | None, typer.Option(help="Also write it to FILE.csv or FILE.md.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over files that this command did not write.")] = False,
) -> None:
    """Put runs side by side. Two runs with the same validation images also get the paired difference of each model."""
    from rich.console import Console

    from cxrlens.cli.terminal import print_json, say
    from cxrlens.errors import UserError
    from cxrlens.files import write_text
    from cxrlens.outputs import check_output, table_of, text_with
    from cxrlens.pipeline.compare_runs import compare_runs
    from cxrlens.report.runs_compared import COLUMNS, TITLE, render, to_markdown
    from cxrlens.run_folder import RunFolder

    if out is not None and out.suffix not in (".csv", ".md"):
        raise UserError(f"--out needs a file that ends in .csv or .md; got {out.name}")
    if out is not None:
        run_files = [file for run in runs for file in RunFolder(run).own_files()]
        earlier = table_of(COLUMNS) if out.suffix == ".csv" else text_with(TITLE)
        check_output(out, "the comparison", earlier, run_files, force=force)
    compared = compare_runs(runs)
    if out is not None:
        table = compared.table().to_csv(index=False, lineterminator="\n")
        write_text(out, table if out.suffix == ".csv" else to_markdown(compared))
    if json:
        print_json(compared.to_json())
        return
    console = Console()
    for part in render(compared):
        console.print(part, soft_wrap=False)
    if out is not None:
        say(console, f"written: {out}")
