"""Finished runs side by side, and the paired difference of a model where two runs judged the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from cxrlens.errors import UserError
from cxrlens.evaluate.comparisons import Comparison, compare, corrected
from cxrlens.evaluate.networks import model_influence, read_predictions
from cxrlens.pipeline.finished_run import FinishedRun
from cxrlens.report.runs_compared import ComparedRun, NotComparable, RunAuc, RunDifference, RunsCompared
from cxrlens.text import many

UNASKED = ("name", "question")  # of a study: they change no number


@dataclass(frozen=True)
class _Opened:
    """A run with what is compared of it: predictions of labelled images, a row an image, and hashes of their files."""

    name: str
    run: FinishedRun
    results: dict[str, Any]
    predictions: pd.DataFrame
    images: pd.DataFrame
    sha256: Mapping[str, str]


def compare_runs(runs: Sequence[FinishedRun | str | Path]) -> RunsCompared:
    """Puts runs side by side.

    Two runs are compared model by model where they judged the same images: the same names, files, labels and patients.
    Their intervals are of the first run's level.

    Args:
        runs: at least two, or their folders.

    Raises:
        UserError: fewer than two, one of them twice, or a run that is not there, not finished or damaged.
    """
    opened = _opened([run if isinstance(run, FinishedRun) else FinishedRun.open(run) for run in runs])
    made = opened[0].results["evaluation"]
    apart, found, notes = [], [], [note for each in opened if (note := _merged(each))]
    for a, b in combinations(opened, 2):
        names = [model["name"] for model in a.results["models"]]
        shared = [name for name in names if name in {model["name"] for model in b.results["models"]}]
        reason = _unlike(a, b) or ("" if shared else "no model has the same name in both")
        if reason:
            apart.append(NotComparable(a.name, b.name, reason))
        else:
            found += [RunDifference(name, _difference(a, b, name, made)) for name in shared]
    adjusted = corrected([each.change for each in found])
    return RunsCompared(
        runs=tuple(_column(each) for each in opened),
        aucs=tuple(_auc(model, each.name) for each in opened for model in each.results["models"]),
        differences=tuple(replace(each, change=change) for each, change in zip(found, adjusted, strict=True)),
        apart=tuple(apart),
        settings=_settings(opened),
        level=made["level"],
        notes=tuple(notes) if found else (),
    )


def _opened(runs: Sequence[FinishedRun]) -> list[_Opened]:
    folders = [run.folder.path.resolve() for run in runs]
    if len(runs) < 2:
        raise UserError(f"a comparison needs at least two runs; got {len(runs)}")
    if len(set(folders)) < len(folders):
        raise UserError("a run is compared with others, not with itself; name each folder once")
    opened = []
    for name, run in zip(run_names(folders), runs, strict=True):
        predictions, cohort = run.predictions, run.cohort
        labelled = predictions[predictions["label"].notna()]
        images = labelled.drop_duplicates("image").set_index("image")[["patient", "label"]]
        known = cohort[cohort["sha256"].notna()] if "sha256" in cohort else cohort[:0].assign(sha256="")
        files = dict(zip(known["image"], known["sha256"], strict=True))
        opened.append(_Opened(name, run, run.results, labelled, images, files))
    return opened


def run_names(folders: Sequence[Path]) -> list[str]:
    """Folders by their last names, and as many before those as tell them apart.

    >>> run_names([Path("/a/demo"), Path("/b/demo")]), run_names([Path("/a/one"), Path("/a/two")])
    (['a/demo', 'b/demo'], ['one', 'two'])
    """
    depth = 1
    while len({folder.parts[-depth:] for folder in folders}) < len(folders):
        depth += 1
    return [Path(*folder.parts[-depth:]).as_posix() for folder in folders]


def _unlike(a: _Opened, b: _Opened) -> str:
    """Why two runs did not judge the same images, else ""."""
    one, other = a.images, b.images
    both = one.index.intersection(other.index)
    if len(one) != len(both) or len(other) != len(both):
        shared = f"{len(both)} of them in both" if len(both) else "none of them in both"
        return f"they judged other images ({len(one)} and {len(other)}, {shared})"
    files = sum(
        a.sha256.get(image, "") != b.sha256.get(image, "") for image in both if image in a.sha256.keys() & b.sha256
    )
    if files:
        return f"images of one name are not the same ({files} of {len(both)})"
    for what in ("label", "patient"):
        differ = int((one.loc[both, what] != other.loc[both, what]).sum())
        if differ:
            return f"images have another {what} ({differ} of {len(both)})"
    return ""


def _difference(a: _Opened, b: _Opened, model: str, made: Mapping[str, Any]) -> Comparison:
    """Of one model in two runs, as `evaluate` compares two models of one run."""
    rows = [each.predictions[each.predictions["model"] == model].assign(model=each.name) for each in (a, b)]
    data = read_predictions(pd.concat(rows, ignore_index=True), None, [a.name, b.name])
    sides = {name: model_influence(networks, data) for name, networks in data.models.items()}
    return compare(sides, made["level"])[0]


def _merged(opened: _Opened) -> str:
    ids, counted = opened.images["patient"].nunique(), opened.results["models"][0]["patients"]
    if ids == counted:
        return ""
    return (
        f"{opened.name} took its {many(ids, 'patient id')} for {many(counted, 'patient')}, since some share an image; "
        "in the differences every id is a patient, so their intervals may be a little narrow."
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
    """What differs between the studies, and between the weights that "auto" came to; of a model only if all have it."""
    studies = [each.run.study for each in opened]
    common = set.intersection(*({row.name for row in study.models} for study in studies))
    told = []
    for each, study in zip(opened, studies, strict=True):
        plain = {name: value for name, value in study.model_dump(mode="json").items() if name not in UNASKED}
        plain["data"] = {"source": type(study.data).__name__, **plain["data"]}
        found = {model["name"]: (model.get("weights") or {}).get("name") for model in each.results["models"]}
        rows = {row.pop("name"): row for row in plain["models"]}
        plain["models"] = {
            name: row | {"weights found": found.get(name)} if name in common else "in the study"
            for name, row in rows.items()
        }
        told.append(_flat(plain))
    keys = dict.fromkeys(key for flat in told for key in flat)
    values = {key: tuple(flat.get(key) for flat in told) for key in keys}
    return {key: row for key, row in values.items() if any(value != row[0] for value in row)}


def _flat(value: Any, key: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping) or not value:
        return {key: value}
    return {
        name: each
        for inner, held in value.items()
        for name, each in _flat(held, f"{key}.{inner}" if key else str(inner)).items()
    }
