"""The figures that a study asks for, and what they say in numbers: `explain.json`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cxrlens.pipeline.explain.figure1 import figure1
from cxrlens.pipeline.explain.figure_networks import first_networks
from cxrlens.pipeline.explain.left_out import LeftOut
from cxrlens.pipeline.explain.pictures import figure2, figure3, spectra
from cxrlens.pipeline.finished_run import FinishedRun
from cxrlens.pipeline.fit import TrainingTask
from cxrlens.pipeline.prepare import Prepared
from cxrlens.progress import Progress
from cxrlens.run_folder import SCHEMA_VERSION
from cxrlens.train.device import Device


def explain_run(
    run: FinishedRun, done: Sequence[TrainingTask], prepared: Prepared, device: Device, progress: Progress
) -> None:
    """Writes the figures into the run's folder; arrays that are there already are not made again.

    A figure, or a model's part of one, that fails takes nothing else away: it is named in `explain.json`, on the page
    and to whoever watches.

    Args:
        run: whose networks are trained and judged.
        done: its networks.
        prepared: its images.
        device: where.
        progress: where work is shown.
    """
    options, level = prepared.study.explain, prepared.study.evaluation.level
    shown, folder = first_networks(run, done, prepared, device), run.folder.path / "figures"
    best = max(run.results["models"], key=lambda model: model["auc"])["name"]
    told: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "figures": list(options.figures), "best": best}
    out = LeftOut(progress)
    if 1 in options.figures:
        figure1(shown, options, best, folder, progress, out)
    if 2 in options.figures:
        figure2(shown, options, folder, progress, out)
    if 3 in options.figures:
        figure3(shown, options, folder, progress, out)
    if "spectrum" in options.figures and (numbers := spectra(shown, options, level, folder, progress, out)):
        told["spectrum"] = numbers
    told["left_out"] = out.told
    run.folder.write_json("explain.json", told)
