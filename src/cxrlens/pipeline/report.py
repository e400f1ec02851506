"""Last stage: `report.html`, from the run's files alone."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from cxrlens.errors import UserError
from cxrlens.files import write_text
from cxrlens.outputs import check_output, text_with
from cxrlens.pipeline.finished_run import FinishedRun
from cxrlens.pipeline.gallery import read_gallery
from cxrlens.progress import SILENT, Progress
from cxrlens.report.export import write_tables
from cxrlens.report.licences import licence_sentences
from cxrlens.report.page import PICTURES, page
from cxrlens.report.redact import renamed, without_images, without_notes, without_salt
from cxrlens.report.report_data import ReportData
from cxrlens.run_folder import SCHEMA_VERSION, RunFolder


def unchanged(reading: ReportData) -> ReportData:
    """All of it."""
    return reading


def write_page(
    run: RunFolder, change: Callable[[ReportData], ReportData] = unchanged, path: Path | None = None
) -> Path:
    """Writes the page.

    Args:
        run: a finished run's folder.
        change: what is taken out, or given other names, before anything is written.
        path: of the page; `report.html` in the run's folder where none is given.

    Returns:
        Where it is.

    Raises:
        UserError: the run is not finished, or a file of it is damaged.
    """
    path = path or run.path / "report.html"
    write_text(path, page(change(read_run(run))))
    return path


def read_run(run: RunFolder) -> ReportData:
    """What a page is made from; a part that the run lacks is None.

    Raises:
        UserError: the run is not finished, or a file of it is damaged.
    """
    results = run.read_json("results.json")
    left_out = _optional(run, "exclusions.json")
    if left_out:
        results["cohort"]["left_out"] = left_out
    files = {name: run.path / "figures" / f"{name}.png" for name in PICTURES}
    study = run.study.read_text(encoding="utf-8")
    wanted = _wants_gallery(study)
    return ReportData(
        results=results,
        environment=_optional(run, "environment.json") or {},
        study=without_salt(study),
        cohort=_with_sides(run, run.read_table(run.path / "cohort.csv")),
        predictions=run.read_table(run.path / "predictions.csv"),
        explanations=_optional(run, "explain.json"),
        audit=_optional(run, "audit.json"),
        external=_elsewhere(run),
        pictures={name: file.read_bytes() for name, file in files.items() if file.exists()},
        gallery=read_gallery(run, [model["name"] for model in results["models"]]) if wanted else None,
    )


def _optional(run: RunFolder, name: str) -> dict[str, Any] | None:
    """A JSON file that a run may lack; {}, which is no version, where it is damaged."""
    if not (run.path / name).exists():
        return None
    try:
        found = run.read_json(name)
    except UserError:
        return {}
    return found if isinstance(found, dict) else {}


def _elsewhere(run: RunFolder) -> list[dict[str, Any]]:
    """What `cxrlens evaluate` left in the run, by name; files that this version did not write are passed over."""
    found = [_optional(run, f"external/{path.name}") for path in sorted((run.path / "external").glob("*.json"))]
    return [told for told in found if told and told.get("schema_version") == SCHEMA_VERSION]


def _with_sides(run: RunFolder, cohort: pd.DataFrame) -> pd.DataFrame:
    """The cohort with the column `side`."""
    if not (run.path / "splits.csv").exists():
        return cohort
    splits = run.read_table(run.path / "splits.csv")
    if splits["fold"].nunique() > 1:
        splits = splits[splits["side"] == "validation"]
        splits = splits.assign(side="fold " + splits["fold"].astype(str))
    return cohort.assign(side=cohort["image"].map(dict(zip(splits["image"], splits["side"], strict=True))))


def _wants_gallery(study: str) -> bool:
    try:
        return bool(tomllib.loads(study).get("explain", {}).get("gallery", True))
    except tomllib.TOMLDecodeError:
        return True


# The page anew from the run's folder alone, as it is or with less in it, so that it may go to others.

NOT_ANONYMOUS = (
    "names are replaced, but dates, places, ages and findings stay, and so does what is burnt into an image or written "
    "in a note: the page is not anonymous"
)


def write_report(
    run: FinishedRun | str | Path,
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
    run = run if isinstance(run, FinishedRun) else FinishedRun.open(run)
    usual = "report.html" if images and notes and names else "report-shared.html"
    path = Path(out) if out is not None else run.folder.path / usual
    if path.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"the page is one HTML file; give --out a name that ends in .html, not {path.name}")
    if out is not None:
        check_output(path, "the page", text_with(": cxrlens report</title>"), run.folder.own_files(), force=force)
    changes = [(images, without_images), (notes, without_notes), (names, renamed)]

    def leave(reading: ReportData) -> ReportData:
        had = reading.pictures
        for stays, change in changes:
            reading = reading if stays else change(reading)
        _tell(reading, had.keys() - reading.pictures.keys(), names, progress)
        return reading

    write_page(run.folder, leave, path)
    write_tables(run.folder.path / "tables", run.results)
    return path


def _tell(reading: ReportData, gone: set[str], names: bool, progress: Progress) -> None:
    warnings, conditions = licence_sentences(reading)
    for sentence in warnings:
        progress.say(f"warning: {sentence}")
    for sentence in conditions:
        progress.say(sentence)
    if gone:
        progress.say(f"left out: {', '.join(sorted(gone))}")
    if not names:
        progress.say(NOT_ANONYMOUS)
