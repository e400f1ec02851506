"""The audit's summary as text: which shortcuts a model may rely on, how certain that is, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cxrlens.report.results_text import estimate
from cxrlens.report.tables import Cells, markdown_text
from cxrlens.text import interval, joined, number

Results = Sequence[dict[str, Any]]  # audit results as plain values, as in `audit.json`

COHORT_TITLE = "Images and metadata"
SYMBOLS = {"flag": "▲", "clear": "○", "undecided": "?"}  # they distinguish the verdicts without colour
NOTICE = (
    "For research only; never for diagnosis. No result says that a model is safe to use. The results say how it could "
    "be misled. p is the probability of an effect at least as large by chance alone, after correction for the number "
    "of tests of "
    "the same kind."
)


@dataclass(frozen=True)
class ProbeText:
    """How the summary speaks of a probe.

    Attributes:
        title: name of the test, as an item of a list.
        meaning: what a flagged model may be using; "" if a flag of this probe is no shortcut.
        advice: what to do about a flag.
    """

    title: str
    meaning: str
    advice: str


PROBE_TEXTS = {
    "patient_leak": ProbeText(
        "patients in both sets",
        "patients who are in both the training and the validation set",
        "split by patient, and read the AUC as an upper bound",
    ),
    "duplicates": ProbeText(
        "duplicate images", "duplicate images", "remove one image of each pair, or keep both in the same set"
    ),
    "metadata_only": ProbeText(
        "metadata alone", "the metadata of the images", "match the classes on the metadata that separate them"
    ),
    "file_facts": ProbeText(
        "file properties", "the properties of the image files", "convert all files to one size, mode and format"
    ),
    "prevalence": ProbeText(
        "single columns of the metadata",
        "the group that an image comes from",
        "compare within groups, or collect images of both classes in each group",
    ),
    "corners": ProbeText("corners", "marks in the corners", "fill or crop the corners, train again and compare"),
    "text": ProbeText(
        "letters and signs", "letters and signs", "fill in letters and signs before training, train again and compare"
    ),
    "border_only": ProbeText("border alone", "the border of the image", "crop to the chest, train again and compare"),
    "lungs_removed": ProbeText(
        "lungs removed", "regions outside the lungs", "train on images cropped to the lungs and compare"
    ),
    "lungs_only": ProbeText("lungs alone", "", ""),
    "source_probe": ProbeText(
        "features that reveal the source",
        "the source of an image, which can be read from the model's features",
        "test within one source, or on a new one",
    ),
    "within_source": ProbeText(
        "comparison within one source",
        "differences between sources",
        "report the AUC within sources together with the overall AUC",
    ),
    "leave_one_source_out": ProbeText(
        "images of an unseen source",
        "features that are specific to its training sources",
        "test on images of an unseen source",
    ),
    "permuted_labels": ProbeText(
        "shuffled labels", "patients that it has seen in training", "split by patient and train again"
    ),
    "permuted_labels_retrained": ProbeText(
        "retrained with shuffled labels",
        "information that leaks through the pipeline",
        "look for patients or other information that the training and the validation set share",
    ),
    "lungs_removed_retrained": ProbeText(
        "retrained without lungs", "regions outside the lungs", "match the classes by source and view"
    ),
    "border_only_retrained": ProbeText(
        "retrained on the border", "the border of the image", "crop to the chest, train again and compare"
    ),
    "lungs_only_retrained": ProbeText("retrained on the lungs alone", "", ""),
    "severity": ProbeText(
        "severity", "other signs than the severity of the disease", "look at the mildest and the most severe images"
    ),
}
MAP_PROBES, CONTROL = ("map_trust", "lung_enrichment"), "planted_marker"  # about maps; about the audit itself
MAP_QUESTIONS = {
    "map_trust": "Whether the {} maps of this network can be trusted",
    "lung_enrichment": "Lung enrichment of the {} maps",
}
STRONGEST = ("corners", "text", "border_only", "lungs_removed", "within_source", "permuted_labels")


def summary(results: Results, run_results: dict[str, Any]) -> dict[str, Any]:
    """The audit's summary: `notice`, `cohort` and `models`, and all of it as `markdown`.

    Each part has `name`, `auc`, `headline`, `flags` (their number), `points` and `next`.

    Args:
        results: results of all probes, as in `audit.json`.
        run_results: the run's `results.json`.
    """
    cohort = _part(COHORT_TITLE, [result for result in results if result["model"] is None], cohort=True)
    models = []
    for model in run_results["models"]:
        name = model["name"]
        part = _part(name, [result for result in results if result["model"] == name])
        part["points"] += _map_sentences(name, results)
        models.append(part | {"auc": f"AUC {estimate(model, digits=2)}"})
    parts = {"cohort": cohort, "models": models, "notice": NOTICE}
    return parts | {"markdown": _markdown(run_results["study"], parts)}


def overall_verdict(results: Results) -> str:
    """The verdict on a model or the cohort from its own results: "flag", "clear" or "undecided".

    It is "clear" only if every test for shortcuts is; without such a test it is "undecided". The control and the
    verdicts on maps do not count.
    """
    verdicts = {result["verdict"] for result in results if result["probe"] not in (*MAP_PROBES, CONTROL)}
    return "flag" if "flag" in verdicts else "clear" if verdicts == {"clear"} else "undecided"


def cohort_cells(results: Results) -> Cells:
    """One row per test before training: test, value with interval, verdict."""
    rows = []
    for result in results:
        if result["model"] is None:
            ends = interval(result["low"], result["high"]).replace("–", "")
            value = number(result["value"]) if result["value"] is not None else "not measured"
            rows.append([result["statistic"], f"{value} {ends}".strip(), result["verdict"]])
    return ["test", "value [interval]", "verdict"], rows


def _part(name: str, results: Results, cohort: bool = False) -> dict[str, Any]:
    """The part of a model, or of the cohort, from its own results."""
    decisive = [result for result in results if result["probe"] not in (*MAP_PROBES, CONTROL)]
    flags, clear, undecided = (
        [result for result in decisive if result["verdict"] == verdict] for verdict in ("flag", "clear", "undecided")
    )
    flags.sort(key=_rank)
    meanings = list(dict.fromkeys(PROBE_TEXTS[result["probe"]].meaning for result in flags))
    if meanings and cohort:
        headline = f"Before any training, these can predict the label or inflate the AUC: {joined(meanings)}."
    elif meanings:
        headline = f"This model may be using {joined(meanings)}."
    elif undecided:
        headline = "No shortcut was found, but some tests are undecided."
    elif decisive:
        headline = "None of these tests found a relevant shortcut."
    else:
        headline = "No test that could find a shortcut was run."
    points = [result["sentence"].removesuffix(".") + _p_note(result) + "." for result in flags]
    open_titles = _titles(undecided)
    if open_titles:
        points.append(f"Undecided tests, for lack of images or information: {', '.join(open_titles)}.")
    shortcuts = [result for result in clear if PROBE_TEXTS[result["probe"]].meaning]
    excluded = [title for title in _titles(shortcuts) if title not in (*open_titles, *_titles(flags))]
    if excluded:
        points.append(f"Tests that exclude a relevant shortcut: {', '.join(excluded)}.")
    points += [result["sentence"] for result in clear if result not in shortcuts]  # evidence from the lungs
    control = next((result for result in results if result["probe"] == CONTROL), None)
    if control and control["verdict"] != "clear":
        reason = control["reason"] or control["sentence"].removesuffix(".")
        points.append(f"The audit's own control test did not pass: {reason}.")
    steps = list(dict.fromkeys(PROBE_TEXTS[result["probe"]].advice for result in flags))
    if not steps and not cohort:
        steps = ["test on external images: `cxrlens evaluate RUN --data OTHER`"]
    part = {"name": name, "auc": "", "headline": headline, "flags": len(flags), "points": points}
    return part | {"next": [_sentence(step) for step in steps]}


def _map_sentences(name: str, results: Results) -> list[str]:
    """The sentences on a model's maps; measurements that failed for the same reason share one."""
    sentences: list[str] = []
    for probe in MAP_PROBES:
        not_measured: dict[str, list[str]] = {}
        for result in results:
            if (result["model"], result["probe"]) != (name, probe):
                continue
            if result["value"] is None and result["reason"]:
                not_measured.setdefault(result["reason"], []).append(result["statistic"].partition(":")[0])
            else:
                sentences.append(result["sentence"])
        for reason, methods in not_measured.items():
            sentences.append(f"{MAP_QUESTIONS[probe].format(joined(methods))} was not measured: {reason}.")
    return sentences


