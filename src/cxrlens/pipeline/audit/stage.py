"""The audit of a finished run, from its folder and its images to `audit.json`, `audit.md` and its figures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cxrlens.audit.base import Finding, settle
from cxrlens.audit.cohort import cohort_findings
from cxrlens.audit.estimate import Judging
from cxrlens.audit.network import chosen_probes
from cxrlens.audit.records import plain_finding
from cxrlens.data.duplicates import find_duplicates, merge_groups
from cxrlens.pipeline.audit.cases import Cases
from cxrlens.pipeline.audit.lungs import LungStore
from cxrlens.pipeline.audit.maps import audit_maps
from cxrlens.pipeline.audit.networks import audited_networks
from cxrlens.pipeline.audit.outputs import write_outputs
from cxrlens.pipeline.audit.reuse import reuse
from cxrlens.pipeline.cohort_case import cohort_case
from cxrlens.pipeline.explain.shown import first_networks
from cxrlens.pipeline.finished import Run
from cxrlens.pipeline.prepare import Prepared
from cxrlens.pipeline.reopen import reopen
from cxrlens.progress import SILENT, Progress
from cxrlens.report.audit_words import summary
from cxrlens.run_folder import SCHEMA_VERSION
from cxrlens.train.device import choose_device


def audit_run(
    run: Run,
    data: str | Path | None = None,
    *,
    also: Sequence[str] = (),
    full: bool = False,
    device: str = "auto",
    near: str | Path | None = None,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Audits a run; what an interrupted audit had found is not asked again.

    Args:
        run: finished.
        data: the folder of its images; where it was when the run was made, if none is given.
        also: names of probes that are asked by choice alone, since they train.
        full: maps judged on every validation image, not on a sample.
        device: "auto", "cpu" or "cuda".
        near: the folder that relative weight paths start from; as when the run was made, if none is given.
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
        near = near if near is not None else made.get("near")
        near = Path(near) if near is not None else None
        options = run.study.audit
        asked = chosen_probes(also, options.options)
        prepared, jobs = reopen(run, data, progress)
        root = data if data is not None else made["data"]
        root = Path(root) if root is not None else None
        cohort, groups = _cohort(prepared, progress)
        lungs = LungStore(prepared, root)
        retrain = any(probe.by_choice for probe in asked.values())
        cases = Cases(lungs, root, groups, near, retrain, progress)
        shown = first_networks(run, jobs, prepared, chosen)
        networks = audited_networks(shown, cases, asked, prepared.study, progress)
        level = prepared.study.evaluation.level
        maps = audit_maps(jobs, shown, cases, options, full, progress)
        findings = [*cohort, *settle(networks.findings, level), *maps.findings]
        told: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "findings": [plain_finding(each) for each in findings],
            "maps": maps.told,
            "reuse": reuse(run, jobs, prepared, chosen, near, progress),
            "lungs": networks.lungs,
            "seconds": round(time.monotonic() - began, 1),
        }
        told["summary"] = summary(told["findings"], run.results)
        write_outputs(run, told, networks.seen)
    return told


def _cohort(prepared: Prepared, progress: Progress) -> tuple[list[Finding], dict[str, str]]:
    """Findings before training, and patients with their ids merged, whatever the split made of them."""
    cache, evaluation = prepared.cache, prepared.study.evaluation
    sha256 = dict(zip(cache.facts["image"], cache.facts["sha256"], strict=True))
    with progress.task("looking for duplicates", len(prepared.cohort)) as task:
        found = find_duplicates(prepared.cohort.table, cache.pixels, cache.index, sha256, task.update)
    groups = merge_groups(prepared.cohort.table, found.pairs)
    judging = Judging(evaluation.level, evaluation.draws, evaluation.seed)
    case = cohort_case(prepared.cohort, prepared.splits, cache, groups, found, judging, progress)
    return cohort_findings(case, prepared.study.audit.options), groups
