"""The audit on one page, in words: what a model may be using, how sure that is, what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cxrlens.report.results_text import estimate
from cxrlens.report.tables import Cells, markdown_text
from cxrlens.text import interval, joined, number

Findings = Sequence[dict[str, Any]]

COHORT_TITLE = "The images and their table"
NOTICE = (
    "For research only; never for diagnosis. Nothing here says that a model is safe to use: it says how it could be "
    "fooled. p is how often chance alone gives as much, all questions of its kind counted."
)


@dataclass(frozen=True)
class Words:
    """A probe in words: what it looks for, what a model may be using where it flags, and what to do about it."""

    title: str
    meaning: str
    advice: str


WORDS = {
    "patient_leak": Words(
        "patients on both sides",
        "patients who are on both sides of the split",
        "split by patient, and read the AUC as an upper bound",
    ),
    "duplicates": Words(
        "images there twice", "images that are there twice", "leave one of each pair out, or keep both on one side"
    ),
    "metadata_only": Words(
        "the table alone", "what the table says of an image", "match the classes by what tells them apart"
    ),
    "file_facts": Words("file facts", "the kind of file", "bring all files to one size, mode and format"),
    "prevalence": Words(
        "one column of the table",
        "the group that an image comes from",
        "compare within groups, or collect both classes there",
    ),
    "corners": Words("corners", "marks in the corners", "fill or crop the corners, train again and compare"),
    "text": Words("letters and signs", "letters and signs", "fill letters in before training, train again and compare"),
    "border_only": Words("the border alone", "the border of the image", "crop to the chest, train again and compare"),
    "lungs_removed": Words(
        "lungs removed", "something outside the lungs", "train on images cropped to the lungs and compare"
    ),
    "lungs_only": Words("the lungs alone", "", ""),
    "source_probe": Words(
        "sources in the features",
        "knowledge of where an image comes from, which its features hold",
        "test within one source, or on a new one",
    ),
    "within_source": Words(
        "within one source", "traits by which sources differ", "report the AUC within sources beside the whole one"
    ),
    "leave_one_source_out": Words(
        "another source", "traits of the sources that it was trained on", "test on images of a source never seen"
    ),
    "permuted_labels": Words(
        "shuffled labels", "patients whom it has seen in training", "split by patient and train again"
    ),
    "permuted_labels_retrained": Words(
        "shuffled labels, trained anew", "a fault of the pipeline itself", "look for what tells the sides apart"
    ),
    "lungs_removed_retrained": Words(
        "trained without lungs", "what is outside the lungs", "match the classes by source and view"
    ),
    "border_only_retrained": Words(
        "trained on borders", "the border of the image", "crop to the chest, train again and compare"
    ),
    "lungs_only_retrained": Words("trained on lungs alone", "", ""),
    "severity": Words(
        "severity", "something else than how ill the lungs are", "look at the mildest and the most severe images"
    ),
}
OF_MAPS, CONTROL = ("map_trust", "lung_enrichment"), "planted_marker"  # these speak of maps, and of the audit itself
STRONGEST = ("corners", "text", "border_only", "lungs_removed", "within_source", "permuted_labels")


def summary(findings: Findings, results: dict[str, Any]) -> dict[str, Any]:
    """What the page says: `cohort` and `models` (each `name`, `headline`, `points`, `next`), and `markdown` of it all.

    Args:
        findings: of `audit.json`.
        results: `results.json`.
    """
    cohort = _part(COHORT_TITLE, [each for each in findings if each["model"] is None], cohort=True)
    models = []
    for model in results["models"]:
        name = model["name"]
        part = _part(name, [each for each in findings if each["model"] == name])
        part["points"] += _of_maps(name, findings)
        models.append(part | {"auc": f"AUC {estimate(model, digits=2)}"})
    told = {"cohort": cohort, "models": models, "notice": NOTICE}
    return told | {"markdown": _markdown(results["study"], told)}


def cohort_cells(findings: Findings) -> Cells:
    """The findings before training as a table: what was asked, the value with its interval, the verdict."""
    rows = []
    for each in findings:
        if each["model"] is None:
            ends = interval(each["low"], each["high"]).replace("–", "")
            value = number(each["value"]) if each["value"] is not None else "not measured"
            rows.append([each["statistic"], f"{value} {ends}".strip(), each["verdict"]])
    return ["images and table", "value [interval]", "verdict"], rows


def _part(name: str, findings: Findings, cohort: bool = False) -> dict[str, Any]:
    judged = [each for each in findings if each["probe"] not in (*OF_MAPS, CONTROL)]
    by = {
        verdict: [each for each in judged if each["verdict"] == verdict] for verdict in ("flag", "clear", "undecided")
    }
    flags = sorted(by["flag"], key=_weight)
    meant = list(dict.fromkeys(WORDS[each["probe"]].meaning for each in flags))
    if meant and cohort:
        headline = f"Before any training, the label can be told, or is flattered, by {joined(meant)}."
    elif meant:
        headline = f"This model may be using {joined(meant)}."
    elif by["undecided"]:
        headline = "No shortcut was shown, but not every question could be settled."
    elif judged:
        headline = "None of these questions found a shortcut worth minding."
    else:
        headline = "Nothing was asked here that could show a shortcut."
    points = [each["sentence"].removesuffix(".") + _sure(each) + "." for each in flags]
    open_ones = _titles(by["undecided"])
    if open_ones:
        points.append(f"Undecided, for want of images or of what would have to be known: {', '.join(open_ones)}.")
    shortcuts = [each for each in by["clear"] if WORDS[each["probe"]].meaning]
    closed = [title for title in _titles(shortcuts) if title not in (*open_ones, *_titles(flags))]
    if closed:
        points.append(f"Nothing worth minding by: {', '.join(closed)}.")
    points += [each["sentence"] for each in by["clear"] if each not in shortcuts]  # what speaks for the lungs
    control = next((each for each in findings if each["probe"] == CONTROL), None)
    if control and control["verdict"] != "clear":
        points.append(f"The audit's own control: {control['reason'] or control['sentence']}.")
    steps = list(dict.fromkeys(WORDS[each["probe"]].advice for each in flags))
    if not steps and not cohort:
        steps = ["test on images from elsewhere: `cxrlens evaluate RUN --data OTHER`"]
    told = {"name": name, "auc": "", "headline": headline, "flags": len(flags), "points": points}
    return told | {"next": [_sentence(step) for step in steps]}


def _of_maps(name: str, findings: Findings) -> list[str]:
    mine = [each for each in findings if each["model"] == name]
    return [
        each["sentence"] for probe in OF_MAPS for each in mine if each["probe"] == probe and each["value"] is not None
    ]


def _sure(finding: dict[str, Any]) -> str:
    """How sure a flag is: its p after Holm's correction over all questions of its kind to all models."""
    p = finding["p_holm"]
    if p is None:
        return ""
    return " (p < 0.01)" if p < 0.01 else f" (p = {number(p)})"


def _weight(finding: dict[str, Any]) -> int:
    return STRONGEST.index(finding["probe"]) if finding["probe"] in STRONGEST else len(STRONGEST)


def _titles(findings: Findings) -> list[str]:
    return list(dict.fromkeys(WORDS[each["probe"]].title for each in findings))


def _sentence(step: str) -> str:
    return step[0].upper() + step[1:] + "."


def _markdown(study: str, told: dict[str, Any]) -> str:
    lines = [f"# Audit of {markdown_text(study)}", "", f"*{told['notice']}*", ""]
    for part in (told["cohort"], *told["models"]):
        title = part["name"] + (f" ({part['auc']})" if part["auc"] else "")
        lines += [f"## {markdown_text(title)}", "", f"**{markdown_text(part['headline'])}**", ""]
        lines += [f"- {markdown_text(point)}" for point in part["points"]]
        if part["next"]:
            lines += ["", "What to do next:", "", *(f"1. {markdown_text(step)}" for step in part["next"])]
        lines.append("")
    return "\n".join(lines)
