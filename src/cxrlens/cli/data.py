"""`cxrlens data check`, `fetch` and `phantom`: checks a study's images, downloads a data set, draws a synthetic one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxrlens.cli.terminal import echo
from cxrlens.text import many

if TYPE_CHECKING:
    from rich.console import Console

    from cxrlens.audit.data_check import CheckReport


MOST_ROWS = 12
COLOURS = {"flag": "red", "clear": "green", "undecided": "yellow"}


def check(
    study: Annotated[Path, typer.Argument(help="The study file.")],
    data: Annotated[Path | None, typer.Option("--data", help="The folder of the study's images.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if there is any fault.")] = False,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", help="Save a contact sheet of the images: .png, .pdf or .svg.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that this command did not write.")] = False,
) -> None:
    """Check a study's images before training: counts, missing and corrupt files, duplicates, patients and leaks."""
    from rich.console import Console

    from cxrlens.cli.progress import Bars
    from cxrlens.cli.terminal import echo, print_json
    from cxrlens.pipeline.check import check as check_study

    with Bars() as bars:
        report = check_study(study, data, sheet=sheet, progress=bars, force=force)
    if json:
        print_json(report.plain(), indent=2)
    else:
        show(report, Console())
        if sheet is not None:
            echo(f"contact sheet: {sheet}")
    if strict and report.faults:
        raise typer.Exit(1)


def show(report: CheckReport, console: Console) -> None:
    """Prints a report as tables and sentences."""
    from cxrlens.cli.terminal import literal, say
    from cxrlens.data.depth import DEPTH_STEP
    from cxrlens.data.files import ignored_files
    from cxrlens.text import first_few, many

    cohort = report.cohort
    say(
        console,
        f"{report.name}: {cohort['images']} images listed, {cohort['positive']} positive and "
        f"{cohort['negative']} negative, of {cohort['patients']} patients",
        "bold",
    )
    per_patient = [f"{images} ({many(patients, 'patient')})" for images, patients in report.images_a_patient.items()]
    say(console, f"images per patient: {first_few(per_patient, MOST_ROWS, '; --json has them all')}")
    for title, by_study in (("left out by the study", True), ("not used", False)):
        rows = {
            reason: count for reason, count in report.left_out.items() if (reason not in report.origins) == by_study
        }
        if rows:
            parts = [
                f"{count} ({reason})" if by_study else f"{many(count, 'file')}: {reason}"
                for reason, count in rows.items()
            ]
            rest = sum([*rows.values()][MOST_ROWS:])
            parts = [*parts[:MOST_ROWS], *([f"{rest} for other reasons"] if rest else [])]
            say(console, f"{title}: {(', ' if by_study else '; ').join(parts)}")
    for line in ignored_files(report.unlisted, report.other_files):
        say(console, line)
    _counts(report, console)
    _split(report, console)
    for title, lines, colour in (("Faults", report.faults, "red"), ("Before training", report.warnings, "yellow")):
        if lines:
            console.print(f"\n[bold {colour}]{title}[/]")
        for line in lines:
            say(console, f"  • {line}")
    notes = (*report.notes, *report.reading_notes)
    if notes:
        console.print("\n[bold]Notes[/]")
    for line in notes:
        say(console, f"  • {line}")
    counted = DEPTH_STEP if report.reading_notes else None  # the note has counted these
    conversions = [group for group in report.steps if not group.warning and not (counted and counted.match(group.kind))]
    if conversions:
        console.print("\n[bold]How the files were read[/]")
    for group in conversions[:MOST_ROWS]:
        say(console, f"  • {group.sentence}")
    if len(conversions) > MOST_ROWS:
        say(console, f"  • {len(conversions) - MOST_ROWS} more kinds; --json has them all")
    if report.findings:
        console.print("\n[bold]What could reveal the label without the lungs[/]")
    for finding in report.findings:
        verdict = finding["verdict"]
        line = literal(f"  • {verdict} {finding['sentence']}")
        line.stylize(COLOURS[verdict], 4, 4 + len(verdict))
        console.print(line, soft_wrap=not console.is_terminal)


def _counts(report: CheckReport, console: Console) -> None:
    from rich import box
    from rich.table import Table

    from cxrlens.cli.terminal import literal

    signs = ["positive", "negative", *(["unlabelled"] if report.unlabelled else [])]
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("", overflow="fold")
    for sign in signs:
        table.add_column(sign, justify="right")
    for name, values in report.counts.items():
        table.add_row(literal(name, "bold"))
        rows = list(values.items())
        for value, counts in rows[:MOST_ROWS]:
            table.add_row(literal(f"  {value}"), *(str(counts[sign]) for sign in signs))
        rest = [counts for _, counts in rows[MOST_ROWS:]]
        if rest:
            table.add_row(f"  {len(rest)} others", *(str(sum(counts[sign] for counts in rest)) for sign in signs))
    console.print(table)


