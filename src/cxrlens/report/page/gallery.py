"""The gallery: the validation images with the maps of every model, as data for the page's script."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
import pandas as pd

from cxrlens.explain.methods import METHODS
from cxrlens.report.page.blocks import (
    Block,
    Island,
    Section,
    Words,
    as_island,
    jpeg,
    map_images,
    map_side,
    outline,
    picture_side,
)
from cxrlens.report.page.explanations import left_out_sentence
from cxrlens.report.page.summary import ranked
from cxrlens.report.report_data import Gallery, ReportData, as_logit

FACTS = {  # column of the cohort → name in the gallery
    "finding": "finding",
    "view": "view",
    "source": "source",
    "site": "site",
    "license": "licence",
    "notes": "notes",
}
COLOURS, SIGNED_COLOURS = "inferno", "coolwarm"  # perceptually uniform


def gallery(report: ReportData) -> Section | None:
    """The gallery; None if the run kept no maps, or if the page must not show images."""
    content = report.gallery
    if content is None or not content.images:
        return None
    names = [model["name"] for model in report.results["models"]]
    methods = list(dict.fromkeys(method for model in names for method in content.maps.get(model, {})))
    data = {
        "images": _images(report, content),
        "first": names.index(ranked(report.results)[0]["name"]),
        "models": [
            _model(content, name, model, report.predictions)
            for name, model in zip(names, report.results["models"], strict=True)
        ],
        "methods": {method: {"title": _title(method), "signed": _display(method) == "signed"} for method in methods},
        "colours": {"positive": _colour_table(COLOURS), "signed": _colour_table(SIGNED_COLOURS)},
    }
    blocks: list[Block] = [
        Words(
            [
                f"{_which_images(report, content)}, with the maps and P of one network per model: that of its first "
                f"seed{' and first fold' if _folds(report) > 1 else ''}. Colour shows evidence for “positive”, on one "
                "scale per model and method. Without evidence, the image stays grey. A map shows where the evidence "
                "is, not whether it is right.",
                "Keyboard: the arrow keys move between images, Enter goes to the large view, Escape goes back.",
            ],
            "soft",
        ),
        *_missing(content),
        Island(as_island(data), names, [(method, _title(method)) for method in methods], content.lungs is not None),
    ]
    return Section("gallery", "Gallery", blocks)


def _folds(report: ReportData) -> int:
    return report.results["models"][0].get("folds") or 1


def _which_images(report: ReportData, content: Gallery) -> str:
    """Which validation images the gallery shows: with folds, those of the first; of very many, a random sample."""
    shown, validated = len(content.images), report.results["models"][0]["images"]
    if shown == validated:
        return "All validation images"
    return f"{shown} of the {validated} validation images{' (first fold)' if _folds(report) > 1 else ''}"


def _missing(content: Gallery) -> list[Block]:
    """Which maps are missing, and why."""
    sentences = [
        left_out_sentence(f"maps of {_title(method)}", model, why)
        for model, reasons in content.missing.items()
        for method, why in reasons.items()
    ]
    return [Words([f"{text[:1].upper()}{text[1:]}." for text in sentences], "warning")] if sentences else []


def _images(report: ReportData, content: Gallery) -> list[dict[str, Any]]:
    """For each image: name, label, facts from the cohort table, JPEG, and outline of the lungs."""
    table = report.cohort.drop_duplicates("image").set_index("image").reindex(list(content.images))
    side = picture_side(content.pixels)
    images = []
    for row, name in enumerate(content.images):
        facts = {title: str(table[column].iloc[row]) for column, title in FACTS.items() if _known(table, column, row)}
        label = float(table["label"].iloc[row]) if _known(table, "label", row) else None
        lungs = outline(content.lungs[row]) if content.lungs is not None else ""
        images.append(
            {"name": name, "label": label, "facts": facts, "jpeg": jpeg(content.pixels[row], side), "lungs": lungs}
        )
    return images


def _known(table: pd.DataFrame, column: str, row: int) -> bool:
    return column in table and not pd.isna(table[column].iloc[row])


def _model(content: Gallery, name: str, results: Mapping[str, Any], predictions: pd.DataFrame) -> dict[str, Any]:
    """For the network of a model's first seed and fold: the logit of each image, the threshold on logits, and the maps.

    The logits are not rounded, so that the page classifies each image as the tables do: P of a very certain network is
    0 or 1 in many digits.
    """
    maps = content.maps.get(name, {})
    side = map_side(len(content.images) * sum(len(methods) for methods in content.maps.values()))
    return {
        "name": name,
        "threshold": content.thresholds.get(name, as_logit(results["threshold"]["value"])),
        "logit": first_logits(predictions, name, content.images),
        "maps": {
            method: map_images(raw, _display(method), side, content.margins.get(name, {}).get(method, (0, 0)))
            for method, raw in maps.items()
        },
    }


def first_logits(predictions: pd.DataFrame, model: str, images: tuple[str, ...]) -> list[float | None]:
    """The logit of each image by a model's first seed and the fold that validated the image; None if unknown."""
    rows = predictions[predictions["model"] == model]
    if rows.empty:
        return [None] * len(images)
    logits = rows[rows["seed"] == rows["seed"].iloc[0]].drop_duplicates("image").set_index("image")["logit"]
    values = logits.reindex(list(images)).to_numpy(dtype=float)
    return [None if np.isnan(value) else float(value) for value in values]


def _display(method: str) -> str:
    return METHODS[method].displayed if method in METHODS else "signed"


def _title(method: str) -> str:
    return METHODS[method].title if method in METHODS else method


def _colour_table(name: str) -> str:
    """256 colours of a colour map as hexadecimal digits, six per colour."""
    return bytes(np.rint(matplotlib.colormaps[name](np.arange(256))[:, :3] * 255).astype(np.uint8)).hex()
