"""The maps of a run's networks, judged: each method on each model's first network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from cxrlens.audit.audit_options import AuditOptions
from cxrlens.audit.base import AuditResult, plain_result, refused, restored
from cxrlens.audit.case import ModelCase
from cxrlens.audit.maps.sample import sample
from cxrlens.audit.maps.similarity import Agreement, agreement
from cxrlens.audit.maps.verdict import (
    TRUST_LIMITS,
    MapEvaluation,
    common,
    evaluate_maps,
    lung_result,
    random_orders,
    trust_result,
)
from cxrlens.data.seeds import generator
from cxrlens.errors import UserError
from cxrlens.evaluate.records import plain
from cxrlens.explain.attribute import attribute
from cxrlens.explain.methods import METHODS
from cxrlens.pipeline.array_cache import arrays_path, cached_record, read_arrays, write_arrays
from cxrlens.pipeline.audit.cases import Cases
from cxrlens.pipeline.explain.figure_networks import FigureNetwork
from cxrlens.pipeline.fit import TrainingTask
from cxrlens.progress import Progress


@dataclass(frozen=True)
class Maps:
    """What the maps came to: findings, and the numbers behind them as plain values."""

    findings: list[AuditResult]
    told: dict[str, Any]


def audit_maps(
    training_tasks: Sequence[TrainingTask],
    shown: Sequence[FigureNetwork],
    cases: Cases,
    options: AuditOptions,
    full: bool,
    progress: Progress,
) -> Maps:
    """Judges every method of the study's `[audit]` on every model's first network.

    Args:
        training_tasks: all networks of the run: other seeds of a model show whether its maps come again.
        shown: the first of each model.
        cases: what is given of a network.
        options: the study's `[audit]`.
        full: every validation image, not a sample.
        progress: where work is shown.
    """
    prepared = shown[0].prepared
    seed, validation = prepared.study.evaluation.seed, shown[0].task.split.validation
    table = prepared.cohort.table.set_index("image").loc[list(validation)]
    labels, patients = table["label"].to_numpy() == 1, table["patient"].to_numpy(str)
    rows = np.arange(len(labels)) if full else sample(labels, patients, options.images, seed)
    seeds = sorted({task.seed for task in training_tasks})
    asked = {
        "audit": options.model_dump(mode="json", exclude={"options", "images"}), "rows": rows.tolist(), "seeds": seeds,
        "evaluation": prepared.study.evaluation.model_dump(mode="json", exclude={"draws"}), "files": cases.files,
    }  # fmt: skip
    findings: list[AuditResult] = []
    methods: dict[str, Any] = {method: {"models": {}} for method in options.methods}
    maps: dict[str, list[np.ndarray]] = {method: [] for method in options.methods}
    with progress.task("maps judged", len(shown)) as task:
        for number, each in enumerate(shown):
            task.update(number)
            path = arrays_path(each, "maps")

            def make(each: FigureNetwork = each, path: Any = path) -> dict[str, Any]:
                case, network = cases.of(each), {}
                chances = random_orders(case, rows, options.steps, seed)
                found: dict[str, MapEvaluation] = {}
                for method in options.methods:
                    try:
                        found[method] = evaluate_maps(case, method, rows, chances, seed)
                        repeated = _over_seeds(each, training_tasks, case, found[method], rows, seed)
                        network[method] = _told(found[method], case, repeated)
                    except UserError as error:  # what one network cannot have takes no other's verdict away
                        found.pop(method, None)
                        progress.say(f"warning: no maps of {METHODS[method].title} of '{case.name}': {error}")
                        network[method] = _refused(method, case, str(error))
                write_arrays(path, {"rows": rows} | {method: judged.maps for method, judged in found.items()})
                return {"methods": network}

            record = cached_record(each, "maps", asked, make, beside=path)
            arrays = read_arrays(path)
            for method in arrays.keys() & maps.keys():
                maps[method].append(arrays[method])
            for method, told in record["methods"].items():
                findings += [restored(finding) for finding in told.pop("findings")]
                methods[method]["models"][each.name] = told
        task.update(len(shown))
    for method, made in maps.items():
        shared = agreement(made, patients[rows], generator(seed, 4)) if len(made) > 1 else None
        methods[method]["reproducibility"] = plain(shared)
    return Maps(findings, {"images": [validation[row] for row in rows], "steps": options.steps, "methods": methods})


def _told(judged: MapEvaluation, case: ModelCase, repeated: Agreement | None) -> dict[str, Any]:
    verdict = judged.verdict(repeated, None)  # how models agree is no criterion, and is told beside
    return {
        "findings": [
            plain_result(trust_result(judged, verdict, case.name)), plain_result(lung_result(judged, case)),
        ],
        "trusted": verdict.trusted,
        "reasons": list(verdict.reasons),
        "repeatability": plain(repeated),
        "sanity": plain(judged.sanity) | {"passes": judged.sanity.passes},
        "order": [plain(each) for each in judged.order],
        "lungs": plain(judged.lungs),
    }  # fmt: skip


def _refused(method: str, case: ModelCase, why: str) -> dict[str, Any]:
    statistic = f"{METHODS[method].title}: likeness of its maps to those of a random network"
    finding = refused("map_trust", case.name, statistic, why, TRUST_LIMITS)
    return {
        "findings": [plain_result(finding)], "trusted": None, "reasons": [why], "repeatability": None, "sanity": None,
        "order": [], "lungs": None,
    }  # fmt: skip


def _over_seeds(
    shown: FigureNetwork,
    training_tasks: Sequence[TrainingTask],
    case: ModelCase,
    first: MapEvaluation,
    rows: np.ndarray,
    seed: int,
) -> Agreement | None:
    mine = [task for task in training_tasks if task.row.name == shown.name and task.split.fold == shown.task.split.fold]
    others = [task for task in mine if task.seed != shown.task.seed]
    if not others:
        return None
    maps, pixels = [first.maps], shown.device.put(case.pixels[torch.from_numpy(rows)])
    for task in others:
        network = FigureNetwork(shown.run, task, shown.prepared, shown.device).network()
        maps.append(common(attribute(network, pixels, first.method).maps))
    return agreement(maps, case.patients[rows], generator(seed, 4))
