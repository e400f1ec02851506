"""A study from its file to its run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from cxrlens.drawing import escape, without_font
from cxrlens.errors import UserError
from cxrlens.evaluate.evaluate import evaluate
from cxrlens.files import write_text
from cxrlens.pipeline.environment import Stopwatch, earlier_stages, write_environment
from cxrlens.pipeline.explain.figure1 import check_named_images
from cxrlens.pipeline.explain.figure_networks import first_networks
from cxrlens.pipeline.explain.stage import explain_run
from cxrlens.pipeline.fit import TrainingTask, train_network, training_tasks
from cxrlens.pipeline.gallery import make_gallery
from cxrlens.pipeline.interface import Run
from cxrlens.pipeline.prepare import need_data, need_interval, prepare, summary, trainable_rows, write_cohort
from cxrlens.pipeline.record import TOLD, read_record
from cxrlens.pipeline.report import write_page
from cxrlens.progress import SILENT, Progress
from cxrlens.report import figures
from cxrlens.report.export import details_markdown, write_tables
from cxrlens.report.tables import to_markdown
from cxrlens.run_folder import SCHEMA_VERSION, RunFolder
from cxrlens.study import PaperResult, Study, default_out, read_study
from cxrlens.train.device import choose_device

# Third stage: predictions to `results.json` and the figures of the evaluation; needs nothing but the run's files.


def evaluate_run(
    run: RunFolder,
    study: Study,
    done: list[TrainingTask],
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
    units = [training_task.unit(run) for training_task in done]
    validation = pd.concat([run.read_table(unit.folder / "predictions.csv") for unit in units], ignore_index=True)
    training = pd.concat([run.read_table(unit.folder / "train_predictions.csv") for unit in units], ignore_index=True)
    run.write_table(run.path / "predictions.csv", validation)
    for table in (validation, training):
        table["patient"] = table["patient"].replace(groups)
    table = run.read_table(run.path / "cohort.csv")
    order = list(dict.fromkeys(training_task.row.name for training_task in done))
    judged = evaluate(validation, training, table, study.evaluation.level, order).to_json()
    records = {training_task.row.name: read_record(training_task.unit(run)) for training_task in reversed(done)}
    papers = {row.name: _paper(row.paper) for row in study.models}
    for model in judged["models"]:
        record = records[model["name"]]
        told = {name: record.get(name) for name in TOLD}
        model |= told | papers[model["name"]]
    results = {
        "schema_version": SCHEMA_VERSION,
        "study": study.name,
        "question": study.question,
        "cohort": cohort,
        "depth": depth,
        "warnings": list(warnings),
        **judged,
        "skipped": [each | papers[each["name"]] for each in skipped],
        "notice": "For research only; never for diagnosis.",
    }
    run.write_json("results.json", results)
    write_text(run.path / "results.md", to_markdown(results) + "\n" + details_markdown(results))
    write_tables(run.path / "tables", results)
    draw(run, results, done)
    return results


def _paper(paper: PaperResult | None) -> dict[str, float | None]:
    """The paper's result as the keys of a model in `results.json`; the numbers of images where the study has them."""
    numbers = {"paper_positive": paper.positives, "paper_negative": paper.negatives} if paper else {}
    return {"paper_auc": paper.auc if paper else None} | {key: value for key, value in numbers.items() if value}


def draw(run: RunFolder, results: dict[str, Any], done: list[TrainingTask]) -> None:
    """Writes the evaluation's figures, PNG and PDF."""
    histories = {
        training_task.title: run.read_table(training_task.unit(run).folder / "history.csv") for training_task in done
    }
    if not histories:
        raise UserError("there is nothing to draw: no model was trained")
    folder = run.path / "figures"
    figures.save(figures.auc_forest_figure(results), folder / "auc.png")
    figures.save(figures.roc_figure(results), folder / "roc.png")
    figures.save(figures.precision_recall_figure(results), folder / "precision_recall.png")
    figures.save(figures.calibration_figure(results), folder / "calibration.png")
    figures.save(figures.training_curves_figure(histories), folder / "training.png")


