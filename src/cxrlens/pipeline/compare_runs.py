"""Finished runs side by side, and paired differences of a model between runs with the same validation images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from cxrlens.arguments import checked
from cxrlens.errors import UserError
from cxrlens.evaluate.comparisons import Comparison, compare, corrected
from cxrlens.evaluate.networks import model_influence, read_predictions
from cxrlens.pipeline.finished_run import FinishedRun
from cxrlens.report.runs_compared import ComparedRun, NotComparable, RunAuc, RunDifference, RunsCompared
from cxrlens.text import many

WITHOUT_EFFECT = ("name", "question")  # keys of a study that change no number


@dataclass(frozen=True)
class _Opened:
    """A run, the predictions of its labelled images, one row per image with patient and label, and the file hashes."""

    name: str
    run: FinishedRun
    results: dict[str, Any]
    predictions: pd.DataFrame
    images: pd.DataFrame
    sha256: Mapping[str, str]


@checked
def compare_runs(runs: Sequence[FinishedRun | str | Path]) -> RunsCompared:
    """Puts runs side by side.

    Two runs are compared model by model if they have the same validation images: equal names, files, labels and
    patients. All intervals have the confidence level of the first run.

    Args:
        runs: at least two runs or their folders.

    Raises:
        UserError: there are fewer than two runs, one is given twice, or one is absent, not finished or damaged.
    """
    opened = _opened([run if isinstance(run, FinishedRun) else FinishedRun.open(run) for run in runs])
    level = opened[0].results["evaluation"]["level"]
    not_comparable, differences = [], []
    notes = [note for run in opened if (note := _merged_patients_note(run))]
    for a, b in combinations(opened, 2):
        names = [model["name"] for model in a.results["models"]]
        shared = [name for name in names if name in {model["name"] for model in b.results["models"]}]
        reason = _other_images(a, b) or ("" if shared else "no model has the same name in both")
        if reason:
            not_comparable.append(NotComparable(a.name, b.name, reason))
        else:
            differences += [RunDifference(name, _difference(a, b, name, level)) for name in shared]
    adjusted = corrected([difference.change for difference in differences])
    return RunsCompared(
        runs=tuple(_column(run) for run in opened),
        aucs=tuple(_auc(model, run.name) for run in opened for model in run.results["models"]),
        differences=tuple(
            replace(difference, change=change) for difference, change in zip(differences, adjusted, strict=True)
        ),
        apart=tuple(not_comparable),
        settings=_settings(opened),
        level=level,
        notes=tuple(notes) if differences else (),
    )


def _opened(runs: Sequence[FinishedRun]) -> list[_Opened]:
    folders = [run.folder.path.resolve() for run in runs]
    if len(runs) < 2:
        raise UserError(f"a comparison needs at least two runs; got {len(runs)}")
    if len(set(folders)) < len(folders):
        raise UserError("a run cannot be compared with itself; give each folder once")
    opened = []
    for name, run in zip(run_names(folders), runs, strict=True):
        predictions, cohort = run.predictions, run.cohort
        labelled = predictions[predictions["label"].notna()]
        images = labelled.drop_duplicates("image").set_index("image")[["patient", "label"]]
        hashed = cohort[cohort["sha256"].notna()] if "sha256" in cohort else cohort[:0].assign(sha256="")
        files = dict(zip(hashed["image"], hashed["sha256"], strict=True))
        opened.append(_Opened(name, run, run.results, labelled, images, files))
    return opened


def run_names(folders: Sequence[Path]) -> list[str]:
    """Names of the folders: their last parts, as many as make the names different.

    >>> run_names([Path("/a/demo"), Path("/b/demo")]), run_names([Path("/a/one"), Path("/a/two")])
    (['a/demo', 'b/demo'], ['one', 'two'])
    """
    depth = 1
    while len({folder.parts[-depth:] for folder in folders}) < len(folders):
        depth += 1
    return [Path(*folder.parts[-depth:]).as_posix() for folder in folders]


def _other_images(a: _Opened, b: _Opened) -> str:
    """The reason why two runs do not have the same validation images, else ""."""
    one, other = a.images, b.images
    both = one.index.intersection(other.index)
    if len(one) != len(both) or len(other) != len(both):
        shared = f"{len(both)} of them in both" if len(both) else "none of them in both"
        return f"their validation images differ ({len(one)} and {len(other)}, {shared})"
    files = sum(
        a.sha256.get(image, "") != b.sha256.get(image, "") for image in both if image in a.sha256.keys() & b.sha256
    )
    if files:
        return f"images of the same name have different files ({files} of {len(both)})"
    for column in ("label", "patient"):
        different = int((one.loc[both, column] != other.loc[both, column]).sum())
        if different:
            return f"images of the same name have different {column}s ({different} of {len(both)})"
    return ""


def _difference(a: _Opened, b: _Opened, model: str, level: float) -> Comparison:
    """The difference of one model between two runs, computed as `evaluate` compares two models of one run."""
    rows = [run.predictions[run.predictions["model"] == model].assign(model=run.name) for run in (a, b)]
    data = read_predictions(pd.concat(rows, ignore_index=True), None, [a.name, b.name])
    influences = {name: model_influence(networks, data) for name, networks in data.models.items()}
    return compare(influences, level)[0]


def _merged_patients_note(opened: _Opened) -> str:
    ids, counted = opened.images["patient"].nunique(), opened.results["models"][0]["patients"]
    if ids == counted:
        return ""
    return (
        f"{opened.name} counts its {many(ids, 'patient id')} as {many(counted, 'patient')}, since some share an image. "
        "In the differences every id counts as a patient, so their intervals may be slightly too narrow."
    )


def _column(opened: _Opened) -> ComparedRun:
    first, study = opened.results["models"][0], opened.run.study
    facts = {name: first[name] for name in ("seeds", "folds", "images", "patients", "positive", "negative")}
    leaking = opened.results["cohort"].get("validation_images_of_training_patients")
    return ComparedRun(opened.name, opened.results["study"], study.split.kind, leaking, **facts)


def _auc(model: Mapping[str, Any], run: str) -> RunAuc:
    low, high, spread = model["auc_low"], model["auc_high"], model["auc_seed_sd"]
    rough, reason = bool(model.get("rough")), model.get("reason") or ""
    return RunAuc(model["name"], run, model["auc"], low, high, spread, rough, reason)


def _settings(opened: Sequence[_Opened]) -> dict[str, tuple[Any, ...]]:
    """Settings that differ between the runs, and the weights used for "auto"; of a model only if all runs have it."""
    studies = [run.run.study for run in opened]
    common = set.intersection(*({row.name for row in study.models} for study in studies))
    settings = []
    for run, study in zip(opened, studies, strict=True):
        plain = {name: value for name, value in study.model_dump(mode="json").items() if name not in WITHOUT_EFFECT}
        plain["data"] = {"source": type(study.data).__name__, **plain["data"]}
        used_weights = {model["name"]: (model.get("weights") or {}).get("name") for model in run.results["models"]}
        rows = {row.pop("name"): row for row in plain["models"]}
        plain["models"] = {
            name: row | {"weights found": used_weights.get(name)} if name in common else "in the study"
            for name, row in rows.items()
        }
        settings.append(_flat(plain))
    keys = dict.fromkeys(key for flat in settings for key in flat)
    values = {key: tuple(flat.get(key) for flat in settings) for key in keys}
    return {key: row for key, row in values.items() if any(value != row[0] for value in row)}


def _flat(value: Any, key: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping) or not value:
        return {key: value}
    return {
        name: leaf
        for inner, content in value.items()
        for name, leaf in _flat(content, f"{key}.{inner}" if key else str(inner)).items()
    }
