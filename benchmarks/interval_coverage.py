"""What the intervals of AUCs cover, and how often the paired test names a difference that is not there.

    python benchmarks/interval_coverage.py [--cohorts 2000] [--draws 400] [--out benchmarks/interval_coverage.json]

Cohorts are drawn whose true AUC is known; each interval is asked whether it holds it. Scores are binormal unless the
case says otherwise: an image's score is its class's mean, its patient's effect (ICC is its share of the variance) and
its own noise; a second model of the same true AUC correlates with the first by 0.5. Beside cxrlens' intervals stand
DeLong's on the logit scale, pROC's default (DeLong's on the plain scale) and the percentile bootstrap over patients.
The cases called "held out" were not looked at while the interval of one AUC was chosen; the interval of a difference
was chosen with all of them in view, on other cohorts. About 20 minutes of one core.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri

from cxrlens.audit.ablation import LEFT, LOST
from cxrlens.audit.base import AuditResult, IntervalOptions, auc_estimate, change, settle
from cxrlens.audit.probes.severity import correlation_draws, percentile_interval
from cxrlens.evaluate.auc import difference_of, interval_of
from cxrlens.evaluate.calibration import rate
from cxrlens.evaluate.cluster_means import mean_over_patients
from cxrlens.evaluate.influence import Influence, mean_influence, placements

HERE = Path(__file__).parent
GOAL = {"few": (0.93, 0.98, 0.06), "enough": (0.94, 0.97, 0.055)}  # coverage from, to; size at most
Z = float(ndtri(0.975))
FEATURES = 8


@dataclass(frozen=True)
class Case:
    """Cohorts of one kind.

    Attributes:
        name: in words.
        positive: patients with the finding.
        negative: patients without.
        auc: the true one, of both models.
        below: how much lower the second model's is.
        icc: share of a score's variance that a patient's images have in common.
        more: mean number of further images a patient.
        largest: images of the first positive patient, where not 0.
        mixed: patients of each class who are the same people.
        shape: of the scores.
        trainings: of each model.
        anew: standard deviation over trainings of the distance between the classes' means.
        held_out: whether the method was chosen without it.
    """

    name: str
    positive: int
    negative: int
    auc: float = 0.8
    below: float = 0.0
    icc: float = 0.5
    more: float = 0.6
    largest: int = 0
    mixed: int = 0
    shape: str = "normal"
    trainings: int = 1
    anew: float = 0.0
    held_out: bool = False


CASES = [
    *(Case(f"40/12 patients, AUC {auc}", 40, 12, auc) for auc in (0.6, 0.75, 0.9, 0.97)),
    Case("15/10 patients, AUC 0.8", 15, 10),
    Case("8/8 patients, AUC 0.75", 8, 8, 0.75),
    Case("100/100 patients, AUC 0.8", 100, 100),
    Case("60/20 patients, one image each, AUC 0.75", 60, 20, 0.75, icc=0.0, more=0.0),
    Case("50/50 patients, one of 30 images, AUC 0.8", 50, 50, largest=30),
    Case("30/20 patients, 10 of them with both classes, AUC 0.8", 30, 20, mixed=10),
    Case("40/12 patients, 5 levels of scores, AUC 0.75", 40, 12, 0.75, shape="levels"),
    Case("40/12 patients, exponential scores, AUC 0.85", 40, 12, 0.85, shape="exponential"),
    Case("40/12 patients, positives spread twice as wide, AUC 0.85", 40, 12, 0.85, shape="wide"),
    *(Case(f"30/15 patients, ICC {icc}, AUC 0.8", 30, 15, icc=icc) for icc in (0.0, 0.5, 0.9)),
    Case("40/20 patients, 3 trainings, AUC 0.75", 40, 20, 0.75, trainings=3, anew=0.2),
    Case("40/20 patients, 5 trainings, AUC 0.75", 40, 20, 0.75, trainings=5, anew=0.2),
    Case("22/13 patients, AUC 0.7", 22, 13, 0.7, held_out=True),
    Case("12/60 patients, AUC 0.85", 12, 60, 0.85, held_out=True),
    Case("25/25 patients, AUC 0.95, ICC 0.7", 25, 25, 0.95, icc=0.7, held_out=True),
    Case("12/40 patients, positives spread twice as wide, AUC 0.85", 12, 40, 0.85, shape="wide", held_out=True),
    Case("20/20 patients, all with both classes, AUC 0.8", 20, 20, mixed=20, held_out=True),
    Case("15/15 patients, one of 20 images, AUC 0.8", 15, 15, largest=20, held_out=True),
    Case("40/12 patients, AUCs 0.9 and 0.8", 40, 12, 0.9, below=0.1, held_out=True),
    Case("15/10 patients, AUCs 0.95 and 0.8", 15, 10, 0.95, below=0.15, held_out=True),
    Case("100/100 patients, AUCs 0.85 and 0.8", 100, 100, 0.85, below=0.05, held_out=True),
    Case("10/10 patients, AUCs 0.99 and 0.93", 10, 10, 0.99, below=0.06, held_out=True),
    Case("40/12 patients, AUCs 0.99 and 0.93", 40, 12, 0.99, below=0.06, held_out=True),
    Case("25/15 patients, AUCs 0.98 and 0.85", 25, 15, 0.98, below=0.13, held_out=True),
    Case("40/20 patients, 3 trainings alike, AUC 0.75", 40, 20, 0.75, trainings=3, held_out=True),
    Case("40/20 patients, 4 trainings far apart, AUC 0.75", 40, 20, 0.75, trainings=4, anew=0.5, held_out=True),
]

# Patients and AUC of two cohorts without a common patient, as of a validation set and an external one.
OTHER_PATIENTS = [((8, 8, 0.95), (200, 200, 0.95)), ((40, 12, 0.8), (100, 100, 0.8)), ((12, 12, 0.97), (40, 40, 0.85))]


def cohort(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels bool [n], scores [2 models, trainings, n] and patients [n] of one cohort."""
    images = [1 + (rng.poisson(case.more, count) if case.more else 0 * np.arange(count)) for count in
              (case.positive, case.negative)]  # fmt: skip
    if case.largest:
        images[0][0] = case.largest
    of_negative = case.positive + np.arange(case.negative)
    of_negative[: case.mixed] = np.arange(case.mixed)
    who = np.concatenate([np.repeat(np.arange(case.positive), images[0]), np.repeat(of_negative, images[1])])
    labels = np.repeat([True, False], [images[0].sum(), images[1].sum()])
    mix = np.linalg.cholesky([[1, 0.5], [0.5, 1]])
    shared = (mix @ rng.standard_normal((2, who.max() + 1)))[:, None, who]
    own = (mix @ rng.standard_normal((2, len(who))))[:, None]
    anew = 0.2 if case.trainings > 1 else 0.0  # of an image's own noise, each training's
    if anew:
        own = np.sqrt(1 - anew) * own + np.sqrt(anew) * rng.standard_normal((2, case.trainings, len(who)))
    noise = np.sqrt(case.icc) * shared + np.sqrt(1 - case.icc) * own
    aucs = np.array([case.auc, case.auc - case.below])[:, None, None]
    if case.shape == "wide":
        return labels, np.where(labels, 2 * noise + np.sqrt(5) * ndtri(aucs), noise), who
    if case.shape == "exponential":
        times = -np.log(ndtr(-noise))
        return labels, np.where(labels, times * aucs / (1 - aucs), times), who
    apart = np.sqrt(2) * ndtri(aucs) + case.anew * rng.standard_normal((2, case.trainings, 1))
    scores = noise + apart * labels
    if case.shape == "levels":
        scores = np.digitize(scores, float(np.sqrt(2) * ndtri(case.auc)) / 2 + np.array([-1.2, -0.4, 0.4, 1.2]))
    return labels, scores.astype(float), who


