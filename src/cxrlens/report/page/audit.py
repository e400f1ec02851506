"""Three sections: the audit for shortcuts, what training changed in the networks, and the external validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cxrlens.report.audit_words import PROBE_TEXTS, SYMBOLS, cohort_cells, overall_verdict
from cxrlens.report.page.blocks import Block, Note, Section, Words, figure, table
from cxrlens.report.page.summary import audit_results, audit_summary
from cxrlens.report.report_data import ReportData
from cxrlens.report.results_text import estimate, exclusions_text
from cxrlens.report.tables import Cells
from cxrlens.text import interval, joined, number, p_value

TITLE = "Audit: possible shortcuts"
CONTROL_TITLE = "the audit's control with a planted marker"


def audit(report: ReportData) -> Section:
    """The audit as text, figures and tables; without one, a note on how to run it."""
    summary = audit_summary(report.audit)
    if summary is None or report.audit is None:
        state = (
            "This run was audited by another version of cxrlens, so the audit is not shown."
            if report.audit is not None
            else "This run has not been audited."
        )
        sentence = f"{state} To audit it, run `cxrlens audit RUN`. Until then, shortcuts cannot be excluded."
        return Section("audit", TITLE, [Words([sentence], "warning")])
    results = audit_results(report.audit)
    flags = [
        f"{result['statistic']} of {result['model']}"
        for result in results
        if result["model"] and result["verdict"] == "flag"
    ]
    blocks: list[Block] = [Words([summary["notice"], *_extent(report)], "soft")]
    for part, model in ((summary["cohort"], None), *((part, part["name"]) for part in summary["models"])):
        verdict = overall_verdict([result for result in results if result["model"] == model])
        blocks.append(Note({"auc": "", **part, "symbol": SYMBOLS["flag" if part["flags"] else verdict]}))
    blocks += figure(
        report,
        "audit",
        f"Results of all tests of all models. Flagged: {'; '.join(flags) or 'none'}.",
        "All tests of all models. ▲ flag: the effect is larger than chance explains, after correction for the number "
        "of tests of this kind. ○ clear: a relevant shortcut is excluded. ? undecided, or not measured. For the "
        "control test, ○ means passed and ▲ failed. For maps, ○ means trusted and ▲ not trusted. For lung enrichment, "
        "▲ means that the lungs get less evidence than their share of the area.",
    )
    blocks += figure(
        report,
        "audit_evidence",
        "Pairs of X-rays, the original and a version with a part filled in, each with P.",
        "Images behind the flags: the original above, the altered image below, each with P. Where a test filled in a "
        "part, these are the images whose P changed most. Where it kept only a part, these are the correctly "
        "classified images with the most certain P.",
    )
    blocks.append(table("Tests before any training, on the images and their metadata.", cohort_cells(results)))
    blocks.append(
        table(
            "All test results of the models: what each shows, and what it does not show.",
            model_cells(results),
            folded=True,
        )
    )
    return Section("audit", TITLE, blocks)


def _extent(report: ReportData) -> list[str]:
    """What the audit left out: tests that the study skips, and validation images whose maps were not evaluated."""
    audit, sentences = report.audit or {}, []
    skipped = [PROBE_TEXTS[name].title if name in PROBE_TEXTS else CONTROL_TITLE for name in audit.get("skipped", [])]
    if skipped:
        sentences.append(f"The study left these tests out: {joined(skipped)}.")
    images = len((audit.get("maps") or {}).get("images", []))
    of = report.results["models"][0]["images"]
    if 0 < images < of:
        sentences.append(
            f"Whether maps can be trusted was tested on {images} of {of} validation images; `cxrlens audit RUN --full` "
            "takes all."
        )
    return sentences


def model_cells(results: Sequence[dict[str, Any]]) -> Cells:
    """One row per test result of a model: test, model, value with interval, verdict, limits."""
    rows = []
    for result in results:
        if result["model"] is None:
            continue
        ends = interval(result["low"], result["high"]).replace("–", "")
        value = "not measured" if result["value"] is None else f"{number(result['value'])} {ends}".strip()
        rows.append([result["statistic"], result["model"], value, result["verdict"], result["limits"]])
    return ["test", "model", "value [interval]", "verdict", "what it shows and does not show"], rows


def transfer(report: ReportData) -> Section | None:
    """How far training changed each layer, and how similar the trained networks are; None without an audit."""
    if report.audit is None or audit_summary(report.audit) is None:
        return None
    reuse = report.audit.get("reuse") or {}
    blocks: list[Block] = []
    blocks += figure(
        report,
        "reuse",
        "For every model, layer by layer: similarity of its features before and after training, and relative change of "
        "its weights.",
        "Change of each layer during training: similarity of its features before and after (CKA; 1 means unchanged) "
        "and relative change of its weights. Also shown: similarity of features between the trained networks.",
    )
    if reuse.get("between"):
        rows = [
            [pair["a"], pair["b"], number(pair["cka"]), interval(pair["low"], pair["high"])]
            for pair in reuse["between"]
        ]
        caption = "Similarity of the features of two trained networks (CKA; 1 means identical)."
        blocks.append(table(caption, (["network", "other network", "CKA", "interval"], rows)))
    notes = [f"{model['name']}: {model['note']}" for model in reuse.get("models", []) if model.get("note")]
    if notes:
        blocks.append(Words(notes, "soft"))
    return Section("transfer", "What training changed in the networks", blocks) if blocks else None


def external(report: ReportData) -> Section | None:
    """One table per set of external images; None if the run was evaluated on no such set."""
    if not report.external:
        return None
    blocks: list[Block] = []
    for evaluation in report.external:
        caption = f"AUC on the validation set and on {evaluation['data']['name']}: {_image_counts(evaluation)}."
        blocks.append(table(caption, external_cells(evaluation), folded=False))
        if reasons := missing_interval_reasons(evaluation):
            blocks.append(Words(reasons, "soft"))
        if evaluation["notes"]:
            blocks.append(Words(evaluation["notes"], "warning"))
    blocks.append(Words([report.external[0]["limits"]], "soft"))
    return Section("external", "External validation", blocks)


def external_cells(evaluation: Mapping[str, Any]) -> Cells:
    """One row per model: both AUCs, their difference, and the rates on external images at the training threshold."""
    rows = []
    for model in evaluation["models"]:
        change, threshold = model["difference"], model["outside"]["threshold"]
        rows.append(
            [
                model["name"],
                estimate(model["inside"]),
                estimate(model["outside"]),
                f"{number(change['difference'], 3)} {interval(change['low'], change['high'])}",
                p_value(change["p_holm"]),
                f"{number(threshold['sensitivity'])} / {number(threshold['specificity'])}",
            ]
        )
    header = ["model", "validation set", "external images", "validation − external", "p (Holm)"]
    return [*header, "sensitivity / specificity, external"], rows


def missing_interval_reasons(evaluation: Mapping[str, Any]) -> list[str]:
    """Why intervals are missing from an external evaluation: one sentence per reason."""
    titles = {"inside": "Validation set", "outside": "External images", "difference": "Differences"}
    reasons = {key: {model[key].get("reason") for model in evaluation["models"]} - {"", None} for key in titles}
    reasons["difference"] -= reasons["inside"] | reasons["outside"]
    return [f"{title}: {reason}." for key, title in titles.items() for reason in sorted(reasons[key])]


def _image_counts(evaluation: Mapping[str, Any]) -> str:
    images = evaluation["images"]
    evaluated = images.get("evaluated", images.get("judged"))  # older versions wrote `judged`
    counts = f"{evaluated} of {images['listed']} images were evaluated, {images['positive']} of them positive"
    excluded = exclusions_text(evaluation["left_out"])
    return counts + (f"; left out: {excluded}" if excluded else "")
