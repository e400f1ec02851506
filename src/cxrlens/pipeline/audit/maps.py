"""Evaluates the attribution maps of a run: every method on the first network of every model."""

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
    """Evaluation of the maps.

    Attributes:
        results: audit results of every method and model.
        record: the numbers behind them as plain values, for `audit.json`.
    """

    results: list[AuditResult]
    record: dict[str, Any]


def audit_maps(
    training_tasks: Sequence[TrainingTask],
    networks: Sequence[FigureNetwork],
    cases: Cases,
    options: AuditOptions,
    full: bool,
    progress: Progress,
) -> Maps:
    """Evaluates every method of the study's `[audit]` on the first network of every model.

    Args:
        training_tasks: all networks of the run; other seeds of a model show whether its maps are repeatable.
        networks: the first network of each model.
        cases: builds the input of the evaluation for a network.
        options: the study's `[audit]`.
        full: whether maps are evaluated on every validation image, not on a sample.
        progress: display of the work in progress.
    """
    prepared = networks[0].prepared
    seed, validation = prepared.study.evaluation.seed, networks[0].task.split.validation
    table = prepared.cohort.table.set_index("image").loc[list(validation)]
    labels, patients = table["label"].to_numpy() == 1, table["patient"].to_numpy(str)
    rows = np.arange(len(labels)) if full else sample(labels, patients, options.images, seed)
    seeds = sorted({task.seed for task in training_tasks})
    made_from = {
        "audit": options.model_dump(mode="json", exclude={"options", "images", "with_run", "skip"}),
        "rows": rows.tolist(), "seeds": seeds,
        "evaluation": prepared.study.evaluation.model_dump(mode="json", exclude={"draws"}), "files": cases.files,
    }  # fmt: skip
    results: list[AuditResult] = []
    methods: dict[str, Any] = {method: {"models": {}} for method in options.methods}
    maps: dict[str, list[np.ndarray]] = {method: [] for method in options.methods}
    with progress.task("evaluating maps", len(networks)) as task:
        for number, network in enumerate(networks):
            task.update(number)
            path = arrays_path(network, "maps")

            def make(network: FigureNetwork = network, path: Any = path) -> dict[str, Any]:
                case, records = cases.of(network), {}
                chances = random_orders(case, rows, options.steps, seed)
                evaluations: dict[str, MapEvaluation] = {}
                for method in options.methods:
                    try:
                        evaluations[method] = evaluate_maps(case, method, rows, chances, seed)
                        repeated = _over_seeds(network, training_tasks, case, evaluations[method], rows, seed)
                        records[method] = _record(evaluations[method], case, repeated)
                    except UserError as error:  # a method that one network cannot have is still evaluated on the others
                        evaluations.pop(method, None)
                        progress.say(f"warning: no maps of {METHODS[method].title} of '{case.name}': {error}")
                        records[method] = _refused(method, case, str(error))
                write_arrays(path, {"rows": rows} | {method: item.maps for method, item in evaluations.items()})
                return {"methods": records}

            record = cached_record(network, "maps", made_from, make, beside=path)
            arrays = read_arrays(path)
            for method in arrays.keys() & maps.keys():
                maps[method].append(arrays[method])
            for method, method_record in record["methods"].items():
                results += [restored(result) for result in method_record.pop("findings")]
                methods[method]["models"][network.name] = method_record
        task.update(len(networks))
    for method, of_models in maps.items():
        shared = agreement(of_models, patients[rows], generator(seed, 4)) if len(of_models) > 1 else None
        methods[method]["reproducibility"] = plain(shared)
    return Maps(results, {"images": [validation[row] for row in rows], "steps": options.steps, "methods": methods})


def _record(evaluation: MapEvaluation, case: ModelCase, repeated: Agreement | None) -> dict[str, Any]:
    verdict = evaluation.verdict(repeated, None)  # agreement between models is reported, but is no criterion
    return {
        "findings": [
            plain_result(trust_result(evaluation, verdict, case.name)), plain_result(lung_result(evaluation, case)),
        ],
        "trusted": verdict.trusted,
        "reasons": list(verdict.reasons),
        "repeatability": plain(repeated),
        "sanity": plain(evaluation.sanity) | {"passes": evaluation.sanity.passes},
        "order": [plain(order) for order in evaluation.order],
        "lungs": plain(evaluation.lungs),
    }  # fmt: skip


def _refused(method: str, case: ModelCase, reason: str) -> dict[str, Any]:
    statistic = f"{METHODS[method].title}: similarity to the maps of a random network"
    result = refused("map_trust", case.name, statistic, reason, TRUST_LIMITS)
    return {
        "findings": [plain_result(result)], "trusted": None, "reasons": [reason], "repeatability": None, "sanity": None,
        "order": [], "lungs": None,
    }  # fmt: skip


def _over_seeds(
    network: FigureNetwork,
    training_tasks: Sequence[TrainingTask],
    case: ModelCase,
    first: MapEvaluation,
    rows: np.ndarray,
    seed: int,
) -> Agreement | None:
    """Agreement of the maps of a model between its seeds; None with a single seed."""
    fold, seed_shown = network.task.split.fold, network.task.seed
    others = [
        task
        for task in training_tasks
        if task.row.name == network.name and task.split.fold == fold and task.seed != seed_shown
    ]
    if not others:
        return None
    maps, pixels = [first.maps], network.device.put(case.pixels[torch.from_numpy(rows)])
    for task in others:
        model = FigureNetwork(network.run, task, network.prepared, network.device).network()
        maps.append(common(attribute(model, pixels, first.method).maps))
    return agreement(maps, case.patients[rows], generator(seed, 4))
