"""Last stage of a run: writes `report.html` from the run's files alone, whole or with parts left out for sharing."""

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


def unchanged(data: ReportData) -> ReportData:
    """The data as they are."""
    return data


def write_page(
    run: RunFolder, change: Callable[[ReportData], ReportData] = unchanged, path: Path | None = None
) -> Path:
    """Writes the page.

    Args:
        run: folder of a finished run.
        change: function that removes or renames data before anything is written.
        path: file of the page; by default `report.html` in the run's folder.

    Returns:
        The file of the page.

    Raises:
        UserError: the run is not finished, or a file of it is damaged.
    """
    path = path or run.path / "report.html"
    write_text(path, page(change(read_run(run))))
    return path


def read_run(run: RunFolder) -> ReportData:
    """Reads the data of a page from a run's files; a part that the run lacks is None.

    Raises:
        UserError: the run is not finished, or a file of it is damaged.
    """
    results = run.read_json("results.json")
    left_out = _optional(run, "exclusions.json")
    if left_out:
        results["cohort"]["left_out"] = left_out
    files = {name: run.path / "figures" / f"{name}.png" for name in PICTURES}
    study = run.study.read_text(encoding="utf-8")
    with_gallery = _wants_gallery(study)
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
        gallery=read_gallery(run, [model["name"] for model in results["models"]]) if with_gallery else None,
    )


def _optional(run: RunFolder, name: str) -> dict[str, Any] | None:
    """A JSON file that a run may lack: None if it is absent, {} if it is damaged."""
    if not (run.path / name).exists():
        return None
    try:
        content = run.read_json(name)
    except UserError:
        return {}
    return content if isinstance(content, dict) else {}


def _elsewhere(run: RunFolder) -> list[dict[str, Any]]:
    """Results of `cxrlens evaluate` in the run, by name; files that this version did not write are ignored."""
    results = [_optional(run, f"external/{path.name}") for path in sorted((run.path / "external").glob("*.json"))]
    return [result for result in results if result and result.get("schema_version") == SCHEMA_VERSION]


def _with_sides(run: RunFolder, cohort: pd.DataFrame) -> pd.DataFrame:
    """The cohort table with the column `side`: train, validation or, with several folds, the fold of validation."""
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


NOT_ANONYMOUS = (
    "the page is not anonymous: names are replaced, but dates, places, ages and findings remain, and so does text that "
    "is burnt into an image or written in a note"
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
    """Writes the page, and the tables into the run's folder. Reads no image of the cohort and no network.

    Args:
        run: the finished run, or its folder.
        out: file of the page; by default the run's `report.html`, or `report-shared.html` if anything is left out.
        images: whether the page shows X-rays, in the gallery and in figures.
        notes: whether the page shows the notes of the images' table, such as clinical ones.
        names: whether patient ids and file names are shown; otherwise both are numbered.
        progress: display of the conditions of sharing and of what is left out.
        force: overwrite a file that is not a page of cxrlens.

    Returns:
        The file of the page.

    Raises:
        UserError: the run is absent or not finished, one of its files is damaged, or `out` is not an HTML file or a
            file of other origin.
    """
    run = run if isinstance(run, FinishedRun) else FinishedRun.open(run)
    usual = "report.html" if images and notes and names else "report-shared.html"
    path = Path(out) if out is not None else run.folder.path / usual
    if path.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--out needs a file that ends in .html; got {path.name}")
    if out is not None:
        check_output(path, "the page", text_with(": cxrlens report</title>"), run.folder.own_files(), force=force)
    changes = [(images, without_images), (notes, without_notes), (names, renamed)]

    def redact(data: ReportData) -> ReportData:
        pictures = data.pictures
        for included, change in changes:
            data = data if included else change(data)
        _say_conditions(data, pictures.keys() - data.pictures.keys(), names, progress)
        return data

    write_page(run.folder, redact, path)
    write_tables(run.folder.path / "tables", run.results)
    return path


def _say_conditions(data: ReportData, left_out: set[str], names: bool, progress: Progress) -> None:
    """Says under which conditions the page may be shared, and which figures it leaves out."""
    warnings, conditions = licence_sentences(data)
    for sentence in warnings:
        progress.say(f"warning: {sentence}")
    for sentence in conditions:
        progress.say(sentence)
    if left_out:
        progress.say(f"left out: {', '.join(sorted(left_out))}")
    if not names:
        progress.say(NOT_ANONYMOUS)
