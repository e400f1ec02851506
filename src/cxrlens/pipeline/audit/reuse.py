"""How much each layer of a run's networks changed from its initial weights, and how similar the networks are."""

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
    tasks: Sequence[TrainingTask],
    prepared: Prepared,
    device: Device,
    study_dir: Path | None,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Draws `figures/reuse` and returns its numbers: every block of every model, and every pair of models.

    Args:
        run: the finished run.
        tasks: its trained networks; all seeds of the first fold are compared.
        prepared: its images; the validation set is used.
        device: device on which the networks run.
        study_dir: folder that relative weight paths start from.
        progress: display of the work in progress.
    """
    level, images = prepared.study.evaluation.level, list(tasks[0].split.validation)
    images = images[:: -(-len(images) // MOST)]
    patient_of = prepared.cohort.table.set_index("image")["patient"].replace(prepared.groups)
    patients = patient_of.loc[images].to_numpy(str)
    count = len(np.unique(patients))
    record: dict[str, Any] = {"images": len(images), "patients": count, "level": level, "models": [], "between": []}
    if count < LEAST:
        return record | {"note": f"Not measured: CKA needs validation images of {LEAST} patients; there are {count}."}
    by_model: dict[str, list[TrainingTask]] = {}
    for task in tasks:
        if task.split.fold == tasks[0].split.fold:
            by_model.setdefault(task.row.name, []).append(task)
    final: dict[str, list[np.ndarray]] = {}
    with progress.task("comparing networks with their initial weights", len(by_model)) as task:
        for number, (name, training_tasks) in enumerate(by_model.items()):
            task.update(number)
            networks = [FigureNetwork(run, task, prepared, device) for task in training_tasks]
            model, final[name] = _model_record(networks, images, patients, level, study_dir)
            record["models"].append(model)
    record["between"] = [
        {"a": a, "b": b, "cka": _plain(pair.value), "low": _plain(pair.low), "high": _plain(pair.high)}
        for a, b in combinations(final, 2)
        for pair in [between(final[a], final[b], level)]
    ]
    figures.save(figures.reuse_figure(record), run.folder.path / "figures" / "reuse.png")
    return record


def _model_record(
    networks: Sequence[FigureNetwork], images: Sequence[str], patients: np.ndarray, level: float, study_dir: Path | None
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """The record of a model, and its final features, one array per seed."""
    changes: list[Change] = []
    final: list[np.ndarray] = []
    reason = ""
    for network in networks:
        pixels, trained, initial = network.pixels(images), network.network(), _initial_network(network, study_dir)
        if isinstance(initial, str):
            reason = initial
            final.append(final_features(trained, pixels, patients, network.device))
        else:
            changes.append(change(network.device.place(initial), trained, pixels, patients, network.device))
            final.append(changes[-1].final)
    blocks = [_plain(asdict(block)) for block in summarise(changes, level)] if not reason else []
    record = {
        "name": networks[0].name,
        "seeds": len(networks),
        "random": _weights(networks[0])["sha256"] is None,
        "frozen": networks[0].task.row.trained == "head",
        "blocks": blocks,
    }
    return record | {"note": _note(record, reason)}, final


def _initial_network(network: FigureNetwork, study_dir: Path | None) -> Classifier | str:
    """The network before training, or the reason why it cannot be built again."""
    task, weights = network.task, _weights(network)
    try:
        model = build_classifier(task.row, task.size, task.seed, study_dir)
    except UserError as error:
        return error.reason if isinstance(error, OutOfReach) else str(error)
    if model.weights.sha256 != weights["sha256"]:
        return f"'{task.row.weights}' now stands for other weights than at the training ({weights['title']})"
    return model


def _weights(network: FigureNetwork) -> dict[str, Any]:
    return read_record(network.task.unit(network.run.folder))["weights"]


def _note(model: dict[str, Any], reason: str) -> str:
    if reason:
        return f"Not compared with its initial weights, which are no longer available: {reason}."
    sentences = []
    if model["frozen"] and all(_unchanged(block) for block in model["blocks"]):
        sentences.append("Its backbone was frozen and did not change.")
    elif model["frozen"]:
        sentences.append("Its backbone should be frozen, but it changed: this is an error in training or restoring it.")
    if model["random"]:
        sentences.append("It started from random weights, so it is compared with these, not with a pretrained network.")
    if model["seeds"] == 1:
        sentences.append("One seed was trained, so the intervals cover other patients, but not another training.")
    return " ".join(sentences)


def _unchanged(block: dict[str, Any]) -> bool:
    """Whether no tensor changed. CKA may differ slightly from 1, since a GPU may add in another order."""
    distances = [block[name] for name in ("weights", "batchnorm", "statistics")]
    return all(not distance for distance in distances) and (block["cka"] is None or block["cka"] > 1 - 1e-6)


def _plain(value: Any) -> Any:
    """Values for JSON: NaN becomes None."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value
