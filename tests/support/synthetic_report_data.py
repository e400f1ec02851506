"""A made-up `ReportData` of any size for tests of the page: predictions, a cohort, an audit and maps, none trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from cxrlens.evaluate.evaluate import evaluate
from cxrlens.report.page import PICTURES
from cxrlens.report.report_data import Gallery, ReportData

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a4944415478da63f80f00010101001bb6ee5600000000"
    "49454e44ae426082"
)
EVIL = "</script><script>alert('x')</script> <img src=x onerror=alert(1)> & \"quoted\" é"
STUDY = """
name = "s"
[data]
source = "phantom"
patients = 40
[augment]
horizontal_flip = true
brightness = [0.5, 1.2]
"""


def made(
    images: int = 12,
    models: dict[str, float] | None = None,
    size: int = 32,
    maps: bool = True,
    audited: bool = True,
    flags: tuple[str, ...] = (),
    leaking: int = 0,
    name: str = "image {}.png",
    notes: str = "notes",
    question: str = "",
    shift: float = 0.0,
    pictures: dict[str, bytes] | None = None,
) -> ReportData:
    """A made-up report.

    Args:
        images: number of validation images; the training set has as many.
        models: name → distance between the mean logits of the classes, halved.
        size: side length of the images in pixels, and of the saliency maps (at most 112).
        maps: whether there is a gallery.
        audited: whether there is an audit.
        flags: models that the audit flags.
        leaking: number of validation images of patients in the training set.
        name: name of the images, with a place for their number.
        notes: notes of every image.
        question: question of the study.
        shift: value added to every logit and to the threshold of the gallery.
        pictures: name of a figure → PNG; by default, all figures.
    """
    models = models or {"weak": 0.3, "strong": 0.6}
    random = np.random.default_rng(0)
    names = [name.format(number) for number in range(images)]
    label = (np.arange(images) % 2).astype(float)
    tables = []
    for model, effect in models.items():
        logit = effect * (2 * label - 1) + random.normal(size=images) + shift
        told = {"model": model, "seed": 0, "fold": 0, "image": names, "patient": names, "label": label}
        tables.append(pd.DataFrame({**told, "logit": logit, "probability": 1 / (1 + np.exp(-logit))}))
    predictions = pd.concat(tables, ignore_index=True)
    cohort = pd.DataFrame(
        {
            "image": [*names, *(f"train {number}" for number in range(images))],
            "patient": [*names, *(f"T{number}" for number in range(images))],
            "label": np.r_[label, label],
            "finding": "No Finding",
            "view": ["PA", "AP"] * images,
            "source": ["one.example", "two"] * images,
            "sex": ["F", "M"] * images,
            "license": "CC0",
            "notes": notes,
            "side": ["validation"] * images + ["train"] * images,
        }
    )
    judged = evaluate(predictions, predictions, cohort, model_order=list(models)).to_json()
    positive = int(label.sum())
    results: dict[str, Any] = {
        "schema_version": 1, "study": "s", "question": question, "warnings": [], "skipped": [], **judged,
        "cohort": {
            "images": 2 * images + 1, "positive": 2 * positive, "negative": 2 * (images - positive),
            "patients": 2 * images, "train": images, "validation": images,
            "validation_images_of_training_patients": leaking, "validation_patients_in_training": leaking,
            "missing": [{"image": "lost.png", "reason": "no such file"}], "left_out": {"view L": 7},
        },
    }  # fmt: skip
    return ReportData(
        results=results,
        environment={
            "cxrlens": "0.1.0", "python": "3", "packages": {"torch": "2"}, "device": {"name": "cpu", "title": "CPU"},
            "command": ["cxrlens", "run", "a b.toml"], "data": None, "stages": [{"name": "cohort", "seconds": 1.5}],
            "inputs": {"study_sha256": "ab" * 32, "images_sha256": "cd" * 32, "images": 2 * images},
        },
        study=STUDY + "".join(f"[[models]]\nname = {_toml(model)}\n" for model in models),
        cohort=cohort,
        predictions=predictions,
        explanations={"schema_version": 1},
        audit=audit(list(models), flags) if audited else None,
        pictures=dict.fromkeys(PICTURES, PNG) if pictures is None else pictures,
        gallery=gallery(names, list(models), size, random, shift) if maps else None,
    )  # fmt: skip


def audit(models: list[str], flags: tuple[str, ...]) -> dict[str, Any]:
    """An `audit.json` that flags some models."""

    def part(name: str, flagged: bool) -> dict[str, Any]:
        headline = f"{name} may be using the corners." if flagged else "No question found a shortcut."
        return {"name": name, "auc": "", "headline": headline, "flags": int(flagged), "points": ["a point"], "next": []}

    findings = [
        {
            "model": model, "probe": "corners", "statistic": "AUC lost without corners", "value": 0.1, "low": 0.0,
            "high": 0.2, "verdict": "flag" if model in flags else "clear", "limits": "not which mark", "sentence": "s",
        }
        for model in models
    ]  # fmt: skip
    summary = {"cohort": part("Images and metadata", False), "notice": "a notice"}
    summary["models"] = [part(model, model in flags) for model in models]
    between = [{"a": "a", "b": "b", "cka": 0.5, "low": 0.4, "high": 0.6}]
    return {"schema_version": 1, "findings": findings, "summary": summary, "reuse": {"models": [], "between": between}}


def gallery(names: list[str], models: list[str], size: int, random: np.random.Generator, shift: float) -> Gallery:
    """Images like smooth noise, lungs as two boxes, coarse maps and fine ones; a threshold of 0.4 before the shift."""
    count = len(names)
    noise = random.normal(size=(count, size, size))
    smooth = gaussian_filter(noise, (0, size / 20, size / 20)) * size / 20 + 0.1 * gaussian_filter(noise, (0, 1, 1))
    pixels = (128 + 90 * smooth / np.abs(smooth).max()).clip(0, 255).astype(np.uint8)
    lungs = np.zeros((count, size, size), bool)
    lungs[:, size // 5 : -size // 5, size // 8 : size // 2 - 2] = True
    fine = min(112, size)
    maps = {
        model: {
            "grad_cam": random.normal(size=(count, 7, 7)).astype(np.float32),
            "saliency": (random.standard_t(3, size=(count, fine, fine)) * 1e-3).astype(np.float32),
        }
        for model in models
    }
    margins = {model: {"grad_cam": (1, 1), "saliency": (0, 0)} for model in models}
    return Gallery(tuple(names), pixels, maps, margins, lungs, dict.fromkeys(models, np.log(0.4 / 0.6) + shift))


def _toml(text: str) -> str:
    import json

    return json.dumps(text, ensure_ascii=False)
