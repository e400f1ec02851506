"""What each layer of a run's networks kept of what it started from, and how alike the trained networks are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from cxrlens.audit.reuse.cka import LEAST
from cxrlens.audit.reuse.compare import Change, between, change, final_features, summarise
from cxrlens.errors import UserError
from cxrlens.models.classifier import Classifier, build_classifier
from cxrlens.models.weights.hub import OutOfReach
from cxrlens.pipeline.explain.shown import Shown
from cxrlens.pipeline.finished import Run
from cxrlens.pipeline.fit import Job
from cxrlens.pipeline.prepare import Prepared
from cxrlens.pipeline.record import read_record
from cxrlens.progress import SILENT, Progress
from cxrlens.report import figures
from cxrlens.train.device import Device

MOST = 2000  # images


def reuse(
    run: Run, done: Sequence[Job], prepared: Prepared, device: Device, near: Path | None, progress: Progress = SILENT
) -> dict[str, Any]:
    """Draws `figures/reuse` and returns what it shows: every block of every model, and every pair of models.

    Args:
        run: whose networks are trained.
        done: its networks; those of the first fold are compared, each seed of them.
        prepared: its images; the validation side is looked at.
        device: where.
        near: the folder that relative weight paths start from.
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
    by_model: dict[str, list[Job]] = {}
    for job in done:
        if job.split.fold == done[0].split.fold:
            by_model.setdefault(job.row.name, []).append(job)
    final: dict[str, list[np.ndarray]] = {}
    with progress.task("comparing networks with their starts", len(by_model)) as task:
        for number, (name, jobs) in enumerate(by_model.items()):
            task.update(number)
            shown = [Shown(run, job, prepared, device) for job in jobs]
            model, final[name] = _model(shown, images, patients, level, near)
            told["models"].append(model)
    told["between"] = [
        {"a": a, "b": b, "cka": _plain(pair.value), "low": _plain(pair.low), "high": _plain(pair.high)}
        for a, b in combinations(final, 2)
        for pair in [between(final[a], final[b], level)]
    ]
    figures.save(figures.reuse_figure(told), run.folder.path / "figures" / "reuse.png")
    return told


def _model(
    shown: Sequence[Shown], images: Sequence[str], patients: np.ndarray, level: float, near: Path | None
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """What is told of a model, and its final features, one array a seed."""
    changes: list[Change] = []
    final: list[np.ndarray] = []
    reason = ""
    for each in shown:
        pixels, after, before = each.pixels(images), each.network(), _start(each, near)
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
        "frozen": shown[0].job.row.trained == "head",
        "blocks": blocks,
    }
    return told | {"note": _note(told, reason)}, final


def _start(shown: Shown, near: Path | None) -> Classifier | str:
    """The network as training found it, or why it cannot be made again."""
    job, was = shown.job, _weights(shown)
    try:
        model = build_classifier(job.row, job.size, job.seed, near)
    except UserError as error:
        return error.reason if isinstance(error, OutOfReach) else str(error)
    if model.weights.sha256 != was["sha256"]:
        return f"'{job.row.weights}' now means other weights than those that it was trained from ({was['title']})"
    return model


def _weights(shown: Shown) -> dict[str, Any]:
    return read_record(shown.job.unit(shown.run.folder))["weights"]


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