def _split(report: CheckReport, console: Console) -> None:
    from rich import box
    from rich.table import Table

    if not report.sides:
        return
    table = Table(title=f"split: {report.split} (readable images)", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("fold", "train +", "train -", "validation +", "validation -"):
        table.add_column(name, justify="right")
    for name in ("patients in both sets", "their validation images"):
        table.add_column(name, justify="right", overflow="fold")
    for side in report.sides:
        table.add_row(
            *(
                str(number)
                for number in (
                    side.fold,
                    side.train_positive,
                    side.train_negative,
                    side.validation_positive,
                    side.validation_negative,
                    side.leaking_patients,
                    side.leaking_images,
                )
            )
        )
    console.print(table)


def fetch(
    name: Annotated[str, typer.Argument(help="The data set: covid-chestxray.")],
    out: Annotated[Path, typer.Option(help="The folder to download into. Run the command again to continue.")],
    base_url: Annotated[
        str | None, typer.Option(help="A mirror with the same files at the same relative paths.")
    ] = None,
    connections: Annotated[int, typer.Option(min=1, max=16, help="Number of simultaneous downloads.")] = 4,
) -> None:
    """Download a public data set at the paper's commit and verify every file. The same command continues a download."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from cxrlens.data import fetch as fetching
    from cxrlens.data.fetch import published

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn("files"))
    with Progress(*columns, TextColumn("{task.fields[size]}"), console=console, transient=True) as bar:
        task = bar.add_task(name, total=None, size="")

        def progress(settled: int, total: int, received: int) -> None:
            bar.update(task, completed=settled, total=total, size=f"{received / 2**20:.1f} MiB")

        try:
            report = fetching.fetch(name, out, base_url, progress, connections)
        except KeyboardInterrupt:
            bar.stop()
            echo("stopped; the same command continues", err=True)
            raise typer.Exit(130) from None
    echo(f"{out}: {many(len(report.downloaded), 'file')} downloaded, {len(report.already)} already there, all verified")
    echo(published(name).note)
    if not report.complete:
        for path, reason in [*report.failed.items()][:20]:
            echo(f"  {path}: {reason}", err=True)
        more = f" ({len(report.failed) - 20} not shown)" if len(report.failed) > 20 else ""
        echo(f"{many(len(report.failed), 'missing file')}{more}; the same command tries again", err=True)
        raise typer.Exit(1)
    echo(f"next: cxrlens data check studies/paper.toml --data {out}")


def phantom(
    out: Annotated[Path, typer.Option("--out", help="Folder to write: images/, masks/, cohort.csv.")],
    patients: Annotated[int, typer.Option(help="Number of patients.")] = 120,
    size: Annotated[int, typer.Option(help="Length of the longer side in pixels.")] = 256,
    prevalence: Annotated[float, typer.Option(help="Probability that a patient is positive.")] = 0.5,
    strength: Annotated[float, typer.Option(help="Density of the findings. At 0 both classes look the same.")] = 1.0,
    negative_findings: Annotated[float, typer.Option(help="Share of negatives that have another finding.")] = 0.5,
    marker_positive: Annotated[float, typer.Option(help="Probability of the planted marker in positives.")] = 0.0,
    marker_negative: Annotated[float, typer.Option(help="Probability of the planted marker in negatives.")] = 0.0,
    sites: Annotated[int, typer.Option(help="Number of devices, 1 to 6.")] = 4,
    seed: Annotated[int, typer.Option(help="Seed of the population. Another seed draws other patients.")] = 0,
) -> None:
    """Write synthetic chest X-rays with masks of their lungs, findings and planted markers."""
    from rich.progress import track

    from cxrlens.config import parse
    from cxrlens.data.sources.phantom import Phantom

    options = {
        "patients": patients,
        "size": size,
        "prevalence": prevalence,
        "strength": strength,
        "negative_findings": negative_findings,
        "marker_positive": marker_positive,
        "marker_negative": marker_negative,
        "sites": sites,
        "seed": seed,
    }
    source = parse(Phantom, options, "cxrlens data phantom")
    total = len(source.cohort())
    for _ in track(source.export(out), description="drawing", total=total):
        pass
    echo(f"{total} images of {patients} patients in {out / 'images'}; masks and cohort.csv beside them")
