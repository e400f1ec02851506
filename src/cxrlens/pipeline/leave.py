"""The page anew from the run's folder alone, as it is or with less in it, so that it may go to others."""

from __future__ import annotations

from pathlib import Path

from cxrlens.errors import UserError
from cxrlens.outputs import check_output, text_with
from cxrlens.pipeline import page
from cxrlens.pipeline.finished import Run
from cxrlens.progress import SILENT, Progress
from cxrlens.report.export import write_tables
from cxrlens.report.leaving import renamed, without_images, without_notes
from cxrlens.report.licences import licence_sentences
from cxrlens.report.reading import Reading

NOT_ANONYMOUS = (
    "names are replaced, but dates, places, ages and findings stay, and so does what is burnt into an image or written "
    "in a note: the page is not anonymous"
)


def write_report(
    run: Run | str | Path,
    out: str | Path | None = None,
    *,
    images: bool = True,
    notes: bool = True,
    names: bool = True,
    progress: Progress = SILENT,
    force: bool = False,
) -> Path:
    """Writes the page, and the tables into the run's folder; reads no image of the cohort and no network.

    Args:
        run: finished, or its folder.
        out: the page's file; by default the run's `report.html`, and `report-shared.html` of a page with less in it.
        images: with X-rays: the gallery and the figures that show them.
        notes: with the table's notes, such as clinical ones.
        names: with patients' ids and files' names; otherwise both are numbered.
        progress: is told what may not be passed on.
        force: write over a file that is no page of cxrlens.

    Returns:
        The page's file.

    Raises:
        UserError: the run is not there or not finished, a file of it is damaged, or `out` is no HTML file or is a
            page of other origin.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    usual = "report.html" if images and notes and names else "report-shared.html"
    path = Path(out) if out is not None else run.folder.path / usual
    if path.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"the page is one HTML file; give --out a name that ends in .html, not {path.name}")
    if out is not None:
        check_output(path, "the page", text_with(": cxrlens report</title>"), run.folder.own_files(), force=force)
    changes = [(images, without_images), (notes, without_notes), (names, renamed)]

    def leave(reading: Reading) -> Reading:
        had = reading.pictures
        for stays, change in changes:
            reading = reading if stays else change(reading)
        _tell(reading, had.keys() - reading.pictures.keys(), names, progress)
        return reading

    page.write_report(run.folder, leave, path)
    write_tables(run.folder.path / "tables", run.results)
    return path


def _tell(reading: Reading, gone: set[str], names: bool, progress: Progress) -> None:
    warnings, conditions = licence_sentences(reading)
    for sentence in warnings:
        progress.say(f"warning: {sentence}")
    for sentence in conditions:
        progress.say(sentence)
    if gone:
        progress.say(f"left out: {', '.join(sorted(gone))}")
    if not names:
        progress.say(NOT_ANONYMOUS)
