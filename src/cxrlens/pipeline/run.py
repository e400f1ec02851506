"""Runs a study from its file to its run folder; evaluates the predictions of its networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from cxrlens.arguments import checked
from cxrlens.drawing import escape, without_font
from cxrlens.errors import UserError
from cxrlens.evaluate.evaluate import evaluate
from cxrlens.files import write_text
from cxrlens.pipeline.audit.stage import audit_prepared
from cxrlens.pipeline.environment import Stopwatch, earlier_stages, write_environment
from cxrlens.pipeline.explain.figure1 import check_named_images
from cxrlens.pipeline.explain.figure_networks import first_networks
from cxrlens.pipeline.explain.stage import explain_run
from cxrlens.pipeline.fit import TrainingTask, train_network, training_tasks
from cxrlens.pipeline.gallery import make_gallery
from cxrlens.pipeline.interface import Run
from cxrlens.pipeline.prepare import (
    check_data_given,
    check_intervals,
    cohort_counts,
    prepare,
    trainable_rows,
    write_cohort,
)
from cxrlens.pipeline.record import RESULT_KEYS, read_record
from cxrlens.pipeline.report import write_page
from cxrlens.progress import SILENT, Progress
from cxrlens.report import figures
from cxrlens.report.export import details_markdown, write_tables
from cxrlens.report.tables import to_markdown
from cxrlens.run_folder import SCHEMA_VERSION, RunFolder
from cxrlens.study import PaperResult, Study, default_out, read_study
from cxrlens.train.device import choose_device


def evaluate_run(
    run: RunFolder,
    study: Study,
    tasks: list[TrainingTask],
    cohort: dict[str, object],
    groups: dict[str, str],
    warnings: tuple[str, ...],
    skipped: list[dict[str, str]],
    depth: int | None = None,
) -> dict[str, Any]:
    """Writes `predictions.csv`, `results.json`, the tables (`results.md`, `tables/`) and figures; returns the results.

    It needs only the files of the run.

    Args:
        run: folder of the run, with its trained networks.
        study: the study.
        tasks: every trained network.
        cohort: counts of the cohort, see `cohort_counts`.
        groups: patient → the patient that it counts as.
        warnings: sentences for the top of the report.
        skipped: models that could not be trained, each with its `name` and `reason`.
        depth: bits that most of the image files of more than 8 bits use; new images are read accordingly.
    """
    units = [training_task.unit(run) for training_task in tasks]
    validation = pd.concat([run.read_table(unit.folder / "predictions.csv") for unit in units], ignore_index=True)
    training = pd.concat([run.read_table(unit.folder / "train_predictions.csv") for unit in units], ignore_index=True)
    run.write_table(run.path / "predictions.csv", validation)
    for table in (validation, training):
        table["patient"] = table["patient"].replace(groups)
    table = run.read_table(run.path / "cohort.csv")
    order = list(dict.fromkeys(training_task.row.name for training_task in tasks))
    evaluation = evaluate(validation, training, table, study.evaluation.level, order).to_json()
    records = {training_task.row.name: read_record(training_task.unit(run)) for training_task in reversed(tasks)}
    papers = {row.name: _paper(row.paper) for row in study.models}
    for model in evaluation["models"]:
        record = records[model["name"]]
        model |= {key: record.get(key) for key in RESULT_KEYS} | papers[model["name"]]
    results = {
        "schema_version": SCHEMA_VERSION,
        "study": study.name,
        "question": study.question,
        "cohort": cohort,
        "depth": depth,
        "warnings": list(warnings),
        **evaluation,
        "skipped": [row | papers[row["name"]] for row in skipped],
        "notice": "For research only; never for diagnosis.",
    }
    run.write_json("results.json", results)
    write_text(run.path / "results.md", to_markdown(results) + "\n" + details_markdown(results))
    write_tables(run.path / "tables", results)
    draw(run, results, tasks)
    return results


def _paper(paper: PaperResult | None) -> dict[str, float | None]:
    """The paper's result as the keys of a model in `results.json`; the numbers of images where the study has them."""
    numbers = {"paper_positive": paper.positives, "paper_negative": paper.negatives} if paper else {}
    return {"paper_auc": paper.auc if paper else None} | {key: value for key, value in numbers.items() if value}


def draw(run: RunFolder, results: dict[str, Any], tasks: list[TrainingTask]) -> None:
    """Writes the evaluation's figures, PNG and PDF.

    Args:
        run: folder of the run.
        results: content of `results.json`.
        tasks: every trained network.
    """
    histories = {
        training_task.title: run.read_table(training_task.unit(run).folder / "history.csv") for training_task in tasks
    }
    if not histories:
        raise UserError("there is nothing to draw: no model was trained")
    folder = run.path / "figures"
    figures.save(figures.auc_forest_figure(results), folder / "auc.png")
    figures.save(figures.roc_figure(results), folder / "roc.png")
    figures.save(figures.precision_recall_figure(results), folder / "precision_recall.png")
    figures.save(figures.calibration_figure(results), folder / "calibration.png")
    figures.save(figures.training_curves_figure(histories), folder / "training.png")