def _p_note(result: dict[str, Any]) -> str:
    """The p of a flag after Holm's correction over all tests of its kind and all models."""
    p = result["p_holm"]
    if p is None:
        return ""
    return " (p < 0.01)" if p < 0.01 else f" (p = {number(p)})"


def _rank(result: dict[str, Any]) -> int:
    return STRONGEST.index(result["probe"]) if result["probe"] in STRONGEST else len(STRONGEST)


def _titles(results: Results) -> list[str]:
    return list(dict.fromkeys(PROBE_TEXTS[result["probe"]].title for result in results))


def _sentence(step: str) -> str:
    return step[0].upper() + step[1:] + "."


def _markdown(study: str, parts: dict[str, Any]) -> str:
    lines = [f"# Audit of {markdown_text(study)}", "", f"*{parts['notice']}*", ""]
    for part in (parts["cohort"], *parts["models"]):
        title = part["name"] + (f" ({part['auc']})" if part["auc"] else "")
        lines += [f"## {markdown_text(title)}", "", f"**{markdown_text(part['headline'])}**", ""]
        lines += [f"- {markdown_text(point)}" for point in part["points"]]
        if part["next"]:
            lines += ["", "What to do next:", "", *(f"1. {markdown_text(step)}" for step in part["next"])]
        lines.append("")
    return "\n".join(lines)
