"""Applies every probe to the first network of every model; each record is written before the next is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from cxrlens.audit.base import AuditResult, plain_result, restored
from cxrlens.audit.case import ModelCase
from cxrlens.audit.network import look_at
from cxrlens.audit.probes import ModelProbe
from cxrlens.pipeline.array_cache import arrays_path, cached_record, read_arrays, write_arrays
from cxrlens.pipeline.audit.cases import Cases
from cxrlens.pipeline.explain.figure_networks import FigureNetwork
from cxrlens.progress import Progress
from cxrlens.study import Study


@dataclass(frozen=True)
class AuditedNetworks:
    """Results of the probes.

    Attributes:
        results: results of all networks, before the correction for multiple testing (`settle`).
        lungs: model → origin of its lung masks, number of images with masks in each class, and refused origins.
        evidence: model → the images that its results refer to, before and after (see `look_at`).
    """

    results: list[AuditResult]
    lungs: dict[str, Any]
    evidence: dict[str, dict[str, np.ndarray]]


def audit_networks(
    networks: Sequence[FigureNetwork], cases: Cases, probes: dict[str, ModelProbe], study: Study, progress: Progress
) -> AuditedNetworks:
    """Applies every probe to every network.

    Args:
        networks: the first network of each model.
        cases: builds the input of the probes for a network.
        probes: name → probe.
        study: study of the run.
        progress: display of the work in progress.
    """
    audited = AuditedNetworks([], {}, {})
    with progress.task("probing networks", len(networks) * len(probes)) as task:
        for number, network in enumerate(networks):
            case = cache(lambda network=network: cases.of(network))  # built only for a record that is not kept
            audited.evidence[network.name] = {}
            for place, probe in enumerate(probes.values()):
                task.update(number * len(probes) + place)
                record = _record(network, probe, case, cases.files, study)
                results = [restored(result) for result in record["findings"]]
                audited.results.extend(results)
                audited.lungs[network.name] = record["lungs"]
                audited.evidence[network.name] |= _evidence(network, probe, results, case)
        task.update(len(networks) * len(probes))
    return audited


def _record(
    network: FigureNetwork, probe: ModelProbe, case: Callable[[], ModelCase], files: dict[str, str], study: Study
) -> dict[str, Any]:
    def make() -> dict[str, Any]:
        findings = probe.results(case())
        if arrays := look_at(case(), findings, probe):
            write_arrays(arrays_path(network, probe.name), arrays)
        lungs, labels = case().lungs, case().labels
        return {
            "findings": [plain_result(result) for result in findings],
            "lungs": {
                "origin": lungs.origin, "worth": lungs.worth, "refused": list(lungs.refused),
                "positive": int((lungs.known & labels).sum()), "negative": int((lungs.known & ~labels).sum()),
            },
        }  # fmt: skip

    audit = study.audit.model_dump(mode="json", include={"masks", "boxes", "segmenter", "severity"})
    made_from = {
        "probe": probe.model_dump(mode="json"), "audit": audit, "evaluation": study.evaluation.model_dump(mode="json"),
        "files": files,
    }  # fmt: skip
    return cached_record(network, probe.name, made_from, make)


def _evidence(
    network: FigureNetwork, probe: ModelProbe, results: Sequence[AuditResult], case: Callable[[], ModelCase]
) -> dict[str, np.ndarray]:
    """The images that these results refer to; computed again if their file is absent or damaged."""
    if not any(result.evidence.get("look_at") for result in results):
        return {}
    path = arrays_path(network, probe.name)
    if not (arrays := read_arrays(path)):
        arrays = look_at(case(), results, probe)
        write_arrays(path, arrays)
    return arrays
