"""Third stage: predictions to `results.json` and the figures of the evaluation; needs nothing but the run's files."""

from __future__ import annotations

from typing import Any

import pandas as pd

from cxrlens.errors import UserError
from cxrlens.evaluate.evaluate import evaluate
from cxrlens.files import write_text
from cxrlens.pipeline.fit import Job
from cxrlens.pipeline.record import TOLD, read_record
from cxrlens.report import figures
from cxrlens.report.details import details_markdown
from cxrlens.report.export import write_tables
from cxrlens.report.tables import to_markdown
from cxrlens.run_folder import SCHEMA_VERSION, RunFolder
from cxrlens.study import Study


def judge(
    run: RunFolder,
    study: Study,
    done: list[Job],
    cohort: dict[str, object],
    groups: dict[str, str],
    warnings: tuple[str, ...],
    skipped: list[dict[str, str]],
    depth: int | None = None,
) -> dict[str, Any]:
    """Writes `predictions.csv`, `results.json`, the tables (`results.md`, `tables/`) and figures; returns the results.

    Args:
        run: where the trained networks are.
        study: what was asked.
        done: every trained network.
        cohort: the counts.
        groups: patient → the patient it counts as.
        warnings: sentences.
        skipped: rows that could not be trained, each with its `name` and `reason`.
        depth: bits that most of the image files of more than 8 bits use; new images are read so.
    """
    units = [job.unit(run) for job in done]
    validation = pd.concat([run.read_table(unit.folder / "predictions.csv") for unit in units], ignore_index=True)
    training = pd.concat([run.read_table(unit.folder / "train_predictions.csv") for unit in units], ignore_index=True)
    run.write_table(run.path / "predictions.csv", validation)
    for table in (validation, training):
        table["patient"] = table["patient"].replace(groups)
    table = run.read_table(run.path / "cohort.csv")
    order = list(dict.fromkeys(job.row.name for job in done))
    judged = evaluate(validation, training, table, study.evaluation.level, order).to_json()
    records = {job.row.name: read_record(job.unit(run)) for job in reversed(done)}
    papers = {row.name: row.paper_auc for row in study.models}
    for model in judged["models"]:
        record = records[model["name"]]
        told = {name: record.get(name) for name in TOLD}
        model |= told | {"paper_auc": papers[model["name"]]}
    results = {
        "schema_version": SCHEMA_VERSION,
        "study": study.name,
        "question": study.question,
        "cohort": cohort,
        "depth": depth,
        "warnings": list(warnings),
        **judged,
        "skipped": [{**each, "paper_auc": papers[each["name"]]} for each in skipped],
        "notice": "For research only; never for diagnosis.",
    }
    run.write_json("results.json", results)
    write_text(run.path / "results.md", to_markdown(results) + "\n" + details_markdown(results))
    write_tables(run.path / "tables", results)
    draw(run, results, done)
    return results


def draw(run: RunFolder, results: dict[str, Any], done: list[Job]) -> None:
    """Writes the evaluation's figures, PNG and PDF."""
    histories = {job.title: run.read_table(job.unit(run).folder / "history.csv") for job in done}
    if not histories:
        raise UserError("there is nothing to draw: no model was trained")
    folder = run.path / "figures"
    figures.save(figures.auc_forest_figure(results), folder / "auc.png")
    figures.save(figures.roc_figure(results), folder / "roc.png")
    figures.save(figures.precision_recall_figure(results), folder / "precision_recall.png")
    figures.save(figures.calibration_figure(results), folder / "calibration.png")
    figures.save(figures.training_curves_figure(histories), folder / "training.png")
