"""A finished run without training, as a folder and as a `ReportData`: random predictions, names that are no numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from cxrlens.evaluate.evaluate import evaluate
from cxrlens.files import write_text
from cxrlens.report.report_data import Gallery, ReportData
from cxrlens.run_folder import RunFolder

IMAGES = [f"ward é/IM-{number:04d}&a.jpeg" for number in range(40)]
PATIENTS = [f"MRN-{7000 + number // 2}" for number in range(40)]
LICENCES = ["CC BY-NC-SA", None, "CC0", "ask the author"]
STUDY = """
name = "by hand"
question = "Does {image} of {patient} matter?"

[data]
source = "phantom"

[explain]
images = ["{image}"]

[[models]]
name = "weak"
backbone = "tf_efficientnet_lite0"

[[models]]
name = "strong"
backbone = "tf_efficientnet_lite0"
{row}
"""
TOLD = {
    "parameters": 10, "trainable_parameters": 5, "size": 64, "overridden": [], "instead_of": None, "paper_auc": 0.7,
    "weights": {
        "name": "random", "asked": "random", "title": "random weights", "sha256": None, "size": None, "input": "",
        "preprocessing": {"mean": [0.0], "std": [1.0]},
    },
}  # fmt: skip


def cohort() -> pd.DataFrame:
    """40 images of 20 patients, every third negative, the last without a file."""
    return pd.DataFrame(
        {
            "image": IMAGES,
            "patient": PATIENTS,
            "label": labels(),
            "finding": "finding",
            "view": "PA",
            "source": "hospital",
            "license": [LICENCES[number % 4] for number in range(40)],
            "notes": [f"Mr. {patient} coughs; see {image}" for image, patient in zip(IMAGES, PATIENTS, strict=True)],
            "other_notes": "Mr. X coughs",
            "sha256": [f"{number:064x}" for number in range(40)],
            "missing": [None] * 39 + ["no such file"],
        }
    )


def labels() -> np.ndarray:
    """1 or 0, float [40]."""
    return (np.arange(40) % 3 > 0).astype(float)


def predictions(seed: int = 0, effects: tuple[float, float] = (0.5, 2.0), seeds: int = 2) -> pd.DataFrame:
    """Of both models on all images."""
    draws = np.random.default_rng(seed)
    tables = []
    for name, effect in zip(("weak", "strong"), effects, strict=True):
        for number in range(seeds):
            logit = effect * labels() + draws.normal(size=40)
            told = {"model": name, "seed": number, "fold": 0, "image": IMAGES, "patient": PATIENTS, "label": labels()}
            tables.append(pd.DataFrame({**told, "probability": 1 / (1 + np.exp(-logit)), "logit": logit}))
    return pd.concat(tables, ignore_index=True)


def results(made: pd.DataFrame) -> dict:
    """`results.json` of predictions, with names wherever a run may say one."""
    judged = evaluate(made, made, cohort()).to_json()
    judged["models"] = [model | TOLD for model in judged["models"]]
    return {
        "schema_version": 1,
        "study": "by hand",
        "question": "?",
        "cohort": {
            "images": 40, "positive": 26, "negative": 14, "patients": 20, "train": 0, "validation": 40,
            "validation_images_of_training_patients": 3, "validation_patients_in_training": 2,
            "missing": [{"image": IMAGES[39], "reason": f"{IMAGES[39]} is not there"}],
        },
        "warnings": [f"1 of 40 listed images cannot be read and are left out: {IMAGES[39]}"],
        **judged,
        "skipped": [{"name": "gone", "reason": "out of reach", "paper_auc": None}],
    }  # fmt: skip


def audited() -> dict:
    """`audit.json` with images and patients in a sentence and in its evidence."""
    pair = {"images": IMAGES[:2], "patients": PATIENTS[1:3], "labels": [1.0, None], "identical": True}
    finding = {
        "probe": "duplicates", "model": None, "statistic": "pairs", "value": 1.0, "low": None, "high": None,
        "verdict": "flag", "limits": f"not beyond {IMAGES[3]}", "direction": "", "p": None, "p_holm": None,
        "sentence": f"{IMAGES[0]} of {PATIENTS[0]} is also {Path(IMAGES[1]).name}.", "reason": "",
        "evidence": {"pairs": [pair], "look_at": [{"image": IMAGES[5], "label": 1}]}, "bar": None,
    }  # fmt: skip
    part = {"name": "strong", "auc": "", "headline": f"It knows {PATIENTS[4]}.", "flags": 1, "points": [], "next": []}
    point = {**part, "name": "The images", "points": [finding["sentence"]]}
    return {
        "schema_version": 1,
        "findings": [finding],
        "maps": {"images": IMAGES[:6]},
        "reuse": {"models": [], "between": []},
        "summary": {"cohort": point, "models": [part], "notice": "For research only.", "markdown": ""},
    }


def study(row: str = "") -> str:
    """The study file; `row` is put into the second model."""
    return STUDY.format(image=IMAGES[1], patient=PATIENTS[2], row=row)


def report_data() -> ReportData:
    """A `ReportData` with all parts: figures of one byte, a gallery of 8 grey images."""
    made = predictions()
    pixels = np.full((8, 16, 16), 99, dtype=np.uint8)
    maps = {name: {"grad_cam": np.ones((8, 4, 4), dtype=np.float32)} for name in ("weak", "strong")}
    figures = ("auc", "roc", "figure1", "figure1_also", "figure2", "figure3", "audit", "audit_evidence", "new")
    return ReportData(
        results=results(made),
        environment={"command": ["cxrlens", "/home/me/study.toml"], "data": f"/home/me/{PATIENTS[0]}"},
        study=study(),
        cohort=cohort(),
        predictions=made,
        explanations={"schema_version": 1, "note": f"of {IMAGES[2]}"},
        audit=audited(),
        pictures={name: f"the figure {name}".encode() for name in figures},
        gallery=Gallery(tuple(IMAGES[:8]), pixels, maps, {name: {"grad_cam": (0, 0)} for name in maps}),
    )


def run_folder(path: Path, made: pd.DataFrame | None = None, row: str = "", table: pd.DataFrame | None = None) -> Path:
    """Writes such a run."""
    made, run = predictions() if made is None else made, RunFolder(path)
    write_text(run.study, study(row))
    run.write_table(path / "predictions.csv", made)
    run.write_table(path / "cohort.csv", cohort() if table is None else table)
    run.write_json("results.json", results(made))
    run.write_json("audit.json", audited())
    run.write_json("environment.json", {"data": "/home/me"})
    for name in ("auc", "figure1", "figure3"):
        write_text(path / "figures" / f"{name}.png", f"the figure {name}")
    return path
