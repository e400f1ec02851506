"""The figures that a study names, and `explain.json`: their numbers, and what they lack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cxrlens.pipeline.explain.figure1 import figure1
from cxrlens.pipeline.explain.figure_networks import first_networks
from cxrlens.pipeline.explain.omissions import Omissions
from cxrlens.pipeline.explain.pictures import figure2, figure3, spectra
from cxrlens.pipeline.finished_run import FinishedRun
from cxrlens.pipeline.fit import TrainingTask
from cxrlens.pipeline.prepare import Prepared
from cxrlens.progress import Progress
from cxrlens.run_folder import SCHEMA_VERSION
from cxrlens.train.device import Device


def explain_run(
    run: FinishedRun, tasks: Sequence[TrainingTask], prepared: Prepared, device: Device, progress: Progress
) -> None:
    """Writes the figures and `explain.json` into the run's folder. Existing arrays are not computed again.

    If a figure, or a model's part of one, fails, all others are still made. The failure is recorded in `explain.json`
    and on the page, and reported as a warning.

    Args:
        run: the run, whose networks are trained and evaluated.
        tasks: the finished training tasks of the run.
        prepared: cohort, splits and cached images of the run.
        device: device on which the networks run.
        progress: receiver of the progress.
    """
    options, level = prepared.study.explain, prepared.study.evaluation.level
    networks, folder = first_networks(run, tasks, prepared, device), run.folder.path / "figures"
    best = max(run.results["models"], key=lambda model: model["auc"])["name"]
    record: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "figures": list(options.figures), "best": best}
    omissions = Omissions(progress)
    if 1 in options.figures:
        figure1(networks, options, best, folder, progress, omissions)
    if 2 in options.figures:
        figure2(networks, options, folder, progress, omissions)
    if 3 in options.figures:
        figure3(networks, options, folder, progress, omissions)
    if "spectrum" in options.figures:
        numbers = spectra(networks, options, level, folder, progress, omissions)
        if numbers:
            record["spectrum"] = numbers
    record["left_out"] = omissions.entries
    run.folder.write_json("explain.json", record)
