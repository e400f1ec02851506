"""The report as one page that stands alone: its pictures are inside, and it asks no host for anything."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from cxrlens import __version__
from cxrlens.report.explain_sentences import picture_sentences, picture_table
from cxrlens.report.given import given_sentences
from cxrlens.report.tables import Cells, comparison_cells, how_judged, table1_cells


@dataclass(frozen=True)
class Picture:
    """A figure: base64 of a PNG, what a reader who can't see it is told, and what is written below."""

    data: str
    alt: str
    caption: str


@dataclass(frozen=True)
class Part:
    """A section of the page."""

    id: str
    title: str
    tables: list[Cells]
    sentences: list[str]
    figures: list[Picture]


# figure's file → (part, caption)
CAPTIONS = {
    "auc": ("table1", "Table 1 as a picture: AUC with both intervals, beside the paper's."),
    "roc": ("table1", "ROC curves on the validation images."),
    "figure1": (
        "figure1",
        "Where each model's logit comes from. Images chosen by the model with the highest AUC, or named by the study. "
        "A map says where the evidence is, not whether it is right.",
    ),
    "figure1_also": ("figure1", "The same of further images that the study names; see above each on which side it is."),
    "figure2": (
        "pictures",
        "Figure 2: the picture that raises each model's logit most, without jitter (a) and with it (b). Below: its "
        "logit, and the highest of any X-ray of the cohort; a picture below that explains nothing.",
    ),
    "figure3": (
        "pictures",
        "Figure 3: what single units like most, and the X-rays that excite each most.",
    ),
    "spectrum": ("pictures", "The pictures of Figure 2b in numbers, over seeds: how fine, and how colourful."),
}
TITLES = {
    "table1": "Table 1: who is better, and how sure",
    "cohort": "The cohort",
    "figure1": "Figure 1: where they look",
    "pictures": "Figures 2 and 3: what they answer to",
}


def page(results: Mapping[str, Any], explained: Mapping[str, Any] | None, pictures: Mapping[str, bytes]) -> str:
    """The page as HTML.

    Args:
        results: `results.json`.
        explained: `explain.json`; None where nothing was explained.
        pictures: PNG files by the figure's name; those that no part names are left out.
    """
    parts = {name: Part(name, title, [], [], []) for name, title in TITLES.items()}
    parts["table1"].tables.append(table1_cells(results))
    parts["table1"].sentences.extend([how_judged(results), *given_sentences(results)])
    parts["table1"].sentences.extend(f"Not run: {row['name']}: {row['reason']}" for row in results.get("skipped", []))
    if results.get("comparisons"):
        parts["table1"].tables.append(comparison_cells(results))
    parts["cohort"].tables.append(_cohort(results["cohort"]))
    numbers = (explained or {}).get("spectrum")
    if numbers:
        parts["pictures"].tables.append(picture_table(numbers))
        parts["pictures"].sentences.extend(picture_sentences(numbers))
    for name, (part, caption) in CAPTIONS.items():
        if name in pictures:
            data = base64.b64encode(pictures[name]).decode()
            parts[part].figures.append(Picture(data, caption, caption))
    winner = (results.get("winner") or {}).get("sentence", "")
    environment = Environment(
        loader=PackageLoader("cxrlens.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("report.html.j2").render(
        version=__version__,
        study=results["study"],
        question=results.get("question", ""),
        winner=winner[:1].upper() + winner[1:],
        warnings=results.get("warnings", []),
        parts=[each for each in parts.values() if each.tables or each.figures],
    )


def _cohort(cohort: Mapping[str, Any]) -> Cells:
    said = {name: len(value) if isinstance(value, list | dict) else value for name, value in cohort.items()}
    return ["", "count"], [[name.replace("_", " "), f"{value:,}"] for name, value in said.items()]