@checked
def run(
    study: Study | str | Path,
    data: str | Path | None = None,
    *,
    out: str | Path | None = None,
    device: str = "auto",
    progress: Progress = SILENT,
    study_dir: str | Path | None = None,
) -> Run:
    """Runs a study, or continues an interrupted run.

    Args:
        study: the study, or its file, which the run keeps as it is.
        data: folder of the study's images; None for a source that needs none.
        out: folder of the run, `runs/NAME` by default; an interrupted run of the same study in it is continued.
        device: "auto", "cpu" or "cuda".
        progress: display of the work in progress; nothing is printed by default.
        study_dir: folder that relative weight paths start from; the study file's by default.

    Returns:
        The finished run.

    Raises:
        UserError: anything that the user can correct. Finished work stays, and the same call continues from there.
        KeyboardInterrupt: Ctrl-C. Finished work stays, and the same call continues from there.
    """
    folder = RunFolder(Path(out) if out is not None else default_out(study))
    study, file = read_study(study)
    data_dir, study_dir = (
        Path(data) if data is not None else None,
        Path(study_dir) if study_dir is not None else file and file.parent,
    )
    text = file.read_text(encoding="utf-8-sig") if file else None
    chosen = choose_device(device)
    with folder.locked("run"):
        _keep_study(folder, study, text)
        watch = Stopwatch(earlier_stages(folder))
        check_data_given(study, data_dir)
        with watch.stage("models"):  # a model that cannot be trained fails before thousands of images are read
            rows, skipped = trainable_rows(study, study_dir, progress)
        with watch.stage("cohort"):
            prepared = prepare(study, data_dir, progress, folder)
            check_intervals(prepared)
            check_named_images(study, prepared)
            write_cohort(folder, prepared)
            folder.write_json("exclusions.json", prepared.cohort.left_out)
        for sentence in (*prepared.passed_over, *prepared.notes):
            progress.say(sentence)
        for sentence in (*(line for row in rows for line in row.sentences), *prepared.warnings):
            progress.say(f"warning: {sentence}")
        if lacking := without_font([row.name for row in study.models] + prepared.cohort.images):
            signs = " ".join(lacking[:10]) + (" ..." if len(lacking) > 10 else "")
            progress.say(
                f"figures: no font on this machine has the characters {signs} of some names; figures show their codes, "
                f"such as {escape(lacking[0])}, and tables and the page show the characters themselves"
            )
        try:
            with watch.stage("cohort"):
                for size in dict.fromkeys(row.size for row in rows):
                    prepared.pixels.at(size)  # a full disk fails before hours of training
            tasks = training_tasks(prepared, rows)
            with progress.task("networks", len(tasks)) as task:
                for number, training_task in enumerate(tasks):
                    task.update(number)
                    with watch.stage(f"train {training_task.title}"):
                        seconds = train_network(training_task, prepared, folder, chosen, study_dir, progress)
                    progress.say(
                        f"{training_task.title}: " + (f"trained in {seconds:.0f} s" if seconds else "already trained")
                    )
            with watch.stage("evaluate"), progress.task("evaluating", 1):
                evaluate_run(
                    folder, study, tasks, cohort_counts(prepared), prepared.groups, prepared.warnings, skipped,
                    prepared.cache.depth,
                )  # fmt: skip
            if study.explain.figures:
                with watch.stage("explain"), progress.task("figures", 1):
                    explain_run(Run(folder), tasks, prepared, chosen, progress)
            if study.explain.gallery:
                with watch.stage("gallery"), progress.task("gallery of the validation images", 1):
                    make_gallery(first_networks(Run(folder), tasks, prepared, chosen), data_dir, progress)
            if study.audit.with_run:
                with watch.stage("audit"), progress.task("audit", 1):
                    try:
                        audit_prepared(Run(folder), tasks, prepared, chosen, data_dir, study_dir, progress=progress)
                    except UserError as error:  # the page without an audit says so
                        progress.say(f"warning: the run was not audited: {error}")
        finally:
            write_environment(folder, prepared.digest, len(prepared.cache.index), chosen, watch, data, study_dir)
        with progress.task("writing the report", 1):
            write_page(folder)
    return Run(folder)


def _keep_study(folder: RunFolder, study: Study, text: str | None) -> None:
    if not folder.study.exists() or not folder.has_networks:  # a study corrected before anything was trained
        write_text(folder.study, text or study.to_toml())
    elif Study.load(folder.study).model_copy(update={"explain": study.explain, "audit": study.audit}) == study:
        write_text(folder.study, text or study.to_toml())  # the networks do not depend on explain and audit options
    else:
        raise UserError(
            f"{folder.path} holds another study ({folder.study}); choose another --out, or delete that folder"
        )
