"""What was asked and found, in four sentences with numbers: who won, by how much, how sure, whether to believe it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cxrlens.report.page.blocks import Answers, Block, Section, Words
from cxrlens.report.report_data import ReportData
from cxrlens.report.results_text import estimate
from cxrlens.run_folder import SCHEMA_VERSION
from cxrlens.text import interval, number

# Whether an `audit.json` is one that this version can read.

PART = {"name", "headline", "flags", "points", "next"}
FINDING = {"model", "probe", "statistic", "value", "low", "high", "verdict", "limits", "sentence"}


def audited_summary(audited: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Its `summary`; None where there is no audit, or one of another version.

    >>> audited_summary({"schema_version": 0}) is None
    True
    """
    if audited is None or audited.get("schema_version") != SCHEMA_VERSION:
        return None
    told = audited.get("summary")
    if not isinstance(told, Mapping) or not {"cohort", "models", "notice"} <= told.keys():
        return None
    parts = [told["cohort"], *told["models"]]
    whole = all(isinstance(part, Mapping) and part.keys() >= PART for part in parts)
    return told if whole and all(each.keys() >= FINDING for each in findings(audited)) else None


def findings(audited: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """Its findings."""
    return audited.get("findings", [])


def found(reading: ReportData) -> Section:
    """The four sentences, and the run's warnings."""
    results = reading.results
    trust, doubted = believed(reading)
    rows = [
        ("Asked", asked(results), ""),
        ("Found", who_won(results), "main"),
        ("How sure", how_sure(results), ""),
        ("To be believed?", trust, "doubt" if doubted else ""),
    ]
    blocks: list[Block] = [Answers(rows)]
    if results.get("warnings"):
        blocks.append(Words([_sentence(each) for each in results["warnings"]], "warning"))
    return Section("found", "What was asked and found", blocks)


def asked(results: Mapping[str, Any]) -> str:
    """What was compared, on what; the question itself is the page's title."""
    models, first = results["models"], results["models"][0]
    count = f"{len(models)} models were" if len(models) > 1 else "One model was"
    skipped = len(results.get("skipped", []))
    out = f" ({skipped} more could not be run)" if skipped else ""
    return (
        f"{count} trained{out} and judged by AUC on {first['images']} validation images "
        f"({first['positive']} positive) of {first['patients']} patients."
    )


def who_won(results: Mapping[str, Any]) -> str:
    """Which model, and by how much."""
    order = ranked(results)
    best = order[0]
    if len(order) == 1:
        return f"{best['name']} has an AUC of {_auc(best)}; there is no other model to compare it with."
    second = order[1]
    gap = f"{_lead(results, best, second)} above {second['name']} ({number(second['auc'], 3)})"
    if (results.get("winner") or {}).get("name"):
        return f"{best['name']} wins with an AUC of {_auc(best)}, {gap}, the next."
    if best["auc"] == second["auc"]:
        return (
            f"No winner can be named: {best['name']} and {second['name']} have the same AUC, {number(best['auc'], 3)}."
        )
    return f"No winner can be named: {best['name']} has the highest AUC, {_auc(best)}, but only {gap}."


def how_sure(results: Mapping[str, Any]) -> str:
    """What chance leaves of the differences, and of training anew."""
    order, pairs = ranked(results), [pair for pair in results.get("comparisons", []) if _decides(pair) is not None]
    level = results.get("evaluation", {}).get("level", 0.95)
    best = order[0]
    if not pairs:
        low, high = number(best["auc_low"]), number(best["auc_high"])
        rough = "rough " if best.get("rough") else ""
        sure = f"Among patients like these, its AUC is between {low} and {high} ({level:.0%} {rough}interval)"
        if best.get("reason"):
            sure = f"How sure is not known: {best['reason']}"
    else:
        left = [pair for pair in pairs if _decides(pair) <= 1 - level + 1e-12]
        sure = f"{len(left)} of the {len(pairs)} differences between models can be told from chance"
        if len(pairs) == 1:
            sure = f"This difference can{'' if left else 'not'} be told from chance"
        rivals = [pair for pair in pairs if best["name"] in (pair["a"], pair["b"])]
        anew = any(pair.get("train_p_holm") is not None for pair in pairs)
        told = f"{level:.0%}, by patients{' and trainings' if anew else ''}, Holm's correction"
        if rivals:
            least = max(rivals, key=_decides)
            which = (
                "" if len(pairs) == 1 else f"{best['name']} over {least['b' if least['a'] == best['name'] else 'a']}: "
            )
            told += f"; {which}p {_p(_decides(least))}"
        sure += f" ({told})"
    spread = best.get("auc_seed_sd")
    if best["seeds"] > 1 and spread is not None:
        anew = f"over {best['seeds']} seeds its AUC varies by {number(spread, 3)} (standard deviation)"
    else:
        anew = "one seed each, so what training anew would change is not known"
    return f"{sure}; {anew}."


def believed(reading: ReportData) -> tuple[str, bool]:
    """Leaks first, then the audit's headline on the model with the highest AUC; and whether that is a doubt."""
    results = reading.results
    shared, best = results["cohort"].get("validation_images_of_training_patients") or 0, ranked(results)[0]["name"]
    parts = []
    if shared:
        of = results["cohort"]["validation"]
        parts.append(f"Not as it stands: {shared} of {of} validation images are of patients who are also in training.")
    told = audited_summary(reading.audited)
    if told is None:
        reason = "has not been audited" if reading.audited is None else "was audited by another version of cxrlens"
        parts.append(f"Open: this run {reason}, so nothing is known of shortcuts; `cxrlens audit` asks.")
        return " ".join(parts), True
    flagged = [each for each in told["models"] if each["flags"]]
    mine = next((each for each in told["models"] if each["name"] == best), None)
    if mine is not None and mine["flags"]:
        parts.append(f"With reserve. The audit on {best}: {mine['headline']}")
    elif mine is not None:
        parts.append(f"The audit on {best}: {mine['headline']}")
    if any(each["name"] != best for each in flagged):
        parts.append(f"It flagged {len(flagged)} of {len(told['models'])} models.")
    if told["cohort"]["flags"]:
        parts.append(told["cohort"]["headline"])
    return " ".join(parts), bool(shared or flagged or told["cohort"]["flags"])


def ranked(results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The models, highest AUC first; those without one last."""
    return sorted(results["models"], key=lambda model: -1.0 if model["auc"] is None else model["auc"], reverse=True)


def _decides(pair: Mapping[str, Any]) -> Any:
    """Holm's p that names a winner: over patients and trainings where there are enough of these."""
    anew = pair.get("train_p_holm")
    return pair["p_holm"] if anew is None else anew


def _lead(results: Mapping[str, Any], best: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    for pair in results.get("comparisons", []):
        if {pair["a"], pair["b"]} == {best["name"], second["name"]}:
            turned = pair["a"] == second["name"]
            low, high = (pair["high"], pair["low"]) if turned else (pair["low"], pair["high"])
            sign = -1 if turned else 1
            ends = "" if low is None or high is None else f" {interval(sign * low, sign * high, 3)}"
            return f"{sign * pair['difference']:.3f}{ends}"
    return number(best["auc"] - second["auc"], 3)


def _auc(model: Mapping[str, Any]) -> str:
    return estimate(model).removesuffix(" –")  # in a sentence the dash of no interval says nothing


def _p(value: float) -> str:
    return "below 0.001" if value < 0.001 else f"{value:.3f}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "…")) else ".")
