"""The summary at the top of the page: what was compared, which model won, how certain that is, whether to trust it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cxrlens.report.page.blocks import Answers, Block, Section, Words
from cxrlens.report.report_data import ReportData
from cxrlens.report.results_text import estimate
from cxrlens.run_folder import SCHEMA_VERSION
from cxrlens.text import interval, number

PART_KEYS = {"name", "headline", "flags", "points", "next"}
RESULT_KEYS = {"model", "probe", "statistic", "value", "low", "high", "verdict", "limits", "sentence"}


def summary(report: ReportData) -> Section:
    """Four short answers, and the warnings of the run."""
    results = report.results
    trust, doubtful = reliability(report)
    rows = [
        ("Comparison", comparison(results), ""),
        ("Result", who_won(results), "main"),
        ("Uncertainty", uncertainty(results), ""),
        ("Reliability", trust, "doubt" if doubtful else ""),
    ]
    blocks: list[Block] = [Answers(rows)]
    if results.get("warnings"):
        blocks.append(Words([_sentence(warning) for warning in results["warnings"]], "warning"))
    return Section("summary", "Summary", blocks)


def comparison(results: Mapping[str, Any]) -> str:
    """Which models were compared on which images. The question itself is the title of the page."""
    models, first = results["models"], results["models"][0]
    count = f"{len(models)} models were" if len(models) > 1 else "One model was"
    skipped = len(results.get("skipped", []))
    not_run = f" ({skipped} more could not be run)" if skipped else ""
    return (
        f"{count} trained{not_run} and evaluated by AUC on {first['images']} validation images "
        f"({first['positive']} positive) of {first['patients']} patients."
    )


def who_won(results: Mapping[str, Any]) -> str:
    """The model with the highest AUC, and its lead over the next one."""
    order = ranked(results)
    best = order[0]
    if len(order) == 1:
        return f"{_quoted(best)} has an AUC of {_auc(best)}. There is no other model to compare it with."
    second = order[1]
    rival = f"{_quoted(second)} ({number(second['auc'], 3)})"
    if (results.get("winner") or {}).get("name"):
        return (
            f"{_quoted(best)} wins with an AUC of {_auc(best)}. Its lead over the next model, {rival}, is "
            f"{_lead(results, best, second)}."
        )
    if best["auc"] == second["auc"]:
        return (
            f"No winner can be named: {_quoted(best)} and {_quoted(second)} have the same AUC, "
            f"{number(best['auc'], 3)}."
        )
    return (
        f"No winner can be named. {_quoted(best)} has the highest AUC, {_auc(best)}. Its lead over {rival} is "
        f"{_lead(results, best, second)}{_doubt(results, best, second)}."
    )


def uncertainty(results: Mapping[str, Any]) -> str:
    """How many differences are significant, and how much the best AUC varies between trainings."""
    pairs = [pair for pair in results.get("comparisons", []) if _deciding_p(pair) is not None]
    best = ranked(results)[0]
    spread = best.get("auc_seed_sd")
    if best["seeds"] == 1:
        training = "Each model was trained with one seed, so the variation between trainings is unknown."
    elif spread is None:
        training = "The variation between trainings is unknown."
    else:
        training = (
            f"Over {best['seeds']} seeds, the AUC of {_quoted(best)} has a standard deviation of {number(spread, 3)}."
        )
    level = results.get("evaluation", {}).get("level", 0.95)
    certainty = _significance(best, pairs, level) if pairs else _interval_sentence(best, level)
    return f"{certainty} {training}"


def reliability(report: ReportData) -> tuple[str, bool]:
    """Leaks first, then the audit's headline about the model with the highest AUC; and whether there is doubt."""
    results = report.results
    leaking, best = results["cohort"].get("validation_images_of_training_patients") or 0, ranked(results)[0]["name"]
    sentences = []
    if leaking:
        sentences.append(
            f"Not reliable as it stands: {leaking} of {results['cohort']['validation']} validation images are of "
            "patients who are also in the training set."
        )
    audit = audit_summary(report.audit)
    if audit is None:
        state = (
            "Not yet checked for shortcuts: this run has not been audited."
            if report.audit is None
            else "Shortcuts: the audit of this run was made by another version of cxrlens and is not shown."
        )
        sentences.append(f"{state} `cxrlens audit RUN` tests whether the models rely on shortcuts.")
        return " ".join(sentences), True
    flagged = [part for part in audit["models"] if part["flags"]]
    best_part = next((part for part in audit["models"] if part["name"] == best), None)
    if best_part is not None and best_part["flags"]:
        sentences.append(f"Doubtful: the audit flagged “{best}”. {best_part['headline']}")
    elif best_part is not None:
        sentences.append(f"Audit of “{best}”: {best_part['headline']}")
    if any(part["name"] != best for part in flagged):
        sentences.append(f"In total, the audit flagged {len(flagged)} of {len(audit['models'])} models.")
    if audit["cohort"]["flags"]:
        sentences.append(audit["cohort"]["headline"])
    return " ".join(sentences), bool(leaking or flagged or audit["cohort"]["flags"])