def truths(case: Case, rng: np.random.Generator) -> tuple[float, float]:
    """The true AUC of the first model, and how much lower the second one's is."""
    if case.shape == "levels" or case.mixed:  # no formula: pairs within a patient count, too
        found = []
        for _ in range(4000):
            labels, scores, who = cohort(case, rng)
            found.append(placements(labels, scores[0, 0], who).value)
        return float(np.mean(found)), case.below
    if case.anew:
        apart = np.sqrt(2) * ndtri(case.auc) + case.anew * ndtri((np.arange(20000) + 0.5) / 20000)
        return float(ndtr(apart / np.sqrt(2)).mean()), 0.0
    return case.auc, case.below


def judge(case: Case, cohorts: int, draws: int, seed: int) -> dict[str, Any]:
    """Shares of cohorts in which each interval holds the truth, and in which each test rejects."""
    rng = np.random.default_rng([seed, sum(map(ord, case.name))])
    truth, below = truths(case, rng)
    apart = np.random.default_rng([seed, 1])  # so that more draws draw the same cohorts
    held: dict[str, list[bool]] = {}
    widths: list[float] = []
    named: list[bool] = []

    def note(name: str, low: float, high: float, value: float) -> None:
        held.setdefault(name, []).append(bool(low <= value <= high))

    for _ in range(cohorts):
        labels, scores, who = cohort(case, rng)
        models = [mean_influence([placements(labels, each, who) for each in model]) for model in scores]
        one, gap = interval_of(models[0], labels), difference_of(models[0], models[1])
        anew = case.trainings > 1
        note("ours", *((one.train_low, one.train_high) if anew else (one.low, one.high)), truth)
        note("our difference", *((gap.train_low, gap.train_high) if anew else (gap.low, gap.high)), below)
        widths.append(one.train_high - one.train_low if anew else one.high - one.low)
        named.append((gap.train_p if anew else gap.p) < 0.05)
        if anew:
            note("patients alone", one.low, one.high, truth)
        for name, ends in delong(models, labels, scores).items():
            note(name, *ends, below if "difference" in name else truth)
        drawn = bootstrap(labels, scores, who, draws, apart)
        note("bootstrap", *np.quantile(drawn[0], [0.025, 0.975]), truth)
        note("bootstrap difference", *np.quantile(drawn[0] - drawn[1], [0.025, 0.975]), below)
    covered = {name: float(np.mean(values)) for name, values in held.items()}
    null = case.below == 0
    told = {
        "case": case.name,
        "coverage": covered["ours"],
        "size": 1 - covered["our difference"] if null else None,
        "coverage_delong": covered["delong"],
        "coverage_bootstrap": covered["bootstrap"],
        "coverage_proc": covered["proc"],
        "coverage_difference": covered["our difference"],
        "size_delong": 1 - covered["delong difference"] if null else None,
        "size_bootstrap": 1 - covered["bootstrap difference"] if null else None,
        "coverage_patients_alone": covered.get("patients alone"),
        "coverage_difference_delong": covered["delong difference"],
        "coverage_difference_bootstrap": covered["bootstrap difference"],
        "power": None if null else float(np.mean(named)),
        "width": float(np.mean(widths)),
    }
    return finish(told, cohorts, min(case.positive, case.negative), case.held_out)


