"""The audit of a finished run, from its folder and its images to `audit.json`, `audit.md` and its figures."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cxrlens.audit.base import AuditResult, IntervalOptions, plain_result, settle
from cxrlens.audit.network import chosen_probes, cohort_results
from cxrlens.files import write_text
from cxrlens.pipeline.audit.cases import Cases, LungStore
from cxrlens.pipeline.audit.maps import audit_maps
from cxrlens.pipeline.audit.networks import audited_networks
from cxrlens.pipeline.audit.reuse import reuse
from cxrlens.pipeline.check import cohort_case
from cxrlens.pipeline.explain.figure_networks import first_networks
from cxrlens.pipeline.finished_run import FinishedRun, reopen
from cxrlens.pipeline.prepare import Prepared, cohort_duplicates
from cxrlens.pipeline.report import write_page
from cxrlens.progress import SILENT, Progress
from cxrlens.report.audit_words import summary
from cxrlens.report.figures import audit_figure, evidence_figure, save
from cxrlens.run_folder import SCHEMA_VERSION
from cxrlens.train.device import choose_device

# What the audit leaves in the run's folder: `audit.json`, the page in words, its figures, and the report anew.

Seen = Mapping[str, Mapping[str, np.ndarray]]


def write_outputs(run: FinishedRun, told: dict[str, Any], seen: Seen) -> None:
    """Writes them.

    Args:
        run: audited.
        told: what `audit.json` holds.
        seen: model → the images that its findings point at.
    """
    folder = run.folder.path
    run.folder.write_json("audit.json", told)
    write_text(folder / "audit.md", told["summary"]["markdown"])
    of_models = [each for each in told["findings"] if each["model"] is not None]
    save(audit_figure(of_models), folder / "figures" / "audit.png")
    _evidence(run, of_models, seen)
    write_page(run.folder)


def _evidence(run: FinishedRun, findings: Sequence[dict[str, Any]], seen: Seen) -> None:
    """Draws what was flagged, on the images where it shows most; an earlier figure goes where nothing is any more."""
    flagged = [
        each for each in findings if each["verdict"] == "flag" and f"{each['probe']} after" in seen[each["model"]]
    ]
    path = run.folder.path / "figures" / "audit_evidence.png"
    if flagged:
        save(evidence_figure(flagged, seen), path)
    else:
        for suffix in (".png", ".pdf"):
            path.with_suffix(suffix).unlink(missing_ok=True)


def audit_run(
    run: FinishedRun,
    data: str | Path | None = None,
    *,
    also: Sequence[str] = (),
    full: bool = False,
    device: str = "auto",
    study_dir: str | Path | None = None,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Audits a run; what an interrupted audit had found is not asked again.

    Args:
        run: finished.
        data: the folder of its images; where it was when the run was made, if none is given.
        also: names of probes that are asked by choice alone, since they train.
        full: maps judged on every validation image, not on a sample.
        device: "auto", "cpu" or "cuda".
        study_dir: the folder that relative weight paths start from; as when the run was made, if none is given.
        progress: where work is shown.

    Returns:
        What `audit.json` holds: `findings`, `maps`, `reuse`, `lungs` and `summary`.

    Raises:
        UserError: an unknown probe, or the images are not those of the run.
        KeyboardInterrupt: Ctrl-C; the same call goes on.
    """
    chosen = choose_device(device)
    with run.folder.locked("run"):
        began, made = time.monotonic(), run.folder.read_json("environment.json")
        study_dir = study_dir if study_dir is not None else made.get("near")
        study_dir = Path(study_dir) if study_dir is not None else None
        options = run.study.audit
        also = (also,) if isinstance(also, str) else also
        asked = chosen_probes(also, options.options)
        prepared, training_tasks = reopen(run, data, progress)
        data_dir = data if data is not None else made["data"]
        data_dir = Path(data_dir) if data_dir is not None else None
        cohort, groups = _cohort(run, prepared, progress)
        lungs = LungStore(prepared, data_dir)
        retrain = any(probe.by_choice for probe in asked.values())
        cases = Cases(lungs, data_dir, groups, study_dir, retrain, progress)
        shown = first_networks(run, training_tasks, prepared, chosen)
        networks = audited_networks(shown, cases, asked, prepared.study, progress)
        level = prepared.study.evaluation.level
        maps = audit_maps(training_tasks, shown, cases, options, full, progress)
        findings = [*cohort, *settle(networks.findings, level), *maps.findings]
        told: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "findings": [plain_result(each) for each in findings],
            "maps": maps.told,
            "reuse": reuse(run, training_tasks, prepared, chosen, study_dir, progress),
            "lungs": networks.lungs,
            "seconds": round(time.monotonic() - began, 1),
        }
        told["summary"] = summary(told["findings"], run.results)
        write_outputs(run, told, networks.seen)
    return told


def _cohort(run: FinishedRun, prepared: Prepared, progress: Progress) -> tuple[list[AuditResult], dict[str, str]]:
    """Findings before training, and patients with their ids merged, whatever the split made of them."""
    cache, evaluation = prepared.cache, prepared.study.evaluation
    duplicates = cohort_duplicates(prepared.cohort, cache, run.folder, progress)
    judging = IntervalOptions(evaluation.level, evaluation.draws, evaluation.seed)
    case = cohort_case(prepared.cohort, prepared.splits, cache, duplicates.groups, duplicates, judging, progress)
    return cohort_results(case, prepared.study.audit.options), duplicates.groups
