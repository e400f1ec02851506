"""What each layer of a run's networks kept of what it started from, and how alike the trained networks are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from cxrlens.audit.reuse.cka import LEAST
from cxrlens.audit.reuse.reuse_results import Change, between, change, final_features, summarise
from cxrlens.errors import UserError
from cxrlens.models.classifier import Classifier, build_classifier
from cxrlens.models.weights.find import OutOfReach
from cxrlens.pipeline.explain.figure_networks import FigureNetwork
from cxrlens.pipeline.finished_run import FinishedRun
from cxrlens.pipeline.fit import TrainingTask
from cxrlens.pipeline.prepare import Prepared
from cxrlens.pipeline.record import read_record
from cxrlens.progress import SILENT, Progress
from cxrlens.report import figures
from cxrlens.train.device import Device

MOST = 2000  # images


def reuse(
    run: FinishedRun,
    done: Sequence[TrainingTask],
    prepared: Prepared,
    device: Device,
    study_dir: Path | None,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Draws `figures/reuse` and returns what it shows: every block of every model, and every pair of models.

    Args:
        run: whose networks are trained.
        done: its networks; those of the first fold are compared, each seed of them.
        prepared: its images; the validation side is looked at.
        device: where.
        study_dir: the folder that relative weight paths start from.
        progress: where work is shown.
    """
    level, images = prepared.study.evaluation.level, list(done[0].split.validation)
    images = images[:: -(-len(images) // MOST)]
    of = prepared.cohort.table.set_index("image")["patient"].replace(prepared.groups)
    patients = of.loc[images].to_numpy(str)
    count = len(np.unique(patients))
    told: dict[str, Any] = {"images": len(images), "patients": count, "level": level, "models": [], "between": []}
    if count < LEAST:
        return told | {"note": f"Not measured: CKA needs validation images of {LEAST} patients; there are {count}."}
    by_model: dict[str, list[TrainingTask]] = {}
    for task in done:
        if task.split.fold == done[0].split.fold:
            by_model.setdefault(task.row.name, []).append(task)
    final: dict[str, list[np.ndarray]] = {}
    with progress.task("comparing networks with their starts", len(by_model)) as task:
        for number, (name, training_tasks) in enumerate(by_model.items()):
            task.update(number)
            shown = [FigureNetwork(run, task, prepared, device) for task in training_tasks]
            model, final[name] = _model(shown, images, patients, level, study_dir)
            told["models"].append(model)
    told["between"] = [
        {"a": a, "b": b, "cka": _plain(pair.value), "low": _plain(pair.low), "high": _plain(pair.high)}
        for a, b in combinations(final, 2)
        for pair in [between(final[a], final[b], level)]
    ]
    figures.save(figures.reuse_figure(told), run.folder.path / "figures" / "reuse.png")
    return told


def _model(
    shown: Sequence[FigureNetwork], images: Sequence[str], patients: np.ndarray, level: float, study_dir: Path | None
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """What is told of a model, and its final features, one array a seed."""
    changes: list[Change] = []
    final: list[np.ndarray] = []
    reason = ""
    for each in shown:
        pixels, after, before = each.pixels(images), each.network(), _start(each, study_dir)
        if isinstance(before, str):
            reason = before
            final.append(final_features(after, pixels, patients, each.device))
        else:
            changes.append(change(each.device.place(before), after, pixels, patients, each.device))
            final.append(changes[-1].final)
    blocks = [_plain(asdict(block)) for block in summarise(changes, level)] if not reason else []
    told = {
        "name": shown[0].name,
        "seeds": len(shown),
        "random": _weights(shown[0])["sha256"] is None,
        "frozen": shown[0].task.row.trained == "head",
        "blocks": blocks,
    }
    return told | {"note": _note(told, reason)}, final


def _start(shown: FigureNetwork, study_dir: Path | None) -> Classifier | str:
    """The network as training found it, or why it cannot be made again."""
    task, was = shown.task, _weights(shown)
    try:
        model = build_classifier(task.row, task.size, task.seed, study_dir)
    except UserError as error:
        return error.reason if isinstance(error, OutOfReach) else str(error)
    if model.weights.sha256 != was["sha256"]:
        return f"'{task.row.weights}' now means other weights than those that it was trained from ({was['title']})"
    return model


def _weights(shown: FigureNetwork) -> dict[str, Any]:
    return read_record(shown.task.unit(shown.run.folder))["weights"]


def _note(model: dict[str, Any], reason: str) -> str:
    if reason:
        return f"Not compared with its start, which cannot be made again: {reason}."
    said = []
    if model["frozen"] and all(_still(block) for block in model["blocks"]):
        said.append("Its backbone was frozen and did not move.")
    elif model["frozen"]:
        said.append("Its backbone was to be frozen, and yet it moved: training it or restoring it is at fault.")
    if model["random"]:
        said.append("It started from random weights: what is kept is of a random start, not of any pretraining.")
    if model["seeds"] == 1:
        said.append("One seed: the intervals are over patients and say nothing of another training.")
    return " ".join(said)


def _still(block: dict[str, Any]) -> bool:
    """No tensor moved; a GPU may add in another order the second time, so of CKA a hair is allowed."""
    distances = [block[name] for name in ("weights", "batchnorm", "statistics")]
    return all(not each for each in distances) and (block["cka"] is None or block["cka"] > 1 - 1e-6)


def _plain(value: Any) -> Any:
    """As JSON has it: NaN is null."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value
