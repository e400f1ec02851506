"""The audit of a finished run: reads its folder and images, writes `audit.json`, `audit.md`, figures and the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cxrlens.audit.base import AuditResult, IntervalOptions, plain_result, restored, settle
from cxrlens.audit.case import ModelCase
from cxrlens.audit.network import chosen_probes, cohort_results, look_at
from cxrlens.audit.probes import ModelProbe
from cxrlens.files import write_text
from cxrlens.pipeline.array_cache import arrays_path, cached_record, read_arrays, write_arrays
from cxrlens.pipeline.audit.cases import Cases, LungStore
from cxrlens.pipeline.audit.maps import audit_maps
from cxrlens.pipeline.audit.reuse import reuse
from cxrlens.pipeline.check import cohort_case
from cxrlens.pipeline.environment import recorded_study_dir
from cxrlens.pipeline.explain.figure_networks import FigureNetwork, first_networks
from cxrlens.pipeline.finished_run import FinishedRun, reopen
from cxrlens.pipeline.fit import TrainingTask
from cxrlens.pipeline.prepare import Prepared, cohort_duplicates
from cxrlens.pipeline.report import write_page
from cxrlens.progress import SILENT, Progress
from cxrlens.report.audit_words import summary
from cxrlens.report.figures import audit_figure, evidence_figure, save
from cxrlens.run_folder import SCHEMA_VERSION
from cxrlens.study import Study
from cxrlens.train.device import Device, choose_device

EvidenceImages = Mapping[str, Mapping[str, np.ndarray]]


def write_outputs(run: FinishedRun, record: dict[str, Any], evidence: EvidenceImages) -> None:
    """Writes `audit.json`, the summary `audit.md` and the figures.

    Args:
        run: the audited run.
        record: content of `audit.json`.
        evidence: model → the images that its results refer to, see `look_at`.
    """
    folder = run.folder.path
    run.folder.write_json("audit.json", record)
    write_text(folder / "audit.md", record["summary"]["markdown"])
    model_results = [result for result in record["findings"] if result["model"] is not None]
    save(audit_figure(model_results), folder / "figures" / "audit.png")
    _draw_evidence(run, model_results, evidence)


def _draw_evidence(run: FinishedRun, results: Sequence[dict[str, Any]], evidence: EvidenceImages) -> None:
    """Draws the flagged results on the images where they show most; deletes an earlier figure if nothing is flagged."""
    flagged = [
        result
        for result in results
        if result["verdict"] == "flag" and f"{result['probe']} after" in evidence[result["model"]]
    ]
    path = run.folder.path / "figures" / "audit_evidence.png"
    if flagged:
        save(evidence_figure(flagged, evidence), path)
    else:
        for suffix in (".png", ".pdf"):
            path.with_suffix(suffix).unlink(missing_ok=True)


def audit_run(
    run: FinishedRun,
    data: str | Path | None = None,
    *,
    also: str | Sequence[str] = (),
    full: bool = False,
    device: str = "auto",
    study_dir: str | Path | None = None,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Audits a run. Results of an earlier or interrupted audit are not computed again.

    Args:
        run: the finished run.
        data: folder of its images; by default where it was when the run was made.
        also: names of further tests, which train networks and therefore run only on request.
        full: whether maps are evaluated on every validation image, not on a sample.
        device: "auto", "cpu" or "cuda".
        study_dir: folder that relative weight paths start from; by default that of the run.
        progress: display of the work in progress.

    Returns:
        The content of `audit.json`: `findings`, `maps`, `reuse`, `lungs` and `summary`.

    Raises:
        UserError: a probe is unknown, or the images are not those of the run.
        KeyboardInterrupt: Ctrl-C; the same call continues.
    """
    chosen = choose_device(device)
    with run.folder.locked("run"):
        environment = run.folder.read_json("environment.json")
        study_dir = study_dir if study_dir is not None else recorded_study_dir(environment)
        chosen_probes(_names(also), {})  # an unknown name is an error before any work
        prepared, training_tasks = reopen(run, data, progress)
        data_dir = data if data is not None else environment["data"]
        record = audit_prepared(
            run, training_tasks, prepared, chosen, Path(data_dir) if data_dir is not None else None,
            Path(study_dir) if study_dir is not None else None, _names(also), full, progress,
        )  # fmt: skip
        write_page(run.folder)
    return record


def _names(also: str | Sequence[str]) -> Sequence[str]:
    return (also,) if isinstance(also, str) else also


def audit_prepared(
    run: FinishedRun,
    training_tasks: Sequence[TrainingTask],
    prepared: Prepared,
    device: Device,
    data_dir: Path | None,
    study_dir: Path | None,
    also: Sequence[str] = (),
    full: bool = False,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Audits a run whose images are prepared and whose folder is locked; writes all but the page.

    Args:
        run: the run; its networks are trained and evaluated.
        training_tasks: the finished training tasks of the run.
        prepared: cohort, splits and cached images of the run.
        device: device on which the networks run.
        data_dir: folder of the images; None if the source has no folder.
        study_dir: folder that relative weight paths start from.
        also: names of further tests, which train networks.
        full: whether maps are evaluated on every validation image, not on a sample.
        progress: display of the work in progress.

    Returns:
        The content of `audit.json`.
    """
    began, options = time.monotonic(), prepared.study.audit
    probes = chosen_probes(also, options.options, options.skip)
    with progress.task("auditing the images", 1):
        cohort_audit, groups = _audit_cohort(run, prepared, progress)
    lungs = LungStore(prepared, data_dir)
    retrain = any(probe.by_choice for probe in probes.values())
    cases = Cases(lungs, data_dir, groups, study_dir, retrain, progress)
    networks = first_networks(run, training_tasks, prepared, device)
    audited = audit_networks(networks, cases, probes, prepared.study, progress)
    level = prepared.study.evaluation.level
    maps = audit_maps(training_tasks, networks, cases, options, full, progress)
    results = [*cohort_audit, *settle(audited.results, level), *maps.results]
    record: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "findings": [plain_result(result) for result in results],
        "maps": maps.record,
        "reuse": reuse(run, training_tasks, prepared, device, study_dir, progress),
        "lungs": audited.lungs,
        "skipped": [name for name in options.skip if name not in probes],
        "seconds": round(time.monotonic() - began, 1),
    }
    record["summary"] = summary(record["findings"], run.results)
    write_outputs(run, record, audited.evidence)
    return record


def _audit_cohort(run: FinishedRun, prepared: Prepared, progress: Progress) -> tuple[list[AuditResult], dict[str, str]]:
    """Results that need no network, and patient → group, where patients who share an image are one."""
    cache, evaluation = prepared.cache, prepared.study.evaluation
    duplicates = cohort_duplicates(prepared.cohort, cache, run.folder, progress)
    intervals = IntervalOptions(evaluation.level, evaluation.draws, evaluation.seed)
    case = cohort_case(prepared.cohort, prepared.splits, cache, duplicates.groups, duplicates, intervals, progress)
    return cohort_results(case, prepared.study.audit.options), duplicates.groups


# Every probe on the first network of every model; each record is written before the next is computed.


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
