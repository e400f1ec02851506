"""AUCs and differences of any table of predictions, also of one that cxrlens never made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxrlens.data.demographics import PATIENTS, UNSTATED, read_patients
from cxrlens.data.tables import Table, read_table
from cxrlens.errors import UserError
from cxrlens.evaluate.auc import AucInterval, check_level, interval_of
from cxrlens.evaluate.comparisons import Comparison, compare
from cxrlens.evaluate.networks import model_influence, networks_no_auc_reason, read_predictions
from cxrlens.evaluate.records import plain
from cxrlens.text import many

NAMES = {  # what a column is called where nobody says it; compared without case, blanks and signs
    "label": ("label", "y", "ytrue", "target", "truth", "groundtruth", "class", "outcome"),
    "patient": (*PATIENTS, "person", "group"),
    "image": ("image", "imageid", "file", "filename", "imagename", "path", "study", "id"),
    "model": ("model", "modelname", "network", "reader", "method"),
    "seed": ("seed", "training", "run", "repeat"),
    "fold": ("fold",),
    "score": ("logit", "score", "yscore", "yprob", "ypred", "probability", "prob", "prediction", "pred"),
}
WORDS = {"1": 1.0, "0": 0.0, "true": 1.0, "false": 0.0, "positive": 1.0, "negative": 0.0, "yes": 1.0, "no": 0.0}


@dataclass(frozen=True)
class AucTable:
    """What a table of predictions says.

    Attributes:
        models: name → its AUC and intervals.
        differences: of every two models, with Holm's correction over all.
        columns: what each column was taken for.
        notes: what to know of how the table was read.
        level: of the intervals.
    """

    models: dict[str, AucInterval]
    differences: tuple[Comparison, ...]
    columns: dict[str, str]
    notes: tuple[str, ...]
    level: float

    def to_json(self) -> dict[str, Any]:
        """Plain values: 6 decimals, unknown is None."""
        return {
            "models": [{"name": name, **plain(one), "rough": one.rough} for name, one in self.models.items()],
            "differences": plain(self.differences),
            "columns": self.columns,
            "notes": list(self.notes),
            "level": self.level,
            "notice": "For research only; never for diagnosis.",
        }


def auc_table(
    path: str | Path,
    scores: Sequence[str] = (),
    *,
    label: str | None = None,
    patient: str | None = None,
    image: str | None = None,
    model: str | None = None,
    level: float = 0.95,
) -> AucTable:
    """Reads a CSV file of predictions: a column of scores a model, or a row a model and image with a column `model`.

    Args:
        path: of the file.
        scores: columns of scores, higher means more positive; found by name (`NAMES`) where none is given.
        label: the column of labels: 1 or 0, true or false, positive or negative; what is empty or only
            says that it is unknown (`demographics.UNSTATED`) is left out.
        patient: the column that says whose an image is; without one every row is a patient of its own.
        image: the column that names an image; needed where a column names the model.
        model: the column that names the model.
        level: of the intervals, between 0 and 1.

    Raises:
        UserError: a column is not there, a label or score is none, models did not judge the same images, or there are
            fewer than 2 images of a class.
    """
    check_level(level)
    table = read_table(Path(path))
    asked = {"label": label, "patient": patient, "image": image, "model": model}
    found = {role: name for role in ("label", "patient", "image", "model", "seed", "fold")
             if (name := _column(table, role, asked.get(role)))}  # fmt: skip
    chosen = _scores(table, (scores,) if isinstance(scores, str) else scores, found)
    predictions, notes = _predictions(table, chosen, found)
    data = read_predictions(predictions)
    if data.unlabelled:
        notes.append(f"{data.unlabelled} rows or images without a label are left out")
    for name, networks in data.models.items():
        if reason := networks_no_auc_reason(networks, data.labels):
            raise UserError(f"{path}, {name}: {reason}")
    influences = {name: model_influence(networks, data) for name, networks in data.models.items()}
    models = {name: interval_of(one, data.labels, level) for name, one in influences.items()}
    columns = {**found, "score": ", ".join(chosen)}
    return AucTable(models, compare(influences, level), columns, tuple(notes), level)


def _column(table: Table, role: str, asked: str | None) -> str | None:
    if asked is not None:
        table.need([asked])
        return asked
    by_name = {_bare(name): name for name in reversed(list(map(str, table.rows.columns)))}
    hit = next((by_name[name] for name in NAMES[role] if name in by_name), None)
    if hit is None and role == "label":
        raise UserError(
            f"{table.path}: no column of labels was found; name it with --label. Columns: "
            f"{', '.join(map(str, table.rows.columns))}"
        )
    return hit


def _bare(name: str) -> str:
    return "".join(sign for sign in name.lower() if sign.isalnum())


def _scores(table: Table, asked: Sequence[str], found: dict[str, str]) -> list[str]:
    if asked:
        table.need(asked)
        return list(dict.fromkeys(asked))
    if one := _column(table, "score", None):
        return [one]
    raise UserError(
        f"{table.path}: no column of scores was found; name one a model with --score. Columns: "
        f"{', '.join(name for name in map(str, table.rows.columns) if name not in found.values())}"
    )


def _predictions(table: Table, scores: list[str], found: dict[str, str]) -> tuple[pd.DataFrame, list[str]]:
    """The table in the columns of `predictions.csv`, a row a model and image."""
    rows, notes = table.rows, []
    labels = [_label(table, row, cell) for row, cell in enumerate(rows[found["label"]])]
    numbered = [f"row {line}" for line in table.lines]
    by_row = "model" not in found and "seed" not in found
    if not by_row and "image" not in found:
        raise UserError(
            f"{table.path}: where a row is a model's or a training's, a column must name the image; name it with "
            "--image"
        )
    if "model" in found and len(scores) > 1:
        raise UserError(f"one column of scores goes with the column '{found['model']}'; got {', '.join(scores)}")
    if by_row:
        found.pop("image", None)
    images = numbered if by_row else rows[found["image"]].tolist()
    if "patient" in found:
        cells = rows[found["patient"]].tolist()
        named, _ = read_patients(cells)
        if lone := named.count(None):
            words = dict.fromkeys(f"'{cell}'" for cell in cells if cell.strip().casefold() in UNSTATED - {""})
            which = f" ({', '.join(list(words)[:5])})" if words else ""
            notes.append(
                f"{many(lone, 'row', 'name')} no patient{which}: each of these images counts as a patient of its own"
            )
        patients = [name or f"of {image}" for name, image in zip(named, images, strict=True)]
    else:
        patients = images
        notes.append(
            "no column of patients: every image counts as a patient of its own, so intervals are too narrow where one "
            "has several; name it with --patient"
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
                    "model": rows[found["model"]] if "model" in found else column,
                    "seed": _numbers(rows, found.get("seed")),
                    "fold": _numbers(rows, found.get("fold")),
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
    """Each value as a number, by order; 0 throughout without a column."""
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
