"""Every probe to every model's first network; what a network was found to be is written before the next is asked."""

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
    """What the probes came to.

    Attributes:
        findings: of all networks, not settled yet.
        lungs: model → where its lungs come from, of how many images of each class, and what was refused.
        seen: model → the images that its findings point at, before and after (see `look_at`).
    """

    findings: list[AuditResult]
    lungs: dict[str, Any]
    seen: dict[str, dict[str, np.ndarray]]


def audited_networks(
    shown: Sequence[FigureNetwork], cases: Cases, asked: dict[str, ModelProbe], study: Study, progress: Progress
) -> AuditedNetworks:
    """Asks every network.

    Args:
        shown: the first of each model.
        cases: what is given of a network.
        asked: the probes.
        study: of the run.
        progress: where work is shown.
    """
    found = AuditedNetworks([], {}, {})
    with progress.task("questions to networks", len(shown) * len(asked)) as task:
        for number, each in enumerate(shown):
            case = cache(lambda each=each: cases.of(each))  # built when a question was not answered before
            found.seen[each.name] = {}
            for place, probe in enumerate(asked.values()):
                task.update(number * len(asked) + place)
                record = _answer(each, probe, case, cases.files, study)
                findings = [restored(finding) for finding in record["findings"]]
                found.findings.extend(findings)
                found.lungs[each.name] = record["lungs"]
                found.seen[each.name] |= _seen(each, probe, findings, case)
        task.update(len(shown) * len(asked))
    return found


def _answer(
    shown: FigureNetwork, probe: ModelProbe, case: Callable[[], ModelCase], files: dict[str, str], study: Study
) -> dict[str, Any]:
    def make() -> dict[str, Any]:
        findings = probe.results(case())
        if arrays := look_at(case(), findings, probe):
            write_arrays(arrays_path(shown, probe.name), arrays)
        lungs, labels = case().lungs, case().labels
        return {
            "findings": [plain_result(each) for each in findings],
            "lungs": {
                "origin": lungs.origin, "worth": lungs.worth, "refused": list(lungs.refused),
                "positive": int((lungs.known & labels).sum()), "negative": int((lungs.known & ~labels).sum()),
            },
        }  # fmt: skip

    audit = study.audit.model_dump(mode="json", include={"masks", "boxes", "segmenter", "severity"})
    told = {
        "probe": probe.model_dump(mode="json"), "audit": audit, "evaluation": study.evaluation.model_dump(mode="json"),
        "files": files,
    }  # fmt: skip
    return cached_record(shown, probe.name, told, make)


def _seen(
    shown: FigureNetwork, probe: ModelProbe, findings: Sequence[AuditResult], case: Callable[[], ModelCase]
) -> dict[str, np.ndarray]:
    """The images that these findings point at; made anew where their file is gone or damaged."""
    if not any(each.evidence.get("look_at") for each in findings):
        return {}
    path = arrays_path(shown, probe.name)
    if not (arrays := read_arrays(path)):
        arrays = look_at(case(), findings, probe)
        write_arrays(path, arrays)
    return arrays
