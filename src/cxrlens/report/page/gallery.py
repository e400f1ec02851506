"""The gallery: every validation image with every model's maps, as data for the page's script."""

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

TOLD = {
    "finding": "finding",
    "view": "view",
    "source": "source",
    "site": "site",
    "license": "licence",
    "notes": "notes",
}
COLOURS, SIGNED_COLOURS = "inferno", "coolwarm"  # perceptually even


def gallery(reading: ReportData) -> Section | None:
    """The section; None where no maps were kept, or images must not leave."""
    shown = reading.gallery
    if shown is None or not shown.images:
        return None
    names = [model["name"] for model in reading.results["models"]]
    methods = list(dict.fromkeys(method for model in names for method in shown.maps.get(model, {})))
    data = {
        "images": _images(reading, shown),
        "first": names.index(ranked(reading.results)[0]["name"]),
        "models": [
            _model(reading, shown, name, model) for name, model in zip(names, reading.results["models"], strict=True)
        ],
        "methods": {method: {"title": _title(method), "signed": _shown(method) == "signed"} for method in methods},
        "colours": {"positive": _table(COLOURS), "signed": _table(SIGNED_COLOURS)},
    }
    blocks: list[Block] = [
        Words(
            [
                "Every validation image as each model's first network saw it. Colour is evidence for “positive”, on "
                "one scale for each model and method; none leaves the image bare. A map says where the evidence is, "
                "not whether it is right.",
                "Keys: the arrows move among the images, Enter goes to the large view, Escape comes back.",
            ],
            "soft",
        ),
        *_missing(shown),
        Island(as_island(data), names, [(method, _title(method)) for method in methods], shown.lungs is not None),
    ]
    return Section("gallery", "Gallery", blocks)


def _missing(shown: Gallery) -> list[Block]:
    """Which maps are not there, and why."""
    said = [
        left_out_sentence(f"maps of {_title(method)}", model, why)
        for model, reasons in shown.missing.items()
        for method, why in reasons.items()
    ]
    return [Words([f"{each[:1].upper()}{each[1:]}." for each in said], "warning")] if said else []


def _images(reading: ReportData, shown: Gallery) -> list[dict[str, Any]]:
    """Of each image: its name, label, what the table says of it, its pixels and the outline of its lungs."""
    table = reading.cohort.drop_duplicates("image").set_index("image").reindex(list(shown.images))
    side = picture_side(shown.pixels)
    found = []
    for row, name in enumerate(shown.images):
        told = {title: str(table[column].iloc[row]) for column, title in TOLD.items() if _known(table, column, row)}
        label = float(table["label"].iloc[row]) if _known(table, "label", row) else None
        lungs = outline(shown.lungs[row]) if shown.lungs is not None else ""
        found.append(
            {"name": name, "label": label, "told": told, "jpeg": jpeg(shown.pixels[row], side), "lungs": lungs}
        )
    return found


def _known(table: pd.DataFrame, column: str, row: int) -> bool:
    return column in table and not pd.isna(table[column].iloc[row])


def _model(reading: ReportData, shown: Gallery, name: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """Of a model: the logit of each image by its first network, the threshold on them, and its maps.

    Logits in full, so that the page calls each image as the tables do: P is 0 or 1 in many digits where a network is
    sure.
    """
    maps = shown.maps.get(name, {})
    side = map_side(len(shown.images) * sum(len(each) for each in shown.maps.values()))
    return {
        "name": name,
        "threshold": shown.thresholds.get(name, as_logit(told["threshold"]["value"])),
        "logit": first_logits(reading.predictions, name, shown.images),
        "maps": {
            method: map_images(raw, _shown(method), side, shown.margins.get(name, {}).get(method, (0, 0)))
            for method, raw in maps.items()
        },
    }


def first_logits(predictions: pd.DataFrame, model: str, images: tuple[str, ...]) -> list[float | None]:
    """Each image's logit by a model's first seed; of several folds, by the one that validated it. None: unknown."""
    mine = predictions[predictions["model"] == model]
    if mine.empty:
        return [None] * len(images)
    mine = mine[mine["seed"] == mine["seed"].iloc[0]].drop_duplicates("image").set_index("image")["logit"]
    values = mine.reindex(list(images)).to_numpy(dtype=float)
    return [None if np.isnan(value) else float(value) for value in values]


def _shown(method: str) -> str:
    return METHODS[method]().displayed if method in METHODS else "signed"


def _title(method: str) -> str:
    return METHODS[method].title if method in METHODS else method


def _table(name: str) -> str:
    """256 colours as hexadecimal digits, six a colour."""
    return bytes(np.rint(matplotlib.colormaps[name](np.arange(256))[:, :3] * 255).astype(np.uint8)).hex()
