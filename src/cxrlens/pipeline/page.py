"""Last stage: `report.html`, from the run's files alone."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from cxrlens.errors import UserError
from cxrlens.files import write_text
from cxrlens.pipeline.gallery import read_gallery
from cxrlens.report.leaving import without_salt
from cxrlens.report.page import PICTURES, page
from cxrlens.report.reading import Reading
from cxrlens.run_folder import SCHEMA_VERSION, RunFolder


def unchanged(reading: Reading) -> Reading:
    """All of it."""
    return reading


def write_report(run: RunFolder, change: Callable[[Reading], Reading] = unchanged, path: Path | None = None) -> Path:
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


def read_run(run: RunFolder) -> Reading:
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
    return Reading(
        results=results,
        environment=_optional(run, "environment.json") or {},
        study=without_salt(study),
        cohort=_with_sides(run, run.read_table(run.path / "cohort.csv")),
        predictions=run.read_table(run.path / "predictions.csv"),
        explained=_optional(run, "explain.json"),
        audited=_optional(run, "audit.json"),
        elsewhere=_elsewhere(run),
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
