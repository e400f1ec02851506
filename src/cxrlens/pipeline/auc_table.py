"""AUCs and differences of any table of predictions, also of one that cxrlens did not write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxrlens.arguments import checked
from cxrlens.data.demographics import PATIENTS, UNSTATED, read_patients
from cxrlens.data.tables import Table, read_table
from cxrlens.errors import UserError
from cxrlens.evaluate.auc import AucInterval, check_level, interval_of
from cxrlens.evaluate.comparisons import Comparison, compare
from cxrlens.evaluate.networks import model_influence, networks_no_auc_reason, read_predictions
from cxrlens.evaluate.records import plain
from cxrlens.text import first_few, many

NAMES = {  # usual column names of each role; compared without case, blanks and punctuation
    "label": ("label", "y", "ytrue", "target", "truth", "groundtruth", "class", "outcome"),
    "patient": (*PATIENTS, "person", "group"),
    "image": ("image", "imageid", "file", "filename", "imagename", "path", "study", "id"),
    "model": ("model", "modelname", "network", "reader", "method"),
    "seed": ("seed", "training", "run", "repeat"),
    "fold": ("fold",),
    "score": ("logit", "score", "yscore", "yprob", "ypred", "probability", "prob", "prediction", "pred"),
}
OPTIONS = {"label": "--label", "patient": "--patient", "image": "--image", "model": "--model", "score": "--score"}
WORDS = {"1": 1.0, "0": 0.0, "true": 1.0, "false": 0.0, "positive": 1.0, "negative": 0.0, "yes": 1.0, "no": 0.0}


@dataclass(frozen=True)
class AucTable:
    """AUCs of a table of predictions.

    Attributes:
        models: model → its AUC with intervals.
        differences: difference of every pair of models, with Holm's correction over all pairs.
        columns: role (such as "label" or "patient") → column of the table.
        other_columns: role → further columns with a usual name of that role, which could have been meant.
        notes: sentences on how the table was read.
        level: confidence level of the intervals, between 0 and 1.
    """

    models: dict[str, AucInterval]
    differences: tuple[Comparison, ...]
    columns: dict[str, str]
    other_columns: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]
    level: float

    @property
    def choices(self) -> list[str]:
        """A sentence on each column that was chosen among several: which others there are, and how to choose one."""
        sentences = []
        for role, others in self.other_columns.items():
            names = first_few([f"'{name}'" for name in others], 5)
            how = f"{OPTIONS[role]} chooses" if role in OPTIONS else "is used if the first is renamed"
            sentences.append(
                f"{role}: the column '{self.columns[role]}' was used; the table also has {names}, which {how}"
            )
        return sentences

    def to_json(self) -> dict[str, Any]:
        """The result as plain values with 6 decimals; unknown is None."""
        return {
            "models": [
                {"name": name, **plain(interval), "rough": interval.rough} for name, interval in self.models.items()
            ],
            "differences": plain(self.differences),
            "columns": self.columns,
            "other_columns": {role: list(others) for role, others in self.other_columns.items()},
            "choices": self.choices,
            "notes": list(self.notes),
            "level": self.level,
            "notice": "For research only; never for diagnosis.",
        }


@checked
def auc_table(
    path: str | Path,
    scores: str | Sequence[str] = (),
    *,
    label: str | None = None,
    patient: str | None = None,
    image: str | None = None,
    model: str | None = None,
    level: float = 0.95,
) -> AucTable:
    """Computes AUCs and differences from a CSV file of predictions.

    The file has one column of scores per model, or one row per model and image with a column of model names. A column
    that is not named is recognised by its usual name (`NAMES`); where several would do, the first is used, and the
    result lists the others (`other_columns`).

    Args:
        path: the file.
        scores: columns of scores, where higher means more positive; by default a column with a usual name (`NAMES`).
        label: column of labels: 1 or 0, true or false, positive or negative. Rows whose label is empty or only says
            that it is unknown (`demographics.UNSTATED`) are left out.
        patient: column of patient ids; without one every image counts as a patient of its own.
        image: column of image names; needed if a column holds model names, seeds or trainings.
        model: column of model names.
        level: confidence level of the intervals, between 0 and 1.

    Raises:
        UserError: a column is absent, a label or score is invalid, two columns of labels contradict each other, the
            models do not have the same images, or there are fewer than 2 images of a class.
    """
    check_level(level)
    table = read_table(Path(path))
    named = {"label": label, "patient": patient, "image": image, "model": model}
    roles = {role: name for role in ("label", "patient", "image", "model", "seed", "fold")
             if (name := _column(table, role, named.get(role)))}  # fmt: skip
    score_columns = _scores(table, (scores,) if isinstance(scores, str) else scores, roles)
    predictions, notes = _predictions(table, score_columns, roles)
    data = read_predictions(predictions)
    if data.unlabelled:
        notes.append(f"{data.unlabelled} rows or images without a label are left out")
    for name, networks in data.models.items():
        if reason := networks_no_auc_reason(networks, data.labels):
            raise UserError(f"{path}, {name}: {reason}")
    influences = {name: model_influence(networks, data) for name, networks in data.models.items()}
    models = {name: interval_of(influence, data.labels, level) for name, influence in influences.items()}
    columns = {**roles, "score": ", ".join(score_columns)}
    chosen = [role for role in columns if named.get(role) is None and not (role == "score" and scores)]
    others = {role: names for role in chosen if (names := _others(table, role, columns))}
    return AucTable(models, compare(influences, level), columns, others, tuple(notes), level)


def _others(table: Table, role: str, columns: dict[str, str]) -> tuple[str, ...]:
    """Columns that have a usual name of a role and values for it, beside the one that is used.

    Raises:
        UserError: another column of labels contradicts the one that is used.
    """
    usual = [name for name in map(str, table.rows.columns) if _bare(name) in NAMES[role]]
    names = [name for name in usual if name not in columns.values()]
    if role == "score":
        return tuple(name for name in names if pd.to_numeric(table.rows[name], errors="coerce").notna().any())
    if role != "label":
        return tuple(names)
    used, others = _labels(table, columns["label"]), []
    for name in names:
        try:
            labels = _labels(table, name)
        except UserError:  # it holds something else than labels
            continue
        if different := int(((used != labels) & ~np.isnan(used) & ~np.isnan(labels)).sum()):
            raise UserError(
                f"{table.path}: the columns '{columns['label']}' and '{name}' could both hold the labels, and differ "
                f"in {many(different, 'row')}; name the right one with --label"
            )
        others.append(name)
    return tuple(others)


def _labels(table: Table, column: str) -> np.ndarray:
    return np.array([_label(table, row, cell) for row, cell in enumerate(table.rows[column])])


def _column(table: Table, role: str, name: str | None) -> str | None:
    """The column of a role: the named one, else one with a usual name."""
    if name is not None:
        table.need([name])
        return name
    by_name = {_bare(column): column for column in reversed(list(map(str, table.rows.columns)))}
    column = next((by_name[usual] for usual in NAMES[role] if usual in by_name), None)
    if column is None and role == "label":
        raise UserError(
            f"{table.path}: no column of labels was found; name it with --label. Columns: "
            f"{', '.join(map(str, table.rows.columns))}"
        )
    return column


def _bare(name: str) -> str:
    return "".join(sign for sign in name.lower() if sign.isalnum())


def _scores(table: Table, names: Sequence[str], roles: dict[str, str]) -> list[str]:
    """The columns of scores: the named ones, else one with a usual name."""
    if names:
        table.need(names)
        return list(dict.fromkeys(names))
    if column := _column(table, "score", None):
        return [column]
    raise UserError(
        f"{table.path}: no column of scores was found; name one for each model with --score. Columns: "
        f"{', '.join(name for name in map(str, table.rows.columns) if name not in roles.values())}"
    )


def _predictions(table: Table, scores: list[str], roles: dict[str, str]) -> tuple[pd.DataFrame, list[str]]:
    """The table with the columns of `predictions.csv`, one row per model and image; and notes on how it was read."""
    rows, notes = table.rows, []
    labels = _labels(table, roles["label"])
    numbered = [f"row {line}" for line in table.lines]
    by_row = "model" not in roles and "seed" not in roles
    if not by_row and "image" not in roles:
        raise UserError(
            f"{table.path}: a table with one row per image and model or training needs a column of image names; name "
            "it with --image"
        )
    if "model" in roles and len(scores) > 1:
        raise UserError(
            f"a table with a column of models ('{roles['model']}') needs one column of scores; got {', '.join(scores)}"
        )
    if by_row:
        roles.pop("image", None)
    images = numbered if by_row else rows[roles["image"]].tolist()
    if "patient" in roles:
        cells = rows[roles["patient"]].tolist()
        ids, _ = read_patients(cells)
        if unknown := ids.count(None):
            words = dict.fromkeys(f"'{cell}'" for cell in cells if cell.strip().casefold() in UNSTATED - {""})
            examples = f" ({', '.join(list(words)[:5])})" if words else ""
            notes.append(
                f"{many(unknown, 'row', 'name')} no patient{examples}: each of these images counts as a patient of its "
                "own"
            )
        patients = [patient or f"of {image}" for patient, image in zip(ids, images, strict=True)]
    else:
        patients = images
        notes.append(
            "no column of patients: every image counts as a patient of its own, so intervals are too narrow if a "
            "patient has several images; name the column with --patient"
        )
    parts = []
    for column in scores:
        values = [
            np.nan if np.isnan(labels[row]) and not cell.strip() else _score(table, row, column, cell)
            for row, cell in enumerate(rows[column])
        ]
        parts.append(
            pd.DataFrame(
                {
                    "model": rows[roles["model"]] if "model" in roles else column,
                    "seed": _numbers(rows, roles.get("seed")),
                    "fold": _numbers(rows, roles.get("fold")),
                    "image": images,
                    "patient": patients,
                    "label": labels,
                    "probability": 0.5,
                    "logit": values,
                }
            )
        )
    return pd.concat(parts, ignore_index=True), notes


def _numbers(rows: pd.DataFrame, column: str | None) -> Any:
    """The rank of each value among the column's values; 0 without a column."""
    return 0 if column is None else pd.factorize(rows[column], sort=True)[0]


def _label(table: Table, row: int, cell: str) -> float:
    word = cell.strip().casefold()
    if word in UNSTATED:
        return np.nan
    value = WORDS.get(word)
    if value is None:
        try:
            value = {1.0: 1.0, 0.0: 0.0}[float(word)]
        except (ValueError, KeyError):
            raise UserError(
                f"{table.where(row)}: a label is 1 or 0, true or false, positive or negative; got '{cell}'"
            ) from None
    return value


def _score(table: Table, row: int, column: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise UserError(f"{table.where(row)}: a score is a finite number; column '{column}' has '{cell}'")
    return value