def finish(told: dict[str, Any], cohorts: int, fewest: int, held_out: bool) -> dict[str, Any]:
    """Rounded, with the Monte Carlo standard error, and whether the goal is met."""
    low, high, most = GOAL["few" if fewest < 10 else "enough"]
    error = np.sqrt(told["coverage"] * (1 - told["coverage"]) / cohorts)
    rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in told.items()}
    met = low <= rounded["coverage"] <= high and (rounded["size"] is None or rounded["size"] <= most)
    return rounded | {"error": round(float(error), 4), "cohorts": cohorts, "held_out": held_out, "goal_met": bool(met)}


def delong(models: list[Influence], labels: np.ndarray, scores: np.ndarray) -> dict[str, tuple[float, float]]:
    """DeLong's intervals: images as independent. pROC's default is the plain one, cut at 0 and 1."""
    alone = [mean_influence([placements(labels, each, np.arange(len(labels))) for each in model]) for model in scores]
    factors = np.array([count / (count - 1) for count in (labels.sum(), (~labels).sum())])[:, None]

    def variance(parts: np.ndarray) -> float:
        return float((factors * parts**2).sum())

    auc, own = models[0].value, variance(alone[0].parts)
    reach = Z * np.sqrt(own)
    gap, of_gap = auc - models[1].value, Z * np.sqrt(variance(alone[0].parts - alone[1].parts))
    if 0 < auc < 1:
        on_logit = (expit(logit(auc) - reach / (auc * (1 - auc))), expit(logit(auc) + reach / (auc * (1 - auc))))
    else:
        on_logit = (auc, auc)
    return {
        "delong": on_logit,
        "proc": (max(auc - reach, 0), min(auc + reach, 1)),
        "delong difference": (gap - of_gap, gap + of_gap),
    }