def run(
    study: Study | str | Path,
    data: str | Path | None = None,
    *,
    out: str | Path | None = None,
    device: str = "auto",
    progress: Progress = SILENT,
    study_dir: str | Path | None = None,
) -> Run:
    """Runs a study, or goes on with one that was interrupted.

    Args:
        study: the study, or its file, which is kept with the run as its author wrote it.
        data: the folder of the study's images; None where its source needs none.
        out: the run's folder, `runs/NAME` by default; an interrupted run of the same study in it is continued.
        device: "auto", "cpu" or "cuda".
        progress: where work is shown; nothing is printed by default.
        study_dir: the folder that relative weight paths start from; the study file's by default.

    Returns:
        The finished run.

    Raises:
        UserError: anything the user can mend. What is finished stays, and the same call goes on from there.
        KeyboardInterrupt: Ctrl-C; likewise.
    """
    where = RunFolder(Path(out) if out is not None else default_out(study))
    study, file = read_study(study)
    data_dir, study_dir = (
        Path(data) if data is not None else None,
        Path(study_dir) if study_dir is not None else file and file.parent,
    )
    text = file.read_text(encoding="utf-8-sig") if file else None
    chosen = choose_device(device)
    with where.locked("run"):
        _keep_study(where, study, text)
        watch = Stopwatch(earlier_stages(where))
        need_data(study, data_dir)
        with watch.stage("models"):  # a model that cannot be trained shows before thousands of images are read
            rows, skipped = trainable_rows(study, study_dir, progress)
        with watch.stage("cohort"):
            prepared = prepare(study, data_dir, progress, where)
            need_interval(prepared)
            check_named_images(study, prepared)
            write_cohort(where, prepared)
            where.write_json("exclusions.json", prepared.cohort.left_out)
        for sentence in (*prepared.passed_over, *prepared.notes):
            progress.say(sentence)
        for sentence in (*(one for each in rows for one in each.sentences), *prepared.warnings):
            progress.say(f"warning: {sentence}")
        if lacking := without_font([row.name for row in study.models] + prepared.cohort.images):
            shown = " ".join(lacking[:10]) + (" ..." if len(lacking) > 10 else "")
            progress.say(
                f"figures: no font of this machine has the signs {shown} of some names; figures show their codes, such "
                f"as {escape(lacking[0])}, and tables and the page the signs themselves"
            )
        try:
            with watch.stage("cohort"):
                for size in dict.fromkeys(each.size for each in rows):
                    prepared.pixels.at(size)  # a full disk shows before hours of training
            done = training_tasks(prepared, rows)
            with progress.task("networks", len(done)) as task:
                for number, training_task in enumerate(done):
                    task.update(number)
                    with watch.stage(f"train {training_task.title}"):
                        seconds = train_network(training_task, prepared, where, chosen, study_dir, progress)
                    progress.say(
                        f"{training_task.title}: "
                        + (f"trained in {seconds:.0f} s" if seconds else "was trained before")
                    )
            with watch.stage("evaluate"):
                evaluate_run(
                    where, study, done, summary(prepared), prepared.groups, prepared.warnings, skipped,
                    prepared.cache.depth,
                )  # fmt: skip
            if study.explain.figures:
                with watch.stage("explain"):
                    explain_run(Run(where), done, prepared, chosen, progress)
            if study.explain.gallery:
                with watch.stage("gallery"):
                    make_gallery(first_networks(Run(where), done, prepared, chosen), data_dir, progress)
        finally:
            write_environment(where, prepared.digest, len(prepared.cache.index), chosen, watch, data, study_dir)
        write_page(where)
    return Run(where)


def _keep_study(where: RunFolder, study: Study, text: str | None) -> None:
    if not where.study.exists() or not where.has_networks:  # a study mended before anything was trained
        write_text(where.study, text or study.to_toml())
    elif Study.load(where.study).model_copy(update={"explain": study.explain, "audit": study.audit}) == study:
        write_text(where.study, text or study.to_toml())  # the networks don't depend on how they are looked at
    else:
        raise UserError(
            f"{where.path} holds another study ({where.study}); choose another --out, or delete that folder"
        )