def ranked(results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The models, highest AUC first; models without an AUC last."""
    return sorted(results["models"], key=lambda model: -1.0 if model["auc"] is None else model["auc"], reverse=True)


def audit_summary(audit: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The `summary` of an `audit.json`; None without an audit, or if another version of cxrlens wrote it.

    >>> audit_summary({"schema_version": 0}) is None
    True
    """
    if audit is None or audit.get("schema_version") != SCHEMA_VERSION:
        return None
    summary = audit.get("summary")
    if not isinstance(summary, Mapping) or not {"cohort", "models", "notice"} <= summary.keys():
        return None
    parts = [summary["cohort"], *summary["models"]]
    complete = all(isinstance(part, Mapping) and part.keys() >= PART_KEYS for part in parts)
    return summary if complete and all(result.keys() >= RESULT_KEYS for result in audit_results(audit)) else None


def audit_results(audit: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """The results of all probes in an `audit.json`."""
    return audit.get("findings", [])


def _significance(best: Mapping[str, Any], pairs: Sequence[Mapping[str, Any]], level: float) -> str:
    """How many pairs differ significantly, and the pair of the best model with the largest p."""
    retrained = any(pair.get("train_p_holm") is not None for pair in pairs)
    test = f"computed by patient{' and training' if retrained else ''}, with Holm's correction"
    alpha = f"{100 * (1 - level):g}%"
    significant = [pair for pair in pairs if _deciding_p(pair) <= 1 - level + 1e-12]
    if len(pairs) == 1:
        verdict = "is" if significant else "is not"
        return f"This difference {verdict} significant at the {alpha} level ({_p(_deciding_p(pairs[0]))}, {test})."
    sentence = (
        f"{len(significant)} of the {len(pairs)} differences between models are significant at the {alpha} level (p "
        f"is {test})."
    )
    own_pairs = [pair for pair in pairs if best["name"] in (pair["a"], pair["b"])]
    if own_pairs:
        closest = max(own_pairs, key=_deciding_p)
        rival = closest["b"] if closest["a"] == best["name"] else closest["a"]
        sentence += (
            f" Of all leads of {_quoted(best)}, that over “{rival}” is the least certain: {_p(_deciding_p(closest))}."
        )
    return sentence


def _interval_sentence(best: Mapping[str, Any], level: float) -> str:
    if best.get("reason"):
        return f"The uncertainty is unknown: {best['reason']}."
    rough = "rough " if best.get("rough") else ""
    low, high = number(best["auc_low"]), number(best["auc_high"])
    return f"For similar patients, its AUC is between {low} and {high} ({rough}{level:.0%} confidence interval)."


def _deciding_p(pair: Mapping[str, Any]) -> Any:
    """Holm's p that decides on a winner: over patients and trainings if there are enough trainings, else by patient."""
    retrained = pair.get("train_p_holm")
    return pair["p_holm"] if retrained is None else retrained


def _lead(results: Mapping[str, Any], best: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """The AUC of the best model minus that of the second, with its interval."""
    pair = _pair_of(results, best, second)
    if pair is None:
        return number(best["auc"] - second["auc"], 3)
    swapped = pair["a"] == second["name"]
    low, high = (pair["high"], pair["low"]) if swapped else (pair["low"], pair["high"])
    sign = -1 if swapped else 1
    ends = "" if low is None or high is None else f" {interval(sign * low, sign * high, 3)}"
    return f"{sign * pair['difference']:.3f}{ends}"


def _doubt(results: Mapping[str, Any], best: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """Why the lead over the second model names no winner, where Holm's p says so: the interval alone may exclude 0."""
    pair = _pair_of(results, best, second)
    p = None if pair is None else _deciding_p(pair)
    if p is None or p <= 1 - results.get("evaluation", {}).get("level", 0.95) + 1e-12:
        return ""
    return f", which is not significant after Holm's correction ({_p(p)})"


def _pair_of(
    results: Mapping[str, Any], first: Mapping[str, Any], second: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """The comparison of two models, in either order; None without one."""
    names = {first["name"], second["name"]}
    return next((pair for pair in results.get("comparisons", []) if {pair["a"], pair["b"]} == names), None)


def _quoted(model: Mapping[str, Any]) -> str:
    """A model's name in quotation marks, since names often have commas."""
    return f"“{model['name']}”"


def _auc(model: Mapping[str, Any]) -> str:
    return estimate(model).removesuffix(" –")  # a dash for a missing interval has no place in a sentence


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "…")) else ".")