def bootstrap(
    labels: np.ndarray, scores: np.ndarray, who: np.ndarray, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Mean AUC over trainings of each model in each draw of patients, [2, draws]: with positive images, and without."""
    count = who.max() + 1
    has = np.bincount(who, labels, count) > 0
    weights = np.zeros((draws, count))
    for members in (np.flatnonzero(has), np.flatnonzero(~has)):
        if len(members):
            weights[:, members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), size=draws)
    of_image = weights[:, who]
    up, down = of_image[:, labels], of_image[:, ~labels]
    pairs = np.maximum(up.sum(1) * down.sum(1), 1e-9)
    found = []
    for model in scores:
        wins = np.mean([np.sign(s[labels][:, None] - s[~labels]) / 2 + 0.5 for s in model], axis=0)
        found.append(((up @ wins) * down).sum(1) / pairs)
    return np.array(found)


def folds(cohorts: int, seed: int) -> dict[str, Any]:
    """Five folds of a linear discriminant on 40/20 patients, against the AUC on new patients of training on as many."""
    rng = np.random.default_rng([seed, 5])
    shift = np.full(FEATURES, 1.0) / np.sqrt(FEATURES)
    labels = np.repeat([True, False], [40, 20])

    def fitted(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        centred = np.concatenate([x[y] - x[y].mean(0), x[~y] - x[~y].mean(0)])
        return np.linalg.solve(centred.T @ centred / (len(x) - 2), x[y].mean(0) - x[~y].mean(0))

    def drawn() -> np.ndarray:
        return rng.standard_normal((2, 60, FEATURES)) + shift * labels[:, None]

    def one_fold(x: np.ndarray, part: np.ndarray) -> np.ndarray:
        scores = np.zeros(60)
        for fold in range(5):
            scores[part == fold] = x[part == fold] @ fitted(x[part != fold], labels[part != fold])
        return scores

    fold = np.concatenate([np.arange(40) % 5, np.arange(20) % 5])
    values = []
    for _ in range(4000):
        x = drawn()[0]
        w = fitted(x[fold > 0], labels[fold > 0])
        values.append(ndtr(w @ shift / np.sqrt(2 * w @ w)))
    truth = float(np.mean(values))
    held, alone, kept = [], [], []
    for _ in range(cohorts):
        models = []
        for x in drawn():
            scores = one_fold(x, fold)
            whole = placements(labels, scores, np.arange(60), 60, fold)
            each = [placements(labels[fold == k], scores[fold == k], np.arange(12)).value for k in range(5)]
            models.append(replace(whole, trainings=tuple(each), overlap=0.25))
        one, gap = interval_of(models[0], labels), difference_of(models[0], models[1])
        held.append(one.train_low <= truth <= one.train_high)
        alone.append(one.low <= truth <= one.high)
        kept.append(gap.train_low <= 0 <= gap.train_high)
    told = {
        "case": f"40/20 patients, 5 folds of a linear discriminant, AUC {truth:.2f}",
        "coverage": float(np.mean(held)), "size": 1 - float(np.mean(kept)), "coverage_delong": None,
        "coverage_bootstrap": None, "coverage_patients_alone": float(np.mean(alone)),
    }  # fmt: skip
    return finish(told, cohorts, 20, True)


def other_patients(
    cohorts: int, seed: int, first: tuple[int, int, float], second: tuple[int, int, float]
) -> dict[str, Any]:
    """The difference of the AUCs of two cohorts that have no patient in common."""
    rng = np.random.default_rng([seed, first[0], second[0], 3])
    cases = [Case("", *one) for one in (first, second)]
    truth, covered, named = first[2] - second[2], [], []
    for _ in range(cohorts):
        both = [placements(labels, scores[0, 0], who) for labels, scores, who in (cohort(case, rng) for case in cases)]
        result = difference_of(*both, independent=True)
        covered.append(result.low <= truth <= result.high)
        named.append(result.p < 0.05)
    title = "{}/{} patients, AUC {}, and {}/{} others, AUC {}".format(*first, *second)
    row = {"case": title, "coverage": float(np.mean(covered)), "size": None if truth else float(np.mean(named))}
    row |= {"coverage_delong": None, "coverage_bootstrap": None, "power": float(np.mean(named)) if truth else None}
    return finish(row, cohorts, min(first[:2]), True)


def share(cohorts: int, seed: int, patients: int) -> dict[str, Any]:
    """Sensitivity at a fixed threshold, by patients."""
    rng = np.random.default_rng([seed, patients])
    held = []
    for _ in range(cohorts):
        who = np.repeat(np.arange(patients), 1 + rng.poisson(0.6, patients))
        score = np.sqrt(0.5) * rng.standard_normal(patients)[who] + np.sqrt(0.5) * rng.standard_normal(len(who))
        found = rate((score < ndtri(0.8)).astype(float), who)
        held.append(found.low <= 0.8 <= found.high)
    told = {"case": f"sensitivity 0.8, {patients} patients", "coverage": float(np.mean(held)), "size": None}
    return finish(told | {"coverage_delong": None, "coverage_bootstrap": None}, cohorts, patients, True)


def mean(cohorts: int, seed: int, patients: int, draws: int) -> dict[str, Any]:
    """A skewed mean over patients (the lungs' share of a map, say), beside the bootstrap."""
    rng = np.random.default_rng([seed, patients, 1])
    held, drawn = [], []
    for _ in range(cohorts):
        who = np.repeat(np.arange(patients), 1 + rng.poisson(0.6, patients))
        value = np.exp(0.35 * rng.standard_normal(patients)[who] + 0.2 * rng.standard_normal(len(who)))
        truth = float(np.exp((0.35**2 + 0.2**2) / 2))
        found = mean_over_patients(value, who)
        held.append(found.low <= truth <= found.high)
        weights = rng.multinomial(patients, np.full(patients, 1 / patients), size=draws)[:, who]
        low, high = np.quantile(weights @ value / weights.sum(1), [0.025, 0.975])
        drawn.append(low <= truth <= high)
    told = {"case": f"lung enrichment, {patients} patients", "coverage": float(np.mean(held)), "size": None}
    told |= {"coverage_delong": None, "coverage_bootstrap": float(np.mean(drawn))}
    return finish(told, cohorts, patients, True)


def severity(cohorts: int, seed: int, patients: int, draws: int) -> dict[str, Any]:
    """A rank correlation of 0.5 (experts' severity and the logit): the bootstrap over patients, which stays there."""
    rng = np.random.default_rng([seed, patients, 2])
    held, pearson = [], 2 * np.sin(np.pi * 0.5 / 6)
    for _ in range(cohorts):
        x, noise = rng.standard_normal((2, patients))
        drawn = correlation_draws(x, pearson * x + np.sqrt(1 - pearson**2) * noise, np.arange(patients), draws, rng)
        low, high = percentile_interval(drawn)
        held.append(low <= 0.5 <= high)
    told = {"case": f"rank correlation with severity, {patients} patients", "coverage": float(np.mean(held))}
    told |= {"size": None, "coverage_delong": None, "coverage_bootstrap": float(np.mean(held))}
    return finish(told, cohorts, patients, True)


def verdicts(cohorts: int, seed: int, lost: float) -> dict[str, Any]:
    """The audit's verdict rule on simulated logits: two ablations and two leftovers of 150/150 patients, with Holm.

    The network stands at AUC 0.645 + `lost`; filling the corners, or the letters, takes `lost` away.
    """
    rng = np.random.default_rng([seed, int(1000 * lost)])
    labels, who = np.repeat([True, False], 150), np.arange(300)
    rest, options = np.sqrt(2) * ndtri(0.645) * labels, IntervalOptions()
    held, alarms = [], 0
    for _ in range(cohorts):
        noise = rng.standard_normal(300)
        whole = auc_estimate(noise + np.sqrt(2) * ndtri(0.645 + lost) * labels, labels, who, options)
        found = []
        for name in ("corners", "text"):
            after = np.sqrt(0.9) * noise + np.sqrt(0.1) * rng.standard_normal(300) + rest
            found.append((name, change(whole, auc_estimate(after, labels, who, options)), LOST))
        held.append(found[0][1].low <= lost <= found[0][1].high)
        for name in ("border_only", "lungs_removed"):
            found.append((name, auc_estimate(rng.standard_normal(300), labels, who, options), LEFT))
        settled = settle(
            [
                AuditResult(name, "m", "", one.value, one.low, one.high, "undecided", "", "", "", p=one.p, bar=bar)
                for name, one, bar in found
            ]
        )
        alarms += any(each.verdict == "flag" for each in settled)
    told = {"case": f"audit of 150/150 patients, AUC lost {lost:g}", "coverage": float(np.mean(held))}
    told |= {"size": alarms / cohorts if lost == 0 else None, "alarms": alarms / cohorts}
    return finish(told | {"coverage_delong": None, "coverage_bootstrap": None}, cohorts, 150, True)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Coverage (left) and size (right) of every case and method; what lies further out is not drawn."""
    from cxrlens.report.figures.style import COLOURS, GREY, new_figure, plain_axes, save

    figure = new_figure(9.5, 1.2 + 0.27 * len(rows))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.4, 1])
    looks = [("bootstrap", "s", COLOURS[1], "bootstrap over patients"), ("delong", "x", GREY, "DeLong, logit"),
             ("", "o", COLOURS[0], "cxrlens")]  # fmt: skip
    for axes, what, band in ((left, "coverage", (0.94, 0.97)), (right, "size", (0, 0.055))):
        axes.axvspan(*band, color="#E8F1F8", zorder=0)
        for name, mark, colour, label in looks:
            key = f"{what}_{name}" if name else what
            found = [(row[key], -place) for place, row in enumerate(rows) if row.get(key) is not None]
            axes.plot(*zip(*found, strict=True), mark, color=colour, markersize=5, label=label, linestyle="none")
    left.set_yticks(-np.arange(len(rows)), [row["case"] + (" *" if row["held_out"] else "") for row in rows])
    plain_axes(left, "coverage of 95% intervals", "")
    plain_axes(right, "size of paired tests at 5%", "")
    left.tick_params(axis="y", labelsize=7)
    left.set_xlim(0.78, 1.0)
    right.set_xlim(0, 0.16)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    save(figure, path)
    path.with_suffix(".pdf").unlink(missing_ok=True)


def main() -> None:
    """Simulates, writes the JSON file and the figure of the documentation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=2000)
    parser.add_argument("--draws", type=int, default=400, help="of the bootstrap that is compared with")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE / "interval_coverage.json")
    parser.add_argument("--figure", type=Path, default=HERE.parent / "docs" / "interval-coverage.png")
    asked = parser.parse_args()
    jobs: list[Callable[[], dict[str, Any]]] = [
        lambda case=case: judge(case, asked.cohorts, asked.draws, asked.seed) for case in CASES
    ]
    jobs.append(lambda: folds(asked.cohorts, asked.seed))
    jobs += [lambda pair=pair: other_patients(asked.cohorts, asked.seed, *pair) for pair in OTHER_PATIENTS]
    jobs += [lambda n=n: share(asked.cohorts, asked.seed, n) for n in (12, 40)]
    jobs += [lambda n=n: mean(asked.cohorts, asked.seed, n, asked.draws) for n in (12, 24, 60)]
    jobs += [lambda n=n: severity(asked.cohorts // 5, asked.seed, n, 200) for n in (15, 40)]
    jobs += [lambda lost=lost: verdicts(asked.cohorts // 2, asked.seed, lost) for lost in (0.0, 0.05, 0.1)]
    rows = []
    for job in jobs:
        rows.append(job())
        print(json.dumps(rows[-1]), flush=True)
        asked.out.write_text(json.dumps(rows, indent=1) + "\n")
    draw([row for row in rows if row["coverage_delong"] is not None], asked.figure)


if __name__ == "__main__":
    main()
